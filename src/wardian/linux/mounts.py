"""What is mounted where, and on which kind of file system (proc(5), statfs(2))."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class MountPoint:
    """One line of /proc/self/mountinfo."""

    path: str
    kind: str
    source: str
    device: str = ""
    """MAJOR:MINOR of the file system."""


def parse_mountinfo(text: str) -> list[MountPoint]:
    """The mounts, oldest first."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        separator = fields.index("-")
        kind, source = fields[separator + 1 : separator + 3]
        found.append(MountPoint(_unescape(fields[4]), kind, _unescape(source), fields[2]))
    return found


def _unescape(text: str) -> str:
    for escaped, plain in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(escaped, plain)
    return text


def mount_at(path: Path) -> MountPoint | None:
    """What is mounted exactly there (the topmost), or None."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return next((m for m in reversed(mounts) if m.path == str(path)), None)


def mounts_below(path: Path) -> list[MountPoint]:
    """What is mounted at or below the path, deepest last."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return [m for m in mounts if m.path == str(path) or m.path.startswith(f"{path}/")]


def holding(path: Path) -> MountPoint | None:
    """The mount that the path is on."""
    parts = path.resolve().parts
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    above = [m for m in mounts if parts[: len(Path(m.path).parts)] == Path(m.path).parts]
    # The last of those at one place covers the others.
    return max(reversed(above), key=lambda m: len(Path(m.path).parts), default=None)


def is_supported(kind: str) -> bool:
    """Whether the kernel has a kind of file system, or a module that it loads when one is mounted."""
    if any(line.split()[-1] == kind for line in Path("/proc/filesystems").read_text().splitlines()):
        return True
    return has_module(kind)


def has_module(name: str) -> bool:
    """Whether the kernel has a module loaded, or one that it can load; name as in its file's name."""
    if Path("/sys/module", name.replace("-", "_")).exists():
        return True
    try:
        modules = Path(f"/lib/modules/{os.uname().release}/modules.dep").read_text()
    except FileNotFoundError:
        return False
    return f"/{name}.ko" in modules


def magic_of(path: Path) -> int:
    """The magic number of the file system that holds the path (statfs(2), f_type)."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
