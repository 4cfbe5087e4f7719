"""Layers mounted at a volume's root file system. What is mounted, and for whom, is read from the kernel."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from wardian.drivers.storage import folders
from wardian.drivers.storage.layers import Chain, Layers
from wardian.linux import mounts, overlay, syscalls

VIEW, RUNS, RUNS_SHIFTED = "wardian-view", "wardian-runs", "wardian-runs-shifted"
"""Sources of our mounts: to look at; for a container, without and with an id map."""

IN_USE = (RUNS, RUNS_SHIFTED)


def mount(
    layers: Layers, chain: Chain, rootfs: Path, source: str, shift: overlay.Shift | None = None
) -> None:
    """Mount a chain at rootfs."""
    rootfs.mkdir(mode=0o755, exist_ok=True)
    # Nothing that a container may have left in its files is of use outside of it.
    flags = syscalls.MS_NODEV if shift else 0
    flags |= syscalls.MS_NODEV | syscalls.MS_NOSUID if source == VIEW else 0
    if not chain.upper and len(chain.lower) == 1:  # overlay wants two
        syscalls.mount(layers.files(chain.lower[0]), rootfs, None, syscalls.MS_BIND)
        read_only = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY
        syscalls.mount("none", rootfs, None, read_only | flags)
        return
    stack = overlay.Stack(layers.folder, chain.lower, chain.upper)
    overlay.mount(stack, rootfs, source, flags, shift)


@contextlib.contextmanager
def scratch(layers: Layers) -> Iterator[Path]:
    """An empty folder for the moment."""
    made = folders.temporary(layers.folder / "x")
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        made.rmdir()


def mounted(rootfs: Path) -> str:
    """The source of what is mounted there; empty if nothing is."""
    found = mounts.mount_at(Path(os.path.realpath(rootfs.parent)) / rootfs.name)
    return found.source if found else ""


def unmount(rootfs: Path) -> None:
    """Take what is mounted there away; what still has open files there keeps seeing them."""
    while mounted(rootfs):
        try:
            syscalls.umount2(rootfs)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            syscalls.umount2(rootfs, syscalls.MNT_DETACH)
