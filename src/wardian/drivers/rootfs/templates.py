"""Templates of a volume: read from its `templates/`, written into its `rootfs/`; neither is trusted.

Everything is opened by descriptor: the source beneath `templates/` without any link, the target with the
root file system as its own root. What is there already is looked at before it is opened, so a fifo or
device that a container left in place of a file is never opened.
"""

import errno
import os
import stat
from pathlib import Path

from wardian.errors import HostFailed, InvalidInput, OutOfSpace
from wardian.linux import files, syscalls
from wardian.ports.rootfs import TemplateJob

TEMPLATE_BYTES = 1024 * 1024
RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
FULL = (errno.ENOSPC, errno.EDQUOT)
FILE_MODE = 0o644
FOLDER_MODE = 0o755


def read(folder: Path, job: TemplateJob) -> str | None:
    """The template's text; None if nothing is to be written, because the target is there and may stay."""
    if job.create_only and _is_there(folder, job.target):
        return None
    try:
        source = files.read_inside(folder / "templates", job.source, limit=TEMPLATE_BYTES)
    except (OSError, ValueError) as error:
        raise InvalidInput(f'template "{job.source}": {error}') from error
    if source is None:
        raise InvalidInput(f'template "{job.source}" for {job.target} is missing from the image')
    return source.decode(errors="replace")


def _root(folder: Path) -> int:
    return os.open(folder / "rootfs", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is_there(folder: Path, target: str) -> bool:
    root = _root(folder)
    try:
        os.close(syscalls.openat2(root, _relative(target), os.O_PATH, resolve=RESOLVE))
        return True
    except OSError:
        return False
    finally:
        os.close(root)


def _relative(target: str) -> str:
    return "/".join(part for part in target.split("/") if part)


def write(folder: Path, target: str, text: str) -> None:
    """Write the target; owner and mode of what is there stay, what is missing is root's."""
    root = _root(folder)
    try:
        path = _relative(target)
        parts = path.split("/")
        for depth in range(1, len(parts)):
            _make_folder(root, "/".join(parts[:depth]))
        fd = _open(root, path, target)
        with open(fd, "wb") as file:
            file.write(text.encode())
    except OSError as error:
        kind = OutOfSpace if error.errno in FULL else HostFailed
        raise kind(f'cannot write template target "{target}": {error.strerror}') from error
    finally:
        os.close(root)


def _open(root: int, path: str, target: str) -> int:
    """The target, empty and open for writing."""
    try:
        handle = syscalls.openat2(root, path, os.O_PATH, resolve=RESOLVE)
    except FileNotFoundError:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        fd = syscalls.openat2(root, path, flags, resolve=RESOLVE, mode=FILE_MODE)
        os.fchmod(fd, FILE_MODE)
        _give(root, fd)
        return fd
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InvalidInput(f'template target "{target}" is not a file')
        return os.open(f"/proc/self/fd/{handle}", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _make_folder(root: int, path: str) -> None:
    parent, _, name = path.rpartition("/")
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        os.close(syscalls.openat2(root, path, flags, resolve=RESOLVE))
        return
    except FileNotFoundError:
        pass
    above = syscalls.openat2(root, parent or ".", flags, resolve=RESOLVE)
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=above)
        os.chmod(name, FOLDER_MODE, dir_fd=above)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            _give(root, made)
        finally:
            os.close(made)
    finally:
        os.close(above)


def _give(root: int, fd: int) -> None:
    """What is missing is made for the root of the tree, whose owners may be shifted."""
    top = os.fstat(root)
    if (top.st_uid, top.st_gid) != (0, 0):
        os.fchown(fd, top.st_uid, top.st_gid)
