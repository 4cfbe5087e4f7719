"""Copying and removing trees of files that are not trusted."""

import asyncio
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from wardian.errors import HostFailed, OutOfSpace
from wardian.linux import mounts, process


async def copy(source: Path, target: Path, pool: str) -> None:
    """Copy a tree with owners, modes, times, links, holes and attributes; blocks are shared if they can be.

    `cp` works by descriptor and follows no link. The caller removes the target on failure.
    """
    await _cp(["-T", "--", str(source), str(target)], source, pool)


async def copy_entries(source: Path, names: Sequence[str], target: Path, pool: str) -> None:
    """Copy entries of a folder, by name, into another folder; as `copy` does."""
    if names:
        await _cp(["-t", str(target), "--", *(str(source / name) for name in names)], source, pool)


async def _cp(words: Sequence[str], source: Path, pool: str) -> None:
    argv = ["cp", "-a", "--reflink=auto", "--sparse=auto", *words]
    completed = await process.run(argv)
    if completed.status:
        if b"No space left" in completed.stderr or b"Disk quota" in completed.stderr:
            raise OutOfSpace(f'cannot copy "{source.name}": storage pool "{pool}" is full; delete something')
        raise process.ProgramFailed(f'copy "{source.name}" in storage pool "{pool}"', completed)


def refuse_mounts(path: Path) -> None:
    """HostFailed naming what somebody has mounted in a tree: it is not ours to delete or to detach.

    Mounts that are left in other namespaces are no obstacle: the kernel detaches them.
    """
    if busy := mounts.mounts_below(path):
        raise HostFailed(
            f'cannot delete "{path.name}": {busy[-1].kind} is mounted at "{busy[-1].path}"; unmount it'
        )


async def remove(path: Path) -> None:
    """Remove a tree without following links; HostFailed naming the mount that is in the way."""
    try:
        await asyncio.to_thread(shutil.rmtree, path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.EBUSY and (busy := mounts.mounts_below(path)):
            raise HostFailed(
                f'cannot delete "{path}": {busy[-1].kind} is mounted at "{busy[-1].path}"; unmount it'
            ) from error
        raise HostFailed(f'cannot delete "{path}": {error.strerror} ({error.filename})') from error


def space(path: Path) -> tuple[int, int]:
    """(used, total) bytes of the file system."""
    found = os.statvfs(path)
    total = found.f_blocks * found.f_frsize
    return total - found.f_bfree * found.f_frsize, total
