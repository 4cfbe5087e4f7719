"""Everyday commands as users type them, timed whole: Wardian beside LXD and Incus in one run.

Each peer must be installed and initialised (a btrfs pool, a bridge) and hold the same images under
the aliases given by --images. Commands of the peers take turns, in another order each round, so that a
machine whose speed drifts treats all alike; each waits until what the one before left to do (a system
that boots, a network that goes) is done. Prints medians (ms) and ratios, and writes everything as JSON.

    python bench/everyday.py --images bb deb12 --peer wardian=lxc --peer incus=incus -n 10
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FILE_BYTES = 100 << 20
SMALL_FILES = 1000
SPELT = {"incus": {"snapshot": ("snapshot", "create"), "restore": ("snapshot", "restore")}}
"""Commands that a peer of this name calls differently."""
QUIET_SHARE = 0.95
"""Of the processors' time, idle: then the machine is quiet."""
QUIET_WITHIN_S = 5.0


def wait_quiet() -> None:
    """Return once all is on disk and the processors have had next to nothing to do, or after a while."""
    os.sync()
    deadline = time.monotonic() + QUIET_WITHIN_S
    idle, total = processor_time()
    while time.monotonic() < deadline:
        time.sleep(0.1)
        before, (idle, total) = (idle, total), processor_time()
        if idle - before[0] >= QUIET_SHARE * (total - before[1]):
            return


def processor_time() -> tuple[int, int]:
    """Idle and all ticks of all processors since boot (proc(5), /proc/stat)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


@dataclass
class Peer:
    """One manager. environment: added to ours, e.g. LXD_DIR."""

    name: str
    program: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self, label: str, *words: str) -> None:
        """Run a command; with a label, once all is quiet, and record how long it took.

        Stops everything if it fails.
        """
        if label:
            wait_quiet()
        verb = SPELT.get(self.name, {}).get(words[0], words[:1])
        begin = time.perf_counter()
        completed = subprocess.run(
            [*self.program, *verb, *words[1:]],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        spent = (time.perf_counter() - begin) * 1000
        if completed.returncode:
            sys.exit(f"{self.name}: {' '.join(words)}: {completed.stderr.strip()}")
        if label:
            self.times[label].append(spent)


def round_of(peer: Peer, image: str, number: int) -> Iterator[None]:
    """One round of commands on a fresh container; yields after each so that peers take turns."""
    name = f"bench-{image}-{number}"
    peer.run(f"launch {image}", "launch", image, name)
    yield
    peer.run(f"exec {image}", "exec", name, "--", "true")
    yield
    peer.run("list, 1 container", "list")
    yield
    yield from files_of(peer, name)
    peer.run(f"snapshot {image}, running", "snapshot", name, "one")
    yield
    peer.run(f"restore {image}, running", "restore", name, "one")
    yield
    peer.run(f"copy {image}", "copy", f"{name}/one", f"{name}-copy")
    yield
    peer.run("", "delete", f"{name}-copy")
    peer.run(f"stop -f {image}", "stop", "-f", name)
    yield
    peer.run(f"start {image}", "start", name)
    yield
    peer.run(f"delete -f {image}", "delete", "-f", name)
    yield


def files_of(peer: Peer, name: str) -> Iterator[None]:
    """Files in and out of a running container: one large one, many small ones."""
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        folder = Path(text)
        (folder / "big").write_bytes(os.urandom(FILE_BYTES))
        for number in range(SMALL_FILES):
            place = folder / "many" / str(number % 10)
            place.mkdir(parents=True, exist_ok=True)
            (place / str(number)).write_text(str(number))
        peer.run("file push, 100 MB", "file", "push", str(folder / "big"), f"{name}/root/big")
        yield
        peer.run("file pull, 100 MB", "file", "pull", f"{name}/root/big", str(folder / "back"))
        yield
        peer.run(f"file push -r, {SMALL_FILES}", "file", "push", "-r", str(folder / "many"), f"{name}/root/")
        yield
        peer.run(
            f"file pull -r, {SMALL_FILES}", "file", "pull", "-r", f"{name}/root/many", str(folder / "out")
        )
        yield


def many(peer: Peer, image: str, count: int) -> None:
    """`list` with many running containers."""
    names = [f"many-{number}" for number in range(count)]
    for name in names:
        peer.run("", "launch", image, name)
    for _ in range(10):
        peer.run(f"list, {count} running", "list")
    for name in names:
        peer.run("", "delete", "-f", name)


def table(peers: list[Peer]) -> str:
    """Medians in ms by command, and the first peer's ratio to the best of the others."""
    first, *others = peers
    lines = [f"{'command':<22}" + "".join(f"{peer.name:>12}" for peer in peers) + f"{'ratio':>10}"]
    for label in first.times:
        medians = [statistics.median(peer.times[label]) for peer in peers]
        best = min(medians[1:], default=0.0)
        ratio = f"{medians[0] / best:10.2f}" if best else ""
        lines.append(f"{label:<22}" + "".join(f"{median:12.1f}" for median in medians) + ratio)
    return "\n".join(lines) if others else "\n".join(line.rstrip() for line in lines)


def parse_peer(text: str) -> Peer:
    """`name=program [VAR=value ...]`."""
    name, _, rest = text.partition("=")
    words = rest.split()
    variables = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return Peer(name, [words[0]], variables)


def main() -> None:
    """Run all rounds and report."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--peer", action="append", type=parse_peer, required=True)
    options.add_argument("--images", nargs="+", required=True)
    options.add_argument("-n", type=int, default=10, metavar="ROUNDS")
    options.add_argument("--many", type=int, default=0, metavar="CONTAINERS")
    options.add_argument("--json", type=Path, default=Path("bench/results/everyday.json"))
    chosen = options.parse_args()
    peers: list[Peer] = chosen.peer
    for image in chosen.images:
        for number in range(chosen.n + 1):
            first = number % len(peers)
            rounds = [round_of(peer, image, number) for peer in peers[first:] + peers[:first]]
            for _ in zip(*rounds, strict=True):
                pass
            if number == 0:  # a warm-up: images are unpacked, caches filled
                for times in (times for peer in peers for times in peer.times.values()):
                    del times[-1:]
    if chosen.many:
        for peer in peers:
            many(peer, chosen.images[0], chosen.many)
    print(table(peers))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({peer.name: peer.times for peer in peers}, indent=1))


if __name__ == "__main__":
    main()
