"""Two hosts on one machine: each a network of its own with a daemon in it, and a cable between them."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.system.harness import ROOT, Daemon

HOLD = """
mount -t tmpfs none /mnt && mkdir /mnt/cgroup && mount --rbind /sys/fs/cgroup /mnt/cgroup &&
mount -t sysfs none /sys && mount --rbind /mnt/cgroup /sys/fs/cgroup && umount -l /mnt &&
if test -d /sys/kernel/security; then mount -t securityfs none /sys/kernel/security; fi &&
ip link set lo up && echo ready && exec cat
"""
"""Shows the interfaces of the new network in /sys, and keeps both namespaces until its input ends."""
TIMEOUT_S = 1
"""After which the hosts give up on a link that is cut."""


class Place:
    """A network namespace, with a mount namespace that shows it."""

    def __init__(self) -> None:
        argv = ["unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c", HOLD]
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = self._holder.pid
        self.within = ("nsenter", f"--target={self.pid}", "--net", "--mount")

    def ip(self, *words: str) -> None:
        """Run `ip` inside."""
        subprocess.run([*self.within, "ip", *words], check=True)

    def see(self, path: Path) -> Path:
        """A path as it is inside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def close(self) -> None:
        """The namespaces go with the last process in them."""
        self._holder.communicate()


class Pair:
    """Two hosts that trust one client, `a` and `b`: their own names for each other as remotes, too."""

    def __init__(self, first: str, second: str, program: str) -> None:
        self.places = (Place(), Place())
        self.link = f"wtm{os.getpid() % 10000}"
        subprocess.run(
            f"ip link add {self.link} netns {self.places[0].pid} type veth "
            f"peer name {self.link} netns {self.places[1].pid}".split(),
            check=True,
        )
        for number, place in enumerate(self.places, 1):
            place.ip("address", "add", f"10.99.77.{number}/24", "dev", self.link)
            place.ip("link", "set", self.link, "up")
            impatient = f"echo 50 >/proc/sys/net/ipv4/neigh/{self.link}/retrans_time_ms"
            subprocess.run([*place.within, "sh", "-c", impatient], check=True)
        paths = {"PYTHONPATH": str(ROOT)}  # inside, the folder that it is started in is not this one
        self.a, self.b = (
            Daemon(
                name,
                backend=backend,
                within=place.within,
                pool_size="512MB",  # btrfs frees what is deleted half a minute later
                program=program,
                environment=paths,
            )
            for name, backend, place in zip(("ma", "mb"), (first, second), self.places, strict=True)
        )
        self.a.import_busybox("bb")
        for number, daemon in enumerate((self.a, self.b), 1):
            daemon.lxc("config", "set", "core.https_address", f"10.99.77.{number}:8443")
            daemon.lxc("config", "set", "migration.timeout", str(TIMEOUT_S))
        token = self.b.lxc("config", "trust", "add", "--name", "a").strip()
        self.a.lxc("remote", "add", "b", token)

    def cut(self) -> None:
        """Unplug the cable."""
        self.places[1].ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug it in again."""
        self.places[1].ip("link", "set", self.link, "up")

    def close(self) -> None:
        """Remove both hosts, also if one of them complains."""
        self.mend()
        with contextlib.ExitStack() as left:
            for place in self.places:
                left.callback(place.close)
            left.callback(self.a.close)
            left.callback(self.b.close)


@contextlib.contextmanager
def pair(first: str, second: str, program: str = "wardian.daemon.main") -> Iterator[Pair]:
    """Two hosts with pools of these drivers. program: what runs as daemon."""
    made = Pair(first, second, program)
    try:
        yield made
    finally:
        made.close()
