"""What in a running container CRIU cannot save, found in /proc before it tries."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wardian.drivers.runtime.processes import field, inside

UNSAVED = re.compile(r"anon_inode:\[?(io_uring|perf_event|userfaultfd|bpf-\w+|kvm-\w+|fanotify)\]?")
"""Open files of kinds that CRIU does not know."""

OWN_NAMESPACES = ("mnt", "uts", "ipc", "user", "cgroup")
"""Kinds of which CRIU brings back one for the whole container. (Of mounts it saves others, too, but fails
to restore those of systemd's services.)"""

MOST = 5
"""Reasons of one kind that are told, and processes in one reason."""


def of_processes(init_pid: int, proc: Path = Path("/proc")) -> list[str]:
    """A phrase for each process of the container that is in the way; at most a few of each kind."""
    found: dict[str, list[str]] = {}
    apart = []
    for pid in inside(init_pid, proc):
        try:
            if _has_own_namespaces(pid, init_pid, proc):
                apart.append(_name(proc / str(pid)))
            else:
                for kind, reason in _reasons(pid, init_pid, proc):
                    found.setdefault(kind, []).append(reason)
        except OSError:  # it ended
            continue
    told = [reason for reasons in found.values() for reason in reasons[:MOST]]
    return [_apart(apart), *told] if apart else told


def _apart(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return (
        f"namespaces of their own have {', '.join(names[:MOST])}{more}: if systemd started them, set "
        "migration.stateful=true and restart the container"
    )


def _has_own_namespaces(pid: int, init_pid: int, proc: Path) -> bool:
    own, init = (proc / str(number) / "ns" for number in (pid, init_pid))
    if os.readlink(own / "pid") != os.readlink(init / "pid"):
        return False  # that is told
    return any(os.readlink(own / kind) != os.readlink(init / kind) for kind in OWN_NAMESPACES)


def _name(folder: Path) -> str:
    """How the container's administrator knows a process."""
    return f"{field(folder, 'NSpid')[-1]} ({(folder / 'comm').read_text().strip()})"


def _reasons(pid: int, init_pid: int, proc: Path) -> Iterator[tuple[str, str]]:
    """(kind, phrase) of all that is in the way with one process."""
    folder, init = proc / str(pid), proc / str(init_pid)
    what = _name(folder)
    if os.readlink(folder / "ns/pid") != os.readlink(init / "ns/pid"):
        yield "nesting", f"process {what} is in a container of its own: what runs nested cannot be saved"
        return
    if field(folder, "NSsid")[-1] == "0":
        yield "exec", f"process {what} was started by `lxc exec` and still runs; end it"
    for fd in (folder / "fd").iterdir():
        if found := UNSAVED.match(os.readlink(fd)):
            yield "files", f"process {what} uses {found[1]}"
            return
