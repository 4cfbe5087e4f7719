"""Many containers on one machine: a daemon and an image of its own, small containers, figures, all gone.

As root, in a virtual environment of the tests: `python -m bench.scale --count 300`. Launches and deletions
are whole commands, so many at a time as --parallel says. Prints a table and writes it as JSON.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.harness import Daemon

LISTS = 10
IMAGE = "bb"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def available_kib() -> int:
    """Memory that the machine has left."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def all_of(daemon: Daemon, words: Sequence[str], names: Sequence[str], parallel: int) -> float:
    """Seconds until the command has been run for all names."""
    with ThreadPoolExecutor(parallel) as pool:
        return seconds(lambda: list(pool.map(lambda name: daemon.lxc(*words, name), names)))


def measure(daemon: Daemon, count: int, parallel: int) -> dict[str, float]:
    """What -> how much of it, in the unit that it says."""
    names = [f"many-{number:04}" for number in range(count)]
    daemon.lxc("launch", IMAGE, "first")
    daemon.lxc("delete", "-f", "first")
    before = available_kib()
    found = {f"launch {count}, s": all_of(daemon, ["launch", IMAGE], names, parallel)}
    found["memory per container, MB"] = (before - available_kib()) / 1024 / count
    daemon.lxc("list")
    found["list, ms"] = 1000 * sorted(seconds(lambda: daemon.lxc("list")) for _ in range(LISTS))[LISTS // 2]
    daemon.kill()
    found["killed -9, then ready, s"] = seconds(daemon.start)
    running = daemon.names("s").count("RUNNING")
    if running != count:
        raise SystemExit(f"{count - running} of {count} containers do not run; see {daemon.folder}/lxd.log")
    found[f"delete -f {count}, s"] = all_of(daemon, ["delete", "-f"], names, parallel)
    return found


def main() -> None:
    """Run it and report; nothing is left but the JSON."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--parallel", type=int, default=4, help="commands at a time")
    options.add_argument("--json", type=Path, default=Path("bench/results/scale.json"))
    chosen = options.parse_args()
    limits = Path(__file__).parents[1] / "packaging/60-wardian.conf"
    subprocess.run(["sysctl", "-q", "-p", str(limits)], check=True)
    daemon = Daemon("sc", pool_size="20GB")
    try:
        daemon.import_busybox(IMAGE)
        found = measure(daemon, chosen.count, chosen.parallel)
    finally:
        daemon.close()
    for what, much in found.items():
        print(f"{what:<28}{much:12.2f}")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
