"""From limits.* keys to cgroup files."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.model import limits

GB = 2**30


def settings(config: dict[str, str], cgroup: Literal["v1", "v2"], **more: object) -> dict[str, str]:
    """The settings without their common prefix."""
    host = limits.CgroupHost(cgroup, 16 * GB, range(4), **more)  # type: ignore[arg-type]
    return dict(knob for group in limits.GROUPS for knob in group(config, host))


@pytest.mark.parametrize("cgroup", ["v1", "v2"])
def test_nothing_is_written_when_nothing_is_limited(cgroup: Literal["v1", "v2"]) -> None:
    assert settings({"user.x": "1", "limits.memory": ""}, cgroup) == {}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"limits.memory": "1GB"},
            {
                "memory.limit_in_bytes": "1073741824",
                "memory.memsw.limit_in_bytes": "1073741824",
                "memory.soft_limit_in_bytes": "966367641",
            },
        ),
        (
            {"limits.memory": "1GB", "limits.memory.swap": "false"},
            {
                "memory.limit_in_bytes": "1073741824",
                "memory.soft_limit_in_bytes": "966367641",
                "memory.swappiness": "0",
            },
        ),
        (
            {"limits.memory": "1GB", "limits.memory.enforce": "soft"},
            {"memory.soft_limit_in_bytes": "1073741824"},
        ),
        ({"limits.memory.swap.priority": "3"}, {"memory.swappiness": "53"}),
        ({"limits.memory.swap": "no", "limits.memory.swap.priority": "3"}, {"memory.swappiness": "0"}),
        ({"limits.cpu.allowance": "50%"}, {"cpu.shares": "524"}),
        ({"limits.cpu.allowance": "50%", "limits.cpu.priority": "4"}, {"cpu.shares": "518"}),
        ({"limits.cpu.priority": "0"}, {"cpu.shares": "1014"}),
        (
            {"limits.cpu.allowance": "25ms/100ms", "limits.cpu.priority": "5"},
            {"cpu.shares": "1019", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"},
        ),
        ({"limits.disk.priority": "3"}, {"blkio.weight": "300"}),
        ({"limits.disk.priority": "0"}, {"blkio.weight": "10"}),
        ({"limits.processes": "200"}, {"pids.max": "200"}),
        ({"limits.hugepages.2MB": "5MB"}, {"hugetlb.2MB.limit_in_bytes": "4194304"}),
        ({"limits.hugepages.64KB": "1"}, {"hugetlb.64KB.limit_in_bytes": "0"}),
        ({"limits.hugepages.1MB": "1MB"}, {"hugetlb.1MB.limit_in_bytes": "1048576"}),
        ({"limits.cpu": "0,2-3"}, {"cpuset.cpus": "0,2-3"}),
    ],
)
def test_limits_become_files_of_cgroup_v1(config: dict[str, str], expected: dict[str, str]) -> None:
    assert settings(config, "v1") == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"limits.memory": "1GB"}, {"memory.max": "1073741824", "memory.swap.max": "1073741824"}),
        (
            {"limits.memory": "1GB", "limits.memory.swap": "false"},
            {"memory.max": "1073741824", "memory.swap.max": "0"},
        ),
        ({"limits.memory": "1GB", "limits.memory.enforce": "soft"}, {"memory.high": "1073741824"}),
        ({"limits.memory.swap": "off"}, {"memory.swap.max": "0"}),
        ({"limits.memory.swap.priority": "3"}, {}),
        ({"limits.cpu.allowance": "50%"}, {"cpu.weight": "51"}),
        ({"limits.cpu.allowance": "100%"}, {"cpu.weight": "100"}),
        ({"limits.cpu.allowance": "25ms/100ms"}, {"cpu.weight": "100", "cpu.max": "25000 100000"}),
        ({"limits.disk.priority": "5"}, {"io.weight": "100"}),
        ({"limits.disk.priority": "0"}, {"io.weight": "2"}),
        ({"limits.processes": "200"}, {"pids.max": "200"}),
        ({"limits.hugepages.1GB": "3GB"}, {"hugetlb.1GB.max": "3221225472"}),
        ({"limits.cpu": "1"}, {"cpuset.cpus": "0"}),
    ],
)
def test_limits_become_files_of_cgroup_v2(config: dict[str, str], expected: dict[str, str]) -> None:
    assert settings(config, "v2") == expected


def test_a_percentage_is_of_the_host_memory_and_divides_first() -> None:
    host = limits.CgroupHost("v2", 1099, (0,))
    assert limits.memory({"limits.memory": "50%"}, host)[0] == ("memory.max", "500")


def test_memory_is_lowered_before_memory_and_swap() -> None:
    names = list(settings({"limits.memory": "1GB"}, "v1"))
    assert names.index("memory.limit_in_bytes") < names.index("memory.memsw.limit_in_bytes")


def test_files_that_the_kernel_lacks_are_not_written() -> None:
    config = {
        "limits.memory": "1GB",
        "limits.disk.priority": "3",
        "limits.processes": "5",
        "limits.cpu": "1",
    }
    present = ("memory.limit_in_bytes", "blkio.bfq.weight")
    assert settings(config, "v1", files=present) == {
        "memory.limit_in_bytes": "1073741824",
        "blkio.bfq.weight": "300",
    }
    assert settings(config, "v2", files=()) == {}


@pytest.mark.parametrize("cgroup", ["v1", "v2"])
def test_every_knob_is_a_file_that_is_looked_for(cgroup: Literal["v1", "v2"]) -> None:
    everything = {
        "limits.cpu": "1",
        "limits.cpu.allowance": "5ms/10ms",
        "limits.disk.priority": "1",
        "limits.memory": "1GB",
        "limits.processes": "1",
    }
    soft = {"limits.memory": "1GB", "limits.memory.enforce": "soft", "limits.memory.swap": "no"}
    looked_for = set(limits.UNSET[cgroup])
    assert set(settings(everything, cgroup)) | set(settings(soft, cgroup)) <= looked_for
    assert settings(everything, cgroup, files=looked_for) == settings(everything, cgroup)


def test_limits_without_control_files_are_named() -> None:
    host = limits.CgroupHost("v2", GB, (0,), files={"memory.max", "io.bfq.weight", "cpu.max"})
    assert limits.ignored_keys(host) == [
        "limits.cpu",
        "limits.hugepages.2MB",
        "limits.memory.swap",
        "limits.processes",
    ]


def test_liblxc_gets_the_settings_under_its_own_names() -> None:
    config = {"limits.processes": "5"}
    v1 = limits.cgroup_settings(config, limits.CgroupHost("v1", GB, (0, 1)))
    v2 = limits.cgroup_settings(config, limits.CgroupHost("v2", GB, (0, 1)))
    assert (v1, v2) == ([("lxc.cgroup.pids.max", "5")], [("lxc.cgroup2.pids.max", "5")])


@given(st.integers(0, 9999), st.integers(0, 10))
def test_cpu_shares_and_weight_are_in_the_kernels_range(percent: int, priority: int) -> None:
    config = {"limits.cpu.allowance": f"{percent}%", "limits.cpu.priority": str(priority)}
    assert 0 <= int(settings(config, "v1")["cpu.shares"]) <= 262_144
    assert 1 <= int(settings(config, "v2")["cpu.weight"]) <= 10_000
