"""Limits of what runs, on a host of fakes: CPUs are shared out as containers come, change and go."""

from pathlib import Path

import pytest

from tests.fakes import FakeRuntime, make_host
from wardian.core import limits
from wardian.core.host import Host
from wardian.errors import InvalidInput
from wardian.model.limits import UNSET
from wardian.ports.runtime import Started


@pytest.fixture
def four(tmp_path: Path) -> Host:
    """A host with four CPUs and every control file."""
    host = make_host(tmp_path)
    host.machine = host.machine.__class__(
        **{**host.machine.__dict__, "control_files": frozenset(UNSET["v2"])}
    )
    runtime_of(host).cpu_numbers = (0, 1, 2, 3)
    return host


def runtime_of(host: Host) -> FakeRuntime:
    assert isinstance(host.runtime, FakeRuntime)
    return host.runtime


def run(host: Host, name: str, wish: str = "") -> None:
    host.running[name] = Started(name, 1, 2)
    limits.runs(host, name, {"limits.cpu": wish} if wish else {})


def cpu_set(host: Host, name: str) -> str | None:
    return runtime_of(host).written.get(name, {}).get("cpuset.cpus")


def test_cpus_are_shared_out_as_containers_start_change_and_stop(four: Host) -> None:
    run(four, "a", "2")
    run(four, "b", "2")
    assert (cpu_set(four, "a"), cpu_set(four, "b")) == ("0-1", "2-3")
    run(four, "pinned", "0-1")
    assert (cpu_set(four, "a"), cpu_set(four, "b")) == ("2-3", "0-1")
    limits.change(four, "pinned", {"limits.cpu": "0-1"}, {})
    assert cpu_set(four, "pinned") == "0-3"
    assert cpu_set(four, "a") == "0-1"
    limits.change(four, "pinned", {}, {"limits.cpu": "0-0"})
    del four.running["b"]
    limits.ended(four, "b")
    assert cpu_set(four, "a") == "1-2"


def test_a_container_without_the_key_is_left_alone(four: Host) -> None:
    run(four, "a")
    run(four, "b", "1")
    assert cpu_set(four, "a") is None


def test_a_cpu_that_is_not_there_is_refused_and_nothing_changes(four: Host) -> None:
    run(four, "a", "1")
    with pytest.raises(InvalidInput, match="names CPU 7"):
        limits.change(four, "a", {"limits.cpu": "1"}, {"limits.cpu": "7-7", "limits.processes": "5"})
    assert runtime_of(four).written["a"] == {"cpuset.cpus": "0"}


def test_a_reboot_gets_all_limits_again(four: Host) -> None:
    run(four, "a", "1")
    runtime_of(four).written.clear()
    limits.again(four, "a", {"limits.cpu": "1", "limits.processes": "7"})
    written = runtime_of(four).written["a"]
    assert (written["cpuset.cpus"], written["pids.max"], written["memory.max"]) == ("0", "7", "max")


def test_sets_are_written_again_when_cpus_come_or_go(four: Host) -> None:
    run(four, "a", "2")
    run(four, "b", "2")
    run(four, "free")
    runtime_of(four).cpu_numbers = (0, 1)
    limits.host_changed(four)
    assert (cpu_set(four, "a"), cpu_set(four, "b")) == ("0-1", "0-1")
    runtime_of(four).cpu_numbers = (0, 1, 2, 3)
    runtime_of(four).written.clear()
    limits.host_changed(four)
    assert (cpu_set(four, "a"), cpu_set(four, "b")) == ("0-1", "2-3")
    assert cpu_set(four, "free") is None
    runtime_of(four).cgroups = "v1"
    limits.host_changed(four)
    assert cpu_set(four, "free") == "0-3"
