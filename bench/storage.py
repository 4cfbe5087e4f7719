"""Times of the storage drivers on this machine: `python bench/storage.py [ROUNDS]`, as root.

Each works on a volume like a small system: 8,000 files, 200 MB. Prints medians in ms as a table.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

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
    for _ in range(rounds):
        await one_round(storage, times)
    await storage.delete(IMAGE)
    await storage.delete_pool()
    return {step: statistics.median(found) for step, found in times.items()}


async def main(rounds: int) -> None:
    """Measure all drivers and print the table."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="wardian-bench-", dir="/var/tmp") as folder:
        root = Path(folder)
        drivers: list[Storage] = [
            BtrfsStorage("b", root / "btrfs", image=root / "b.img", size_bytes=4 << 30),
            OverlayStorage("o", root / "overlay"),
            DirStorage("d", root / "dir"),
        ]
        for storage in drivers:
            # Whole copies take seconds: a few tell enough.
            results[storage.driver] = await measure(storage, rounds if storage.traits.clones else 3)
    sys.stdout.write("| step | " + " | ".join(results) + " |\n|---" + "|---" * len(results) + "|\n")
    for step in next(iter(results.values())):
        cells = [f"{found[step]:.0f}" for found in results.values()]
        sys.stdout.write(f"| {step} | " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    process.use_pidfds()
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
