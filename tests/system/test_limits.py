"""Limits of running containers, read back from the kernel."""

import time

from tests.system.harness import Daemon
from wardian.linux import cgroups


def pid_of(daemon: Daemon, container: str) -> int:
    """The pid of a container's init on the host; 0 if there is none right now."""
    return int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv").strip() or 0)


def cpu_set(daemon: Daemon, container: str) -> str:
    """The CPUs that the kernel lets a container use."""
    group = cgroups.Group(pid_of(daemon, container))
    return (group.read("cpuset", "cpuset.cpus", "cpuset.cpus") or "").strip()


def test_limits_change_while_the_container_runs(daemon: Daemon, container: str) -> None:
    pid = int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv"))
    group = cgroups.Group(pid)

    def memory() -> int | None:
        return group.number("memory", "memory.limit_in_bytes", "memory.max")

    unlimited = memory()
    for size in (64, 32, 128):
        daemon.lxc("config", "set", container, "limits.memory", f"{size}MB")
        assert memory() == size * 2**20
    daemon.lxc("config", "set", container, "limits.processes", "50")
    assert group.number("pids", "pids.max", "pids.max") == 50
    daemon.lxc("config", "set", container, "limits.cpu", "0-0")
    assert (group.read("cpuset", "cpuset.cpus", "cpuset.cpus") or "").strip() == "0"
    daemon.lxc("profile", "create", "small")
    daemon.lxc("profile", "apply", container, "default,small")
    daemon.lxc("config", "unset", container, "limits.memory")
    assert memory() == unlimited
    daemon.lxc("profile", "set", "small", "limits.memory", "48MB")
    assert memory() == 48 * 2**20
    daemon.lxc("profile", "apply", container, "default")
    daemon.lxc("profile", "delete", "small")
    assert memory() == unlimited


def test_cpus_are_shared_out_as_containers_come_change_and_go(daemon: Daemon, container: str) -> None:
    online = cgroups.effective_cpus()
    daemon.lxc("config", "set", container, "limits.cpu", "1")
    first = cpu_set(daemon, container)
    daemon.lxc("launch", "bb", "cpu-pinned", "-c", f"limits.cpu={first}-{first}")
    try:
        assert cpu_set(daemon, "cpu-pinned") == first
        moved = cpu_set(daemon, container)
        assert moved != first or online == first
        daemon.kill()
        daemon.start()
        daemon.lxc("config", "set", "cpu-pinned", "limits.cpu", f"{moved}-{moved}")
        assert cpu_set(daemon, container) == first
    finally:
        daemon.lxc("delete", "-f", "cpu-pinned")
    daemon.lxc("config", "unset", container, "limits.cpu")
    assert cpu_set(daemon, container) == online


def test_a_reboot_inside_keeps_limits_that_were_changed(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "set", container, "limits.memory=77MB", "limits.processes=77")
    before = pid_of(daemon, container)
    daemon.run("exec", container, "--", "reboot", "-f")

    def limits() -> tuple[int | None, int | None]:
        group = cgroups.Group(pid_of(daemon, container))
        memory = group.number("memory", "memory.limit_in_bytes", "memory.max")
        return memory, group.number("pids", "pids.max", "pids.max")

    deadline = time.monotonic() + 30
    while pid_of(daemon, container) == before or limits() != (77 * 2**20, 77):
        assert time.monotonic() < deadline, limits()
