"""How long a container stands still while it moves to another host on this machine, as root.

Two daemons in network namespaces of their own, pools of the kind `dir`; the container holds so many
megabytes of random memory, and makes files all the time: the longest gap between two of them counts.

    .venv/bin/python -m bench.live_move [MEGABYTES...]
"""

import sys
import time
from itertools import pairwise

from tests.system.hosts import Pair, pair

HOLD = "dd if=/dev/urandom of=/dev/null bs={}M count=100000 </dev/null >/dev/null 2>&1 &"
TICK = "mkdir /tmp/t; (while :; do echo > /tmp/t/$((i+=1)); sleep 0.02; done) </dev/null >/dev/null 2>&1 &"
SETTLE_S = 3


def measure(hosts: Pair, megabytes: int) -> tuple[float, float]:
    """(seconds of the command, seconds that the container stood still)."""
    hosts.a.lxc("launch", "bb", "c1")
    for script in (*([HOLD.format(megabytes)] if megabytes else []), TICK):
        hosts.a.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", script)
    time.sleep(SETTLE_S)
    began = time.monotonic()
    hosts.a.lxc("move", "c1", "b:", "-d", f"eth0,parent={hosts.b.bridge}")
    took = time.monotonic() - began
    time.sleep(1)
    folder = hosts.b.folder / "lxd/storage-pools/default/containers/c1/rootfs/tmp/t"
    times = sorted(path.stat().st_mtime for path in folder.iterdir())
    hosts.b.lxc("delete", "-f", "c1")
    return took, max(later - earlier for earlier, later in pairwise(times))


def main() -> None:
    """Print a line per size."""
    sizes = [int(word) for word in sys.argv[1:]] or [0, 256]
    with pair("dir", "dir") as hosts:
        hosts.b.lxc("config", "set", "migration.accept_memory", "true")
        for size in sizes:
            took, frozen = measure(hosts, size)
            print(f"{size:5} MB: moved in {took:.2f} s, stood still for {frozen:.2f} s")


if __name__ == "__main__":
    main()
