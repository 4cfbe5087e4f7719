"""Times of the storage drivers on this machine: `python bench/storage.py [ROUNDS]`, as root.

Each that the machine has, one after the other on the same disk, works on a volume like a small system:
8,000 files, 200 MB. Prints medians in ms as a table, and the same as multiples of what the first one takes:
on the emulated processor of tests/vm only those mean something.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from wardian.drivers.storage import lvm, zfs
from wardian.drivers.storage.btrfs import BtrfsStorage
from wardian.drivers.storage.dir import DirStorage
from wardian.drivers.storage.overlay import OverlayStorage
from wardian.linux import process
from wardian.model.idmap import IdMap
from wardian.ports.storage import Storage, Volume

FOLDERS, FILES, BYTES = 80, 100, 25_000
IMAGE, ONE, TWO = Volume("image", "f" * 64), Volume("container", "c1"), Volume("container", "c2")
SNAPSHOT = Volume("snapshot", "c1/snap0")
MAP = IdMap.contiguous(1000000, 65536)


def fill(root: Path) -> None:
    """The files of a small system."""
    root.mkdir()
    for folder in range(FOLDERS):
        (root / str(folder)).mkdir()
        for file in range(FILES):
            (root / str(folder) / str(file)).write_bytes(os.urandom(BYTES))


async def change(storage: Storage) -> None:
    """What a container writes between two snapshots: 100 files."""
    await storage.mount(ONE)
    for file in range(100):
        (storage.path(ONE) / "rootfs/0" / str(file)).write_bytes(os.urandom(BYTES))


async def one_round(storage: Storage, times: dict[str, list[float]]) -> None:
    """Every step once; the pool is as before afterwards."""

    async def timed(step: str, work: Callable[[], Awaitable[object]]) -> None:
        begun = time.perf_counter()
        await work()
        times.setdefault(step, []).append((time.perf_counter() - begun) * 1000)

    await timed("create from image", lambda: storage.copy(IMAGE, ONE))
    await timed("mount for a start", lambda: storage.mount(ONE, MAP))
    await storage.unmount(ONE)
    await change(storage)
    await timed("snapshot", lambda: storage.snapshot(ONE, SNAPSHOT))
    await change(storage)
    await timed("copy", lambda: storage.copy(ONE, TWO))
    await timed("restore", lambda: storage.restore(SNAPSHOT, ONE))
    await timed("delete snapshot", lambda: storage.delete(SNAPSHOT))
    await timed("delete", lambda: storage.delete(ONE))
    await storage.delete(TWO)


async def measure(storage: Storage, rounds: int) -> dict[str, float]:
    """Step -> median in ms."""
    times: dict[str, list[float]] = {}
    await storage.create_pool()
    await storage.create(IMAGE)
    await asyncio.to_thread(fill, storage.path(IMAGE) / "rootfs")
    os.sync()
    for _ in range(rounds):
        await one_round(storage, times)
    await storage.delete(IMAGE)
    await storage.delete_pool()
    return {step: statistics.median(found) for step, found in times.items()}


def drivers(root: Path) -> list[Storage]:
    """A pool of each kind that this machine can have, below a folder."""
    size, own = 4 << 30, f"bench{os.getpid()}"
    found: list[Storage] = [
        BtrfsStorage("b", root / "btrfs", image=root / "b.img", size_bytes=size),
        OverlayStorage("o", root / "overlay"),
        DirStorage("d", root / "dir"),
    ]
    if lvm.is_available():
        group = lvm.Group(own, "thin", root / "l.img", size)
        found.append(lvm.LvmStorage("l", root / "lvm", group, filesystem="ext4", volume_bytes=1 << 30))
    if zfs.is_available():
        found.append(zfs.ZfsStorage("z", root / "zfs", zfs.Dataset(own, root / "z.img", size)))
    return found


async def main(rounds: int) -> None:
    """Measure all drivers and print the tables."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="wardian-bench-", dir="/var/tmp") as folder:
        for storage in drivers(Path(folder)):
            # Whole copies take seconds: a few tell enough.
            few = rounds if storage.traits.clones else max(1, rounds // 3)
            results[storage.driver] = await measure(storage, few)
            sys.stderr.write(f"{storage.driver}: {results[storage.driver]}\n")
    first = next(iter(results.values()))
    show(results, lambda step, ms: f"{ms:.0f}" if ms >= 1 else f"{ms:.1f}")
    show(results, lambda step, ms: f"{ms / first[step]:.2g}")


def show(results: dict[str, dict[str, float]], cell: Callable[[str, float], str]) -> None:
    """Write a table with a column for each driver; cell: what is in it, from the step and its ms."""
    sys.stdout.write("| step | " + " | ".join(results) + " |\n|---" + "|---" * len(results) + "|\n")
    for step in next(iter(results.values())):
        cells = [cell(step, found[step]) for found in results.values()]
        sys.stdout.write(f"| {step} | " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    process.use_pidfds()
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
