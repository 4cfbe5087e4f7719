"""Limits of running containers, read back from the kernel."""

import time
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from wardian.linux import cgroups

CPUS = Path("/sys/devices/system/cpu")


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
    if group.read("memory", "memory.limit_in_bytes", "memory.none"):  # cgroup v2 takes it, and kills
        said = daemon.error("config", "set", container, "limits.memory", "1kB")
        assert said.endswith("more is in use that the kernel cannot take back")
        assert memory() == 128 * 2**20
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
    # A CPU that went and came again: the kernel tells, here because it is asked to.
    cgroups.Group(pid_of(daemon, container)).write("cpuset", ("cpuset.cpus", moved), ("cpuset.cpus", moved))
    (CPUS / f"cpu{first}" / "uevent").write_text("online")
    deadline = time.monotonic() + 30
    while cpu_set(daemon, container) != first:
        assert time.monotonic() < deadline
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


KNOBS = {
    ("limits.cpu.allowance", "25ms/100ms"): ("cpu.cfs_quota_us", "25000", "cpu.max", "25000 100000"),
    ("limits.cpu.allowance", "50%"): ("cpu.shares", "524", "cpu.weight", "51"),
    ("limits.cpu.priority", "0"): ("cpu.shares", "1014", "cpu.weight", "99"),
    ("limits.disk.priority", "10"): ("blkio.weight", "1000", "io.weight", "default 200"),
    ("limits.memory.enforce", "soft"): ("memory.soft_limit_in_bytes", str(2**26), "memory.high", str(2**26)),
    ("limits.memory.swap", "false"): ("memory.swappiness", "0", "memory.swap.max", "0"),
    ("limits.memory.swap.priority", "3"): ("memory.swappiness", "53", "", ""),
    ("limits.hugepages.64KB", "2MB"): (
        "hugetlb.64KB.limit_in_bytes",
        "2097152",
        "hugetlb.64KB.max",
        "2097152",
    ),
    ("limits.hugepages.1MB", "2MB"): ("hugetlb.1MB.limit_in_bytes", "2097152", "hugetlb.1MB.max", "2097152"),
    ("limits.hugepages.2MB", "4MB"): ("hugetlb.2MB.limit_in_bytes", "4194304", "hugetlb.2MB.max", "4194304"),
    ("limits.hugepages.1GB", "1GB"): (
        "hugetlb.1GB.limit_in_bytes",
        str(2**30),
        "hugetlb.1GB.max",
        str(2**30),
    ),
}
"""What is set -> the file and its content with cgroup v1 and with v2; a limit of 64 MB is there before."""


@pytest.mark.parametrize("setting", KNOBS, ids=" ".join)
def test_a_limit_reaches_the_control_group_and_leaves_it(
    daemon: Daemon, container: str, setting: tuple[str, str]
) -> None:
    v1, content_v1, v2, content_v2 = KNOBS[setting]
    daemon.lxc("config", "set", container, "limits.memory", "64MB")
    group = cgroups.Group(pid_of(daemon, container))
    controller = v1.partition(".")[0]
    before = group.read(controller, v1, v2 or "no such file")
    if before is None:
        pytest.skip(f"this kernel has no {v1 if cgroups.kind_of() == 'v1' else v2 or v1}")
    expected = content_v1 if cgroups.kind_of() == "v1" else content_v2
    daemon.lxc("config", "set", container, *setting)
    assert (group.read(controller, v1, v2) or "").strip() == expected
    daemon.lxc("config", "unset", container, setting[0])
    assert group.read(controller, v1, v2) == before
