"""Containers from host to host, timed whole: Wardian beside LXD and Incus in one run.

Each peer is a client that knows two remotes with the same storage driver, and an image on the first.
A container is filled with files, then copied to the other host, refreshed, and moved back, peers taking
turns. Prints medians (s) and MB/s, and writes everything as JSON.

    python bench/hosts.py --image bb --peer wardian=lxc,local,host2 --peer lxd=/snap/bin/lxc,local,far -n 5
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

NAME = "bench-hosts"
SMALL_FILES = 2000
STEPS = ("copy", "refresh", "move back")


@dataclass
class Peer:
    """One client, and its two remotes."""

    name: str
    program: list[str]
    here: str
    there: str
    modes: tuple[str, ...]
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self, *words: str) -> float:
        """Run a command; how many seconds it took. Stops everything if it fails."""
        begin = time.perf_counter()
        completed = subprocess.run(
            [*self.program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if completed.returncode:
            sys.exit(f"{self.name}: {' '.join(words)}: {completed.stderr.strip()}")
        return time.perf_counter() - begin

    def prepare(self, image: str, megabytes: int) -> None:
        """A stopped container with one large file and many small ones, and a snapshot."""
        self.run("launch", f"{self.here}:{image}", f"{self.here}:{NAME}")
        script = (
            f"head -c {megabytes << 20} /dev/urandom >/root/large; mkdir -p /root/small; "
            f"for n in $(seq {SMALL_FILES}); do echo $n >/root/small/$n; done; sync"
        )
        self.run("exec", f"{self.here}:{NAME}", "--", "sh", "-c", script)
        self.run("stop", "-f", f"{self.here}:{NAME}")
        create = ("create",) if "incus" in self.name else ()  # the one command that is called otherwise
        self.run("snapshot", *create, f"{self.here}:{NAME}", "first")

    def round(self, mode: str) -> Iterator[None]:
        """Copy, refresh and move back; yields after each so that peers take turns."""
        here, there = f"{self.here}:{NAME}", f"{self.there}:{NAME}"
        self.times[f"{mode} copy"].append(self.run("copy", here, there, f"--mode={mode}"))
        yield
        self.times[f"{mode} refresh"].append(self.run("copy", here, there, f"--mode={mode}", "--refresh"))
        yield
        back = f"{self.here}:{NAME}-back"
        self.times[f"{mode} move back"].append(self.run("move", there, back, f"--mode={mode}"))
        self.run("delete", back)
        yield

    def clean(self) -> None:
        """Remove what `prepare` made."""
        self.run("delete", "-f", f"{self.here}:{NAME}")


def parse_peer(text: str, modes: tuple[str, ...]) -> Peer:
    """A peer from `name=client,remote,remote`; the client may have words of its own."""
    name, _, rest = text.partition("=")
    program, here, there = rest.split(",")
    return Peer(name, shlex.split(program), here, there, modes)


def report(peers: list[Peer], megabytes: int) -> None:
    """A line for each step: medians, and how fast the large file went where it went whole."""
    for step in peers[0].times:
        cells = []
        for peer in peers:
            seconds = statistics.median(peer.times[step])
            speed = "" if "refresh" in step else f" {megabytes / seconds:6.0f} MB/s"
            cells.append(f"{peer.name} {seconds:6.2f} s{speed}")
        print(f"{step:16} " + "   ".join(cells))


def main() -> None:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", action="append", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--modes", default="pull,push,relay")
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--output", default="hosts.json")
    options = parser.parse_args()
    modes = tuple(options.modes.split(","))
    peers = [parse_peer(text, modes) for text in options.peer]
    for peer in peers:
        peer.prepare(options.image, options.megabytes)
    for _ in range(options.n):
        for mode in modes:
            rounds = [peer.round(mode) for peer in peers]
            for _ in STEPS:
                for one in rounds:
                    next(one)
    for peer in peers:
        peer.clean()
    report(peers, options.megabytes)
    with open(options.output, "w") as file:
        json.dump({"cpus": os.cpu_count(), "times": {p.name: p.times for p in peers}}, file, indent=1)


if __name__ == "__main__":
    main()
