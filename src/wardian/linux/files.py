"""Reading and writing files inside trees that are not trusted: by descriptor, bounded, following no link."""

import contextlib
import os
import stat
from pathlib import Path

from wardian.linux import syscalls


def read_inside(folder: Path, name: str, *, limit: int) -> bytes | None:
    """The content of `folder/name`, or None if there is no such regular file without links on the way.

    At most `limit` bytes: ValueError if the file is larger.
    """
    try:
        fd = _open(folder, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{folder}/{name} is larger than {limit} bytes")
    return content


def names_inside(folder: Path, name: str) -> list[str]:
    """Names of the regular files in `folder/name`, sorted; none if that is no folder, or behind a link."""
    try:
        fd = _open(folder, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        with os.scandir(fd) as found:
            return sorted(entry.name for entry in found if entry.is_file(follow_symlinks=False))
    finally:
        os.close(fd)


def write_inside(folder: Path, name: str, content: bytes, *, mode: int = 0o644) -> None:
    """Put a file at `folder/name`, whole or not at all; the folder that it is in is made if it is missing.

    OSError if there is a link on the way.
    """
    place, _, own_name = name.rpartition("/")
    if place:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder / place, 0o755)
    inside = _open(folder, place or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fresh = f".{own_name}.fresh"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=inside)
        with open(os.open(fresh, flags, mode, dir_fd=inside), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, own_name, src_dir_fd=inside, dst_dir_fd=inside)
    finally:
        os.close(inside)


def remove_inside(folder: Path, name: str) -> None:
    """Remove the file `folder/name`; OSError if there is none, or a link on the way."""
    place, _, own_name = name.rpartition("/")
    inside = _open(folder, place or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.unlink(own_name, dir_fd=inside)
    finally:
        os.close(inside)


def _open(folder: Path, name: str, flags: int) -> int:
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
    try:
        return syscalls.openat2(root, name, flags, resolve=resolve)
    finally:
        os.close(root)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only root may read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w") as file:
        file.write(text)
