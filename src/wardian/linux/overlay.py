"""Overlay mounts (Documentation/filesystems/overlayfs.rst) whose layers are seen through an id map.

An overlay cannot be an idmapped mount itself, but its layers can (from Linux 5.19 on). The kernel
then works on the layers as whoever mounted the overlay, and root is nobody in a map that begins at
another id. So the mount is made with the file system ids of the map's root (setfsuid(2)), by a
thread of its own, since credentials belong to threads. Owners on disk stay unshifted.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardian.linux import syscalls

OPTIONS = "index=off,metacopy=off,redirect_dir=on,xino=auto"
"""Layers may be stacked anew (no index); every file is whole in one layer (no metacopy)."""

PRIVATE = "trusted.overlay."
"""Begins the names of the attributes that overlay keeps in its layers."""

PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
"""capabilities(7): a change of the fsuid takes no capability away."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Stack:
    """What is laid over what: names of layers in `folder`, the lowest last.

    A layer is a folder with the files in `fs/`. upper: the layer that takes changes, which has a
    `work/` too; empty: nothing can be changed.
    """

    folder: Path
    lower: Sequence[str]
    upper: str = ""


@dataclass(frozen=True)
class Shift:
    """An id map for the layers: a user namespace that has it, the host ids of its root, and an
    empty folder that is used for the moment.
    """

    userns_fd: int
    uid: int
    gid: int
    scratch: Path


def mount(stack: Stack, target: Path, source: str, flags: int, shift: Shift | None = None) -> None:
    """Mount the stack at target; `source` is what mountinfo shows for it. OSError as mount(2).

    At least two layers in all, few enough for one page of options: 32 bytes or so for each. The mount
    holds its layers: they can be renamed or shown elsewhere.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with _folder_of(stack, shift) as folder:
                if shift is not None:
                    _become(shift.uid, shift.gid)
                syscalls.mount(source, target, "overlay", flags, _options(stack, folder))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="mount an overlay")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _become(uid: int, gid: int) -> None:
    """File system ids of this thread; its capabilities stay. The thread ends soon."""
    syscalls.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)


def _options(stack: Stack, folder: str) -> str:
    lower = ":".join(f"{folder}/{name}/fs" for name in stack.lower)
    options = f"{OPTIONS},lowerdir={lower}"
    if stack.upper:
        upper = f"{folder}/{stack.upper}"
        options += f",upperdir={upper}/fs,workdir={upper}/work"
    return options


@contextlib.contextmanager
def _folder_of(stack: Stack, shift: Shift | None) -> Iterator[str]:
    """A short path of the folder with the layers, as the map shows it."""
    with contextlib.ExitStack() as undo:
        folder = stack.folder
        if shift is not None:
            tree = syscalls.open_tree(syscalls.AT_FDCWD, folder, syscalls.OPEN_TREE_CLONE)
            try:
                syscalls.mount_setattr(tree, attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=shift.userns_fd)
                # Kernels before 6.15 take no layers from a mount that is attached nowhere.
                syscalls.move_mount(tree, shift.scratch)
            finally:
                os.close(tree)
            undo.callback(syscalls.umount2, shift.scratch, syscalls.MNT_DETACH)
            folder = shift.scratch
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        undo.callback(os.close, fd)
        yield f"/proc/self/fd/{fd}"
