"""What programs in a container watch (inotify(7)), by path: CRIU alone does not find all of it again.

It does not find links, nor anything on file systems that open no handles, such as overlay. We look for
what is watched on the container's root file system by inode, tell CRIU before a dump, and complete its
image after it (images.py).
"""

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.drivers.runtime.processes import inside
from wardian.linux import syscalls

Inode = tuple[int, int]
"""Device and number, as in /proc/PID/fdinfo."""

WATCH = re.compile(r"^inotify wd:\w+ ino:(\w+) sdev:(\w+) ", re.MULTILINE)
PLAIN = re.compile(r"[\w./@:+-]+")
"""Paths that can be told to CRIU, and a file of its options has no quotes for."""

MOST_ENTRIES = 1 << 20
"""How many files are looked at."""


def find(init_pid: int, rootfs: Path, proc: Path = Path("/proc")) -> dict[Inode, str]:
    """Paths in the container of what is watched in its root file system, as far as they are found."""
    device = _root_device((proc / str(init_pid) / "mountinfo").read_text())
    wanted = {number for found, number in _watched(init_pid, proc) if found == device}
    return {(device, number): path for number, path in _search(rootfs, wanted)}


def _root_device(mountinfo: str) -> int:
    """Of the file system that is mounted at /, as the kernel writes it."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if fields[4] == "/":
            major, minor = map(int, fields[2].split(":"))
            return major << 20 | minor
    return 0


def _watched(init_pid: int, proc: Path) -> Iterator[Inode]:
    for pid in inside(init_pid, proc):
        folder = proc / str(pid)
        try:
            for fd in os.listdir(folder / "fd"):
                if os.readlink(folder / "fd" / fd) == "anon_inode:inotify":
                    for number, device in WATCH.findall((folder / "fdinfo" / fd).read_text()):
                        yield int(device, 16), int(number, 16)
        except OSError:  # it ended
            continue


def _search(rootfs: Path, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """(inode, path in the container) of the wanted ones, those near the root first."""
    left, seen = set(wanted), 0
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if (own := os.stat(rootfs).st_ino) in left:
            left.discard(own)
            yield own, "/"
        folders = deque([""])
        while left and folders and seen < MOST_ENTRIES:
            folder = folders.popleft()
            for number, path, is_folder in _entries(root, folder):
                seen += 1
                if number in left:
                    left.discard(number)
                    yield number, f"/{path}"
                if is_folder:
                    folders.append(path)
    finally:
        os.close(root)


def _entries(root: int, folder: str) -> list[tuple[int, str, bool]]:
    """(inode, path below the root, whether it is a folder) of what is in a folder of the container."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
    try:
        fd = syscalls.openat2(root, folder or ".", flags, resolve=resolve)
    except OSError:  # it is gone, or another file system
        return []
    try:
        with os.scandir(fd) as entries:
            return [
                (entry.inode(), f"{folder}/{entry.name}".lstrip("/"), entry.is_dir(follow_symlinks=False))
                for entry in entries
            ]
    except OSError:
        return []
    finally:
        os.close(fd)


def options(found: Mapping[Inode, str]) -> list[str]:
    """Lines for CRIU that name them: the deepest first, since it looks through folders that are named."""
    paths = sorted(set(found.values()), key=lambda path: (-path.count("/"), path))
    return [f"irmap-scan-path {path}" for path in paths if path != "/" and PLAIN.fullmatch(path)]
