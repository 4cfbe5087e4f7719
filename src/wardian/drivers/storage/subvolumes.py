"""Subvolumes of btrfs as trees: a volume, with those that a container has made in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wardian.linux import btrfs, syscalls


@contextmanager
def folder(path: Path) -> Iterator[int]:
    """An fd of a folder that is no link."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def inside(top: int, path: Path) -> Iterator[int]:
    """An fd of a folder below one that a container may change: without links, on the same file system."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
    fd = syscalls.openat2(top, path, os.O_RDONLY | os.O_DIRECTORY, resolve=resolve)
    try:
        yield fd
    finally:
        os.close(fd)


def nested(top: Path) -> list[Path]:
    """Subvolumes inside a subvolume, outer ones first: as the kernel lists them, nothing is searched."""
    with folder(top) as fd:
        return [top / path for path in _nested(fd)]


def _nested(top: int) -> list[Path]:
    found = []
    for path in sorted(map(Path, btrfs.nested(top))):
        with suppress(FileNotFoundError), inside(top, path) as fd:  # the container may move it meanwhile
            found += [path, *(path / deeper for deeper in _nested(fd))]
    return found


def identity(place: Path) -> btrfs.Identity:
    """Of a subvolume."""
    with folder(place) as fd:
        return btrfs.identity(fd)


def set_read_only(place: Path, read_only: bool) -> None:
    """Make a subvolume read-only or writable."""
    with folder(place) as fd:
        btrfs.set_read_only(fd, read_only)


def make(made: Path) -> None:
    """An empty subvolume, closed to others."""
    with folder(made.parent) as parent:
        btrfs.create_subvolume(parent, made.name)
    made.chmod(0o700)


@contextmanager
def making(made: Path) -> Iterator[Path]:
    """What is at the path when the block ends is removed: it failed, or has changed places with another."""
    try:
        yield made
    finally:
        discard(made)


def clone(origin: Path, made: Path, *, read_only: bool = False) -> None:
    """Clone a subvolume with what is nested in it (a snapshot has empty folders in their place).

    Nested ones are opened below the top one, without links: a container may move them meanwhile.
    Each call commits what the file system has gathered, so there are as few as possible.
    """
    with folder(origin) as top, folder(made.parent) as parent:
        found = _nested(top)
        btrfs.snapshot(top, parent, made.name, read_only=read_only and not found)
        if read_only and not found:
            return
        for path in found:
            place = made / path
            with inside(top, path) as fd, folder(place.parent) as above:
                place.rmdir()
                btrfs.snapshot(fd, above, place.name)
        if read_only:
            set_read_only(made, True)


def freeze(origin: Path, made: Path, *, is_frozen: bool) -> list[tuple[str, Path]]:
    """Read-only subvolumes with what one is, below a new folder; nested ones with their paths in it.

    is_frozen: the first is read-only already, and stands for itself.
    """
    made.mkdir(mode=0o700)
    with folder(origin) as top, folder(made) as place:
        if not is_frozen:
            btrfs.snapshot(top, place, "0", read_only=True)
        found = [("", origin if is_frozen else made / "0")]
        for number, path in enumerate(_nested(top), 1):
            with inside(top, path) as fd:
                btrfs.snapshot(fd, place, str(number), read_only=True)
            found.append((str(path), made / str(number)))
    return found


def remove(top: Path) -> None:
    """Remove a subvolume, deepest nested one first."""
    found = nested(top)
    for one in found and [top, *found]:  # a container can make read-only ones too, with others in them
        set_read_only(one, False)
    for one in reversed([top, *found]):
        _destroy(one)


def discard(path: Path) -> None:
    """Remove something in the making: a subvolume, or a folder with subvolumes that were received."""
    if not path.exists():
        return
    if btrfs.is_subvolume(path):
        remove(path)
        return
    for place, names, _ in os.walk(path):
        found = [name for name in names if btrfs.is_subvolume(Path(place, name))]
        for name in found:
            remove(Path(place, name))
        names[:] = set(names) - set(found)
    shutil.rmtree(path)


def _destroy(path: Path) -> None:
    with folder(path.parent) as parent:
        btrfs.delete_subvolume(parent, path.name)
