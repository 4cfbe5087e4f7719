"""Owners of a tree rewritten from one id map to another: the way where no mount can show them mapped.

The tree is not trusted: it is walked by descriptor, no link is followed, no other file system entered.
A change of owner clears set-user-ID bits and capabilities (chown(2)): they are put back after it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wardian.linux import syscalls
from wardian.model import ownership
from wardian.model.idmap import IdMap
from wardian.model.ownership import Move

CAPABILITY = "security.capability"
ACLS = ("system.posix_acl_access", "system.posix_acl_default")
INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class Entry:
    """What the walk found: a name in the folder that is open as `folder`."""

    folder: int
    name: str
    path: str
    """Below the top; `.` is the top itself."""
    status: os.stat_result


def rewrite(top: Path, old: IdMap, new: IdMap) -> None:
    """Give all of the tree the owners that it has under `new` instead of `old`; OSError from the kernel.

    Ids outside of the maps stay. Nobody else may change the tree meanwhile; what is left by an error or
    a crash is a mixture, so callers work on a copy.
    """
    moved = ownership.move(old, new)
    for entry in walk(top):
        change(entry, moved)


def walk(top: Path, stays: Callable[[str], None] = lambda path: None) -> Iterator[Entry]:
    """All of the tree, a folder before what is in it, each file once whatever its links; OSError.

    stays: called with the path of what is on another file system, and is passed over.
    """
    seen: set[int] = set()
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        device = os.fstat(root).st_dev
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            folder = _open(root, path, device)
            if folder is None:
                stays(path)
                continue
            for entry in _entries(folder, path):
                if entry.name != "." and stat.S_ISDIR(entry.status.st_mode):
                    waiting.append(entry.path)
                elif entry.status.st_dev != device:
                    stays(entry.path)
                elif entry.status.st_ino not in seen:
                    if entry.status.st_nlink > 1:
                        seen.add(entry.status.st_ino)
                    yield entry
    finally:
        os.close(root)


def _open(root: int, path: str, device: int) -> int | None:
    """A folder of the tree, or None if it is on another file system or a mount."""
    try:
        fd = syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=INSIDE)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return None
        raise
    if os.fstat(fd).st_dev == device:
        return fd
    os.close(fd)  # a subvolume
    return None


def _entries(fd: int, path: str) -> Iterator[Entry]:
    """The folder itself, by the name `.`, then what is in it; its descriptor is closed afterwards."""
    try:
        yield Entry(fd, ".", path, os.fstat(fd))
        with os.scandir(fd) as entries:
            for found in entries:
                yield Entry(fd, found.name, f"{path}/{found.name}", found.stat(follow_symlinks=False))
    finally:
        os.close(fd)


def change(entry: Entry, moved: Move) -> None:
    """Move the owners of one file and what else of it holds ids; OSError from the kernel."""
    folder, name, status = entry.folder, entry.name, entry.status
    uid, gid = moved("uid", status.st_uid), moved("gid", status.st_gid)
    if stat.S_ISLNK(status.st_mode):  # links have neither modes nor these attributes
        _chown(folder, name, uid, gid)
        return
    fd = syscalls.openat2(folder, name, os.O_PATH | os.O_NOFOLLOW, resolve=INSIDE)  # EXDEV: a mounted file
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
