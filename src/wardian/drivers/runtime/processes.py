"""The processes of a running container, found in /proc."""

import os
from collections.abc import Iterator
from pathlib import Path


def inside(init_pid: int, proc: Path = Path("/proc")) -> Iterator[int]:
    """The processes that see the container's processes, or some of them."""
    depth = len(field(proc / str(init_pid), "NSpid"))
    namespace = os.readlink(proc / str(init_pid) / "ns/pid")
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "ns/pid") == namespace or _is_below(entry, depth, init_pid, proc):
                yield int(entry.name)
        except OSError:
            continue


def _is_below(entry: Path, depth: int, init_pid: int, proc: Path) -> bool:
    """Whether a process is in a namespace of a container in this container: an ancestor is its init."""
    if len(field(entry, "NSpid")) <= depth:
        return False
    parent = int(field(entry, "PPid")[0])
    while parent > 1:
        if parent == init_pid:
            return True
        parent = int(field(proc / str(parent), "PPid")[0])
    return False


def field(folder: Path, name: str) -> list[str]:
    """The words of a line of /proc/PID/status; ["0"] if there is no such line. OSError if it ended."""
    for line in (folder / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    return ["0"]
