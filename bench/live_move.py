"""How long a container stands still while it moves to another host on this machine, as root.

Two daemons in network namespaces of their own; the container has so many megabytes of random memory and
files, and makes small files all the time: the longest gap between two of them counts.

    .venv/bin/python -m bench.live_move --driver btrfs --memory 0 256 --files 512
"""

import argparse
import time
from itertools import pairwise

from tests.system.hosts import Pair, pair
from tests.system.test_live_move import pool_of

HOLD = "dd if=/dev/urandom of=/dev/null bs={}M count=100000 </dev/null >/dev/null 2>&1 &"
TICK = "mkdir /tmp/t; (while :; do echo > /tmp/t/$((i+=1)); sleep 0.02; done) </dev/null >/dev/null 2>&1 &"
SETTLE_S = 3


def measure(hosts: Pair, megabytes: int, files: int) -> tuple[float, float]:
    """(seconds of the command, seconds that the container stood still)."""
    hosts.a.lxc("launch", "bb", "c1", "-p", "default")
    fill = f"dd if=/dev/urandom of=/root/files bs=1M count={files} && sync"
    hosts.a.lxc("exec", "c1", "--", "sh", "-c", fill)
    for script in (*([HOLD.format(megabytes)] if megabytes else []), TICK):
        hosts.a.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", script)
    time.sleep(SETTLE_S)
    began = time.monotonic()
    hosts.a.lxc("move", "c1", "b:", "-d", f"eth0,parent={hosts.b.bridge}")
    took = time.monotonic() - began
    time.sleep(1)
    folder = pool_of(hosts.b) / "containers/c1/rootfs/tmp/t"
    times = sorted(path.stat().st_mtime for path in folder.iterdir())
    hosts.b.lxc("delete", "-f", "c1")
    return took, max(later - earlier for earlier, later in pairwise(times))


def main() -> None:
    """Print a line per size."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--driver", default="btrfs")
    options.add_argument("--memory", nargs="+", type=int, default=[0, 256], metavar="MB")
    options.add_argument("--files", type=int, default=0, metavar="MB")
    chosen = options.parse_args()
    with pair(chosen.driver, chosen.driver) as hosts:
        hosts.b.lxc("config", "set", "migration.accept_memory", "true")
        for size in chosen.memory:
            took, frozen = measure(hosts, size, chosen.files)
            print(f"{size:5} MB: moved in {took:.2f} s, stood still for {frozen:.2f} s")


if __name__ == "__main__":
    main()
