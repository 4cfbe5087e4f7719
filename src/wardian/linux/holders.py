"""Who keeps a file system that we have unmounted: mounts in other namespaces, open files.

A mount is copied into every mount namespace that is made while it is there (services with private
mounts, other containers), and may outlive ours in them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wardian.linux import mounts, syscalls

PROC = Path("/proc")
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def processes(proc: Path = PROC) -> list[int]:
    """Pids of all processes."""
    return sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def mounted_elsewhere(device: str, proc: Path = PROC) -> Iterator[tuple[int, str]]:
    """(a process in the namespace, where there) of a file system's mounts in other mount namespaces.

    device: MAJOR:MINOR as in mountinfo. The deepest mounts come first.
    """
    seen = {os.readlink(proc / "self/ns/mnt")}
    for pid in processes(proc):
        with suppress(*GONE):
            namespace = os.readlink(proc / f"{pid}/ns/mnt")
            if namespace in seen:
                continue
            seen.add(namespace)
            found = mounts.parse_mountinfo((proc / f"{pid}/mountinfo").read_text(errors="surrogateescape"))
            for mount in reversed(found):
                if mount.device == device:
                    yield pid, mount.path


def unmount_elsewhere(device: str) -> int:
    """Detach a file system from all other mount namespaces; from how many places."""
    found = list(mounted_elsewhere(device))
    for pid, path in found:
        with suppress(OSError):
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _unmount_in(namespace, path)
            finally:
                os.close(namespace)
    return len(found)


def _unmount_in(namespace: int, path: str) -> None:
    """In a thread that ends afterwards; none of the programs of that namespace is run."""

    def work() -> None:
        with suppress(OSError):
            syscalls.unshare(syscalls.CLONE_FS)
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
            syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)

    thread = threading.Thread(target=work, name="unmount")
    thread.start()
    thread.join()


def users(device: int, proc: Path = PROC) -> list[str]:
    """Processes with open files or folders on a file system (st_dev), as `PID (NAME)`; ours left out."""
    found = []
    for pid in processes(proc):
        if pid != os.getpid() and _uses(proc / str(pid), device):
            with suppress(*GONE):
                found.append(f"{pid} ({(proc / str(pid) / 'comm').read_text().strip()})")
    return found


def _uses(process: Path, device: int) -> bool:
    with suppress(*GONE):
        links = [process / "cwd", process / "root", *(process / "fd").iterdir()]
        for link in links:
            with suppress(*GONE):
                if link.stat().st_dev == device:
                    return True
    return False
