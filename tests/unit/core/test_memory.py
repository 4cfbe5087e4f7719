"""Stateful stop, start, snapshot and restore: the memory belongs to the files, or is gone."""

from pathlib import Path

import pytest

from tests.fakes import FakeRuntime
from wardian.core import containers, copies, lifecycle, memory, pools, snapshots, starts
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.pools import PoolWrite
from wardian.errors import HostFailed, InvalidInput
from wardian.model.container import Container
from wardian.model.requests import ContainerCreate, ContainerSource, SnapshotCreate, StateChange


async def finished(operation: Operation) -> None:
    await operation.finished.wait()
    if operation.err:
        raise HostFailed(operation.err)


async def act(host: Host, action: str, *, stateful: bool = False) -> None:
    change = StateChange(action=action, stateful=stateful)
    await finished(await lifecycle.change_state(host, "c1", change))


async def c1(host: Host) -> Container:
    return await host.records.containers.get("c1")


async def saved(host: Host) -> Path:
    return memory.folder(host, await c1(host)) / "memory"


def runtime(host: Host) -> FakeRuntime:
    assert isinstance(host.runtime, FakeRuntime)
    return host.runtime


@pytest.fixture
async def running(host: Host) -> Host:
    """A host on which c1 runs."""
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    source = ContainerSource(type="none")
    await finished(await containers.create(host, ContainerCreate(source=source, name="c1", profiles=[])))
    await act(host, "start")
    return host


async def test_a_stateful_stop_is_continued_once(running: Host) -> None:
    await act(running, "stop", stateful=True)
    assert "c1" not in running.running and (await c1(running)).stateful
    assert (await saved(running)).is_file()
    await act(running, "start", stateful=True)
    assert runtime(running).restored == ["c1"]
    assert not (await c1(running)).stateful and not (await saved(running)).exists()
    await act(running, "stop")
    with pytest.raises(HostFailed, match="no existing state"):
        await act(running, "start", stateful=True)


async def test_a_start_without_the_state_discards_it(running: Host) -> None:
    await act(running, "stop", stateful=True)
    await act(running, "start")
    assert runtime(running).restored == []
    assert not (await c1(running)).stateful and not (await saved(running)).exists()


async def test_the_daemon_that_boots_goes_on_with_the_state(running: Host) -> None:
    await act(running, "stop", stateful=True)
    await starts.start(running, "c1")
    assert runtime(running).restored == ["c1"]


@pytest.mark.parametrize("failing", ["save", "restore"])
async def test_a_failure_loses_nothing(running: Host, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    faults = runtime(running)._faults
    step = faults.step

    def fails(name: str) -> None:
        step(name)
        if name == failing:
            raise HostFailed(f"{name} failed")

    monkeypatch.setattr(faults, "step", fails)
    if failing == "save":
        with pytest.raises(HostFailed, match="save failed"):
            await act(running, "stop", stateful=True)
        assert "c1" in running.running and not (await c1(running)).stateful
        assert not (await saved(running)).exists()
        return
    await act(running, "stop", stateful=True)
    with pytest.raises(HostFailed, match="restore failed"):
        await act(running, "start", stateful=True)
    assert "c1" not in running.running and (await c1(running)).stateful
    assert (await saved(running)).is_file()


async def test_a_snapshot_has_the_memory_and_the_container_goes_on(running: Host) -> None:
    await finished(await snapshots.create(running, "c1", SnapshotCreate(name="s", stateful=True)))
    taken = await snapshots.get(running, "c1", "s")
    assert (
        taken.stateful and "c1" in running.running and not running.runtime.is_frozen(running.running["c1"])
    )
    assert not (await saved(running)).exists() and not (await c1(running)).stateful
    await snapshots.restore(running, "c1", "s")
    assert runtime(running).restored == [] and not (await saved(running)).exists()
    await snapshots.restore(running, "c1", "s", stateful=True)
    assert runtime(running).restored == ["c1"]
    request = ContainerCreate(source=ContainerSource(type="copy", source="c1/s"), name="c2")
    await finished(await copies.create(running, request))
    copy = await running.records.containers.get("c2")
    assert not copy.stateful and not memory.folder(running, copy).exists()


async def test_what_is_in_the_way_is_told(running: Host) -> None:
    runtime(running).in_the_way = ["process 7 (x) is odd"]
    told = await memory.describe(running, await c1(running))
    assert told == {"criu": "4.0", "running": True, "obstacles": ["process 7 (x) is odd"]}
    with pytest.raises(HostFailed, match="is odd"):
        await act(running, "stop", stateful=True)
    with pytest.raises(HostFailed, match="is odd"):
        await finished(await snapshots.create(running, "c1", SnapshotCreate(name="s", stateful=True)))
    assert not running.runtime.is_frozen(running.running["c1"])
    assert await snapshots.every(running, "c1") == []
    runtime(running).has_criu = False
    assert (await memory.describe(running, await c1(running)))["obstacles"] == ["CRIU isn't installed"]


async def test_memory_is_only_of_what_runs(running: Host) -> None:
    await finished(await snapshots.create(running, "c1", SnapshotCreate(name="plain")))
    with pytest.raises(InvalidInput, match="without memory"):
        await snapshots.restore(running, "c1", "plain", stateful=True)
    with pytest.raises(InvalidInput, match="of no use"):
        await lifecycle.change_state(running, "c1", StateChange(action="freeze", stateful=True))
    await act(running, "stop")
    with pytest.raises(InvalidInput, match="isn't running"):
        await snapshots.create(running, "c1", SnapshotCreate(name="s", stateful=True))
