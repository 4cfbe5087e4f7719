"""The monitors of containers and the inits that they run, found in /proc."""

import os

from wardian.errors import HostFailed
from wardian.linux import process
from wardian.ports.runtime import Started


def is_monitor(pid: int, lxcpath: str, name: str) -> bool:
    """Whether the process is the monitor of this container.

    The title alone could be forged by any process; one inside a container could not be in our
    own user namespace.
    """
    try:
        title = process.title(pid)
        ours = os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
    except OSError:
        return False
    return ours and title == f"[lxc monitor] {lxcpath} {name}"


def of(lxcpath: str) -> list[tuple[str, int]]:
    """(container, pid) of each monitor that runs for a daemon."""
    found = []
    for pid in process.everyone():
        start = f"[lxc monitor] {lxcpath} "
        title = process.title(pid)
        if title.startswith(start) and is_monitor(pid, lxcpath, name := title.removeprefix(start)):
            found.append((name, pid))
    return found


def current_init(monitor_pid: int) -> int:
    """The pid of the init that the monitor runs; 0 if there is none right now."""
    for pid in process.children(monitor_pid):
        namespaced = status_field(pid, "NSpid")
        state = status_field(pid, "State")
        if namespaced and namespaced.split()[-1] == "1" and state and state[0] not in "ZX":
            return pid
    return 0


def has_own_users(started: Started) -> bool:
    """Whether the container has a user namespace of its own; HostFailed if it is gone."""
    try:
        return os.readlink(f"/proc/{started.init_pid}/ns/user") != os.readlink("/proc/self/ns/user")
    except OSError as error:
        raise HostFailed(f'container "{started.name}" is gone') from error


def signal_init(started: Started, number: int) -> None:
    """Send a signal to the init that the container has now, if any."""
    init = current_init(started.monitor_pid)
    if init:
        try:
            os.kill(init, number)
        except ProcessLookupError:
            return


def signals(pid: int, field: str) -> int:
    """A mask of signals from /proc/PID/status; 0 if the process is gone."""
    return int(status_field(pid, field) or "0", 16)


def status_field(pid: int, name: str) -> str | None:
    """The rest of a line of /proc/PID/status; None if the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(f"{name}:"):
                    return line.split(":", 1)[1].strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None
