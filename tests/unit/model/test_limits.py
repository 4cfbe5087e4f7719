"""From limits.* keys to cgroup files."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
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
    assert limits.ignored_keys(host) == ["limits.cpu", "limits.memory.swap", "limits.processes"]


def test_liblxc_gets_the_settings_under_its_own_names() -> None:
    config = {"limits.processes": "5"}
    v1 = limits.cgroup_settings(config, cgroup="v1", memory_total=GB, cpus=(0, 1))
    v2 = limits.cgroup_settings(config, cgroup="v2", memory_total=GB, cpus=(0, 1))
    assert (v1, v2) == ([("lxc.cgroup.pids.max", "5")], [("lxc.cgroup2.pids.max", "5")])


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("1", 1), ("8", 8), ("0,2", [0, 2]), ("0-3", [0, 1, 2, 3]), ("1-1", [1]), ("2,0-1,1", [0, 1, 2])],
)
def test_cpus_are_a_number_or_a_set(text: str, cpus: int | list[int]) -> None:
    assert limits.parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1,", ",1", "1--2", "3-1", "0-9999", "1 ,2", "1\n"])
def test_other_texts_are_no_cpus(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Invalid cpuset value: "):
        limits.parse_cpus(text)


def test_a_number_of_cpus_gets_the_least_used() -> None:
    usage = {0: 2, 1: 0, 2: 1}
    assert limits.choose_cpus("2", range(4), usage) == [1, 3]
    assert limits.choose_cpus("9", range(4), usage) == [0, 1, 2, 3]


def test_pinning_to_a_cpu_that_is_not_there_is_explained() -> None:
    with pytest.raises(
        InvalidInput, match=r'^limits.cpu "1,7" names CPU 7; this host has 0-3 for containers$'
    ):
        limits.choose_cpus("1,7", range(4), {})


@given(st.lists(st.integers(0, 300), min_size=2, unique=True).map(sorted))
def test_rendered_cpus_read_back_the_same(cpus: list[int]) -> None:
    assert limits.parse_cpus(limits.render_cpus(cpus)) == cpus


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 31), min_size=1),
    st.dictionaries(st.integers(0, 31), st.integers(0, 9)),
)
def test_chosen_cpus_are_the_hosts_and_as_many_as_asked(
    count: int, cpus: set[int], usage: dict[int, int]
) -> None:
    chosen = limits.choose_cpus(str(count), sorted(cpus), usage)
    assert set(chosen) <= cpus
    assert len(chosen) == min(count, len(cpus))
    left_out = cpus - set(chosen)
    assert not left_out or max(usage.get(c, 0) for c in chosen) <= min(usage.get(c, 0) for c in left_out)


@given(st.integers(0, 9999), st.integers(0, 10))
def test_cpu_shares_and_weight_are_in_the_kernels_range(percent: int, priority: int) -> None:
    config = {"limits.cpu.allowance": f"{percent}%", "limits.cpu.priority": str(priority)}
    assert 0 <= int(settings(config, "v1")["cpu.shares"]) <= 262_144
    assert 1 <= int(settings(config, "v2")["cpu.weight"]) <= 10_000
