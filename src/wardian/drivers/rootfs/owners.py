"""Owners of a tree rewritten from one id map to another: the way where no mount can show them mapped.

The tree is not trusted: it is walked by descriptor, no link is followed, no other file system entered.
A change of owner clears set-user-ID bits and capabilities (chown(2)): they are put back after it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from wardian.linux import syscalls
from wardian.model import ownership
from wardian.model.idmap import IdMap
from wardian.model.ownership import Move

CAPABILITY = "security.capability"
ACLS = ("system.posix_acl_access", "system.posix_acl_default")
INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENOSYS)


def rewrite(top: Path, old: IdMap, new: IdMap) -> None:
    """Give all of the tree the owners that it has under `new` instead of `old`; OSError from the kernel.

    Ids outside of the maps stay. Nobody else may change the tree meanwhile; what is left by an error or
    a crash is a mixture, so callers work on a copy.
    """
    moved = ownership.move(old, new)
    seen: set[int] = set()
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        device = os.fstat(root).st_dev
        _change(root, ".", os.fstat(root), moved)
        waiting = ["."]
        while waiting:
            folder = waiting.pop()
            for fd, name, status in _entries(root, folder):
                if status.st_dev != device or status.st_ino in seen:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(f"{folder}/{name}")
                elif status.st_nlink > 1:
                    seen.add(status.st_ino)
                _change(fd, name, status, moved)
    finally:
        os.close(root)


def _entries(root: int, folder: str) -> Iterator[tuple[int, str, os.stat_result]]:
    """(fd of the folder, name, lstat) of what is in a folder; the fd is closed afterwards."""
    fd = syscalls.openat2(root, folder, os.O_RDONLY | os.O_DIRECTORY, resolve=INSIDE)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                yield fd, entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(fd)


def _change(folder: int, name: str, status: os.stat_result, moved: Move) -> None:
    uid, gid = moved("uid", status.st_uid), moved("gid", status.st_gid)
    if stat.S_ISLNK(status.st_mode):  # links have neither modes nor these attributes
        _chown(folder, name, uid, gid)
        return
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        path = f"/proc/self/fd/{fd}"
        attributes = _attributes(path, moved)
        _chown(folder, name, uid, gid)
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            os.chmod(path, stat.S_IMODE(status.st_mode))
        for key, value in attributes.items():
            os.setxattr(path, key, value)
    finally:
        os.close(fd)


def _chown(folder: int, name: str, uid: int | None, gid: int | None) -> None:
    if uid is not None or gid is not None:
        numbers = (-1 if number is None else number for number in (uid, gid))
        os.chown(name, *numbers, dir_fd=folder, follow_symlinks=False)


def _attributes(path: str, moved: Move) -> dict[str, bytes]:
    """The attributes that hold ids or that a change of owner clears, as they are to be."""
    found = {}
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno in NO_ATTRIBUTES:
            return {}
        raise
    for name in names:
        if name in ACLS:
            found[name] = ownership.moved_acl(os.getxattr(path, name), moved)
        elif name == CAPABILITY:
            found[name] = ownership.moved_capability(os.getxattr(path, name), moved)
    return found


@contextlib.contextmanager
def lent(folder: Path, uid: int, gid: int) -> Iterator[None]:
    """The folder itself belongs to this user while the block runs, and to root again afterwards."""
    os.chown(folder, uid, gid, follow_symlinks=False)
    try:
        yield
    finally:
        os.chown(folder, 0, 0, follow_symlinks=False)
