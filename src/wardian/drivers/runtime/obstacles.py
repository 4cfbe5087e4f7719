"""What in a running container CRIU cannot save, found in /proc before it tries."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

UNSAVED = re.compile(r"anon_inode:\[?(io_uring|perf_event|userfaultfd|bpf-\w+|kvm-\w+|fanotify)\]?")
"""Open files of kinds that CRIU does not know."""

OWN_NAMESPACES = {
    "mnt": ", as systemd gives it with PrivateTmp=, ProtectSystem= and others",
    "uts": ", as systemd gives it with ProtectHostname=",
    "ipc": ", as systemd gives it with PrivateIPC=",
    "user": ", as systemd gives it with PrivateUsers=",
    "cgroup": ", as systemd gives it with ProtectControlGroups=",
}
"""Kinds of which CRIU brings back one for the whole container, and who makes more. (Of mounts it saves
others, too, but fails to restore those of systemd's services.)"""

MOST = 5
"""Reasons of one kind that are told."""


def of_processes(init_pid: int, proc: Path = Path("/proc")) -> list[str]:
    """A phrase for each process of the container that is in the way; at most a few of each kind."""
    found: dict[str, list[str]] = {}
    for pid in _inside(init_pid, proc):
        try:
            for kind, reason in _reasons(pid, init_pid, proc):
                found.setdefault(kind, []).append(reason)
        except OSError:  # it ended
            continue
    return [reason for reasons in found.values() for reason in reasons[:MOST]]


def _inside(init_pid: int, proc: Path) -> Iterator[int]:
    """The processes that see the container's processes, or some of them."""
    depth = len(_field(proc / str(init_pid), "NSpid"))
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
    if len(_field(entry, "NSpid")) <= depth:
        return False
    parent = int(_field(entry, "PPid")[0])
    while parent > 1:
        if parent == init_pid:
            return True
        parent = int(_field(proc / str(parent), "PPid")[0])
    return False


def _reasons(pid: int, init_pid: int, proc: Path) -> Iterator[tuple[str, str]]:
    """(kind, phrase) of all that is in the way with one process."""
    folder, init = proc / str(pid), proc / str(init_pid)
    what = f"{_field(folder, 'NSpid')[-1]} ({(folder / 'comm').read_text().strip()})"
    if os.readlink(folder / "ns/pid") != os.readlink(init / "ns/pid"):
        yield "nesting", f"process {what} is in a container of its own: what runs nested cannot be saved"
        return
    for kind, option in OWN_NAMESPACES.items():
        if os.readlink(folder / "ns" / kind) != os.readlink(init / "ns" / kind):
            yield kind, f"process {what} has a {kind} namespace of its own{option} (docs/state.md)"
            return
    if _field(folder, "NSsid")[-1] == "0":
        yield "exec", f"process {what} was started by `lxc exec` and still runs; end it"
    for fd in (folder / "fd").iterdir():
        if found := UNSAVED.match(os.readlink(fd)):
            yield "files", f"process {what} uses {found[1]}"
            return


def _field(folder: Path, name: str) -> list[str]:
    for line in (folder / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    return ["0"]
