"""Trees of files that are written to, copied as they are at one moment: once, and then what changed since.

The first time the writers go on; the second time they stand still, which takes as long as to look at
every file and to copy what is not the same.
"""

import asyncio
import logging
import os
import stat
import time
from pathlib import Path

from wardian.drivers.storage import rsync, tree
from wardian.linux import process, syscalls
from wardian.ports.storage import Still

log = logging.getLogger(__name__)

TICK_NS = 20_000_000
"""More than the steps in which a kernel's clock for files goes (10 ms at most)."""
NEVER = (0, 0)


async def copy(source: Path, target: Path, pool: str, still: Still) -> None:
    """Copy a tree as `tree.copy` does; what it was while nobody wrote to it."""
    # What is mapped into memory is told of its changes by the first one after it was on disk.
    await asyncio.to_thread(_sync, source)
    begun = time.time_ns() - TICK_NS
    try:
        await tree.copy(source, target, pool)
    except process.ProgramFailed as error:  # files came and went meanwhile; what remains is copied below
        log.debug("%s", error)
    await asyncio.to_thread(_distrust, target, begun)
    async with still():
        await rsync.renew(source, target, f'copy "{source.name}" in storage pool "{pool}"')


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def _distrust(target: Path, begun: int) -> None:
    """Make files of our copy look old that may have been changed again without a later time."""
    for top, _, names in os.walk(target):
        for name in names:
            found = os.lstat(f"{top}/{name}")
            if stat.S_ISREG(found.st_mode) and found.st_mtime_ns >= begun:
                os.utime(f"{top}/{name}", ns=NEVER, follow_symlinks=False)
