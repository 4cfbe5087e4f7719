"""How long the client takes to start: bare interpreter, import, a help page, a list.

Run it with the interpreter that has Wardian installed: `python bench/startup.py [-n RUNS]`.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import wardian

SITE = str(Path(wardian.__file__).parent.parent)
START = f"import sys; sys.path.insert(0, {SITE!r}); "
CASES = {
    "python -I -S": "",
    "import the client": START + "import wardian.cli.main",
    "lxc version": START + "sys.argv[1:] = ['version']; from wardian.cli.main import run; run()",
    "lxc help": START + "sys.argv[1:] = ['help']; from wardian.cli.main import run; run()",
    "lxc list": START + "sys.argv[1:] = ['list']; from wardian.cli.main import run; run()",
}


def median_ms(code: str, runs: int) -> float:
    """Median wall time of a fresh interpreter that runs the code."""
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.DEVNULL, check=False)
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times[1:])


def main() -> None:
    """Print a line for each case."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", type=int, default=20, metavar="RUNS")
    runs = options.parse_args().n
    for name, code in CASES.items():
        print(f"{name:<20} {median_ms(code, runs):6.1f} ms")


if __name__ == "__main__":
    main()
