"""Each step of taking, restoring, copying and renaming fails in turn: all is as it was before."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import Faults
from wardian.core import containers, copies, pools, recovery, renames, snapshots
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.pools import PoolWrite
from wardian.errors import HostFailed, WardianError
from wardian.model.requests import ContainerCreate, ContainerSource, SnapshotCreate
from wardian.ports.storage import Volume

Action = Callable[[Host], Awaitable[Any]]


async def finished(operation: Operation) -> None:
    await operation.finished.wait()
    if operation.err:
        raise HostFailed(operation.err)


@pytest.fixture
async def ready(host: Host) -> Host:
    """A host with the container c1 and its snapshot s1."""
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    source = ContainerSource(type="none")
    await finished(await containers.create(host, ContainerCreate(source=source, name="c1", profiles=[])))
    (folder(host, "c1") / "file").write_text("old")
    await finished(await snapshots.create(host, "c1", SnapshotCreate(name="s1")))
    (folder(host, "c1") / "file").write_text("new")
    return host


def folder(host: Host, name: str) -> Path:
    return host.storage.get("default").path(Volume("container", name))


async def everything(host: Host) -> tuple[Any, ...]:
    """What there is: records, volumes, and what is in them."""
    storage = host.storage.get("default")
    volumes = await storage.volumes()
    files = [(v, (storage.path(v) / "file").read_text()) for v in volumes]
    return await host.records.containers.all(), await host.records.snapshots.all(), files


async def take(host: Host) -> None:
    await finished(await snapshots.create(host, "c1", SnapshotCreate(name="s2")))


async def restore(host: Host) -> None:
    await snapshots.restore(host, "c1", "s1")


async def copy(host: Host) -> None:
    source = ContainerSource(type="copy", source="c1")
    await finished(await copies.create(host, ContainerCreate(source=source, name="c2")))


async def rename(host: Host) -> None:
    await finished(await renames.begin(host, "c1", "c2"))


async def rename_snapshot(host: Host) -> None:
    await finished(await snapshots.rename(host, await snapshots.get(host, "c1", "s1"), "s2"))


ACTIONS: list[Action] = [take, copy, rename, rename_snapshot]


@pytest.mark.parametrize("action", ACTIONS)
async def test_whatever_step_fails_nothing_has_changed(ready: Host, faults: Faults, action: Action) -> None:
    before = await everything(ready)
    for number in range(50):
        faults.steps.clear()
        faults.fail_at = number
        try:
            await action(ready)
        except WardianError:
            faults.fail_at = None
            assert await everything(ready) == before, number
            continue
        assert number > 1
        assert await everything(ready) != before
        return
    pytest.fail("it never works")


async def test_a_restore_that_fails_leaves_the_container_as_it_was(ready: Host, faults: Faults) -> None:
    faults.fail_at = len(faults.steps)
    with pytest.raises(WardianError):
        await restore(ready)
    faults.fail_at = None
    found = await containers.get(ready, "c1")
    assert (found.pending, found.origin) == ("", "")
    await restore(ready)
    assert (folder(ready, "c1") / "file").read_text() == "old"


@pytest.mark.parametrize("last", range(8))
@pytest.mark.parametrize("action", [*ACTIONS, restore])
async def test_whatever_step_a_daemon_dies_after_the_next_start_settles_it(
    ready: Host, faults: Faults, action: Action, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies: all steps after that one fail, also those that would take something back."""

    def step(self: Faults, name: str) -> None:
        self.steps.append(name)
        if self.fail_at is not None and len(self.steps) > self.fail_at:
            raise HostFailed(f'"{name}" after the end')

    monkeypatch.setattr(Faults, "step", step)
    faults.fail_at = len(faults.steps) + last
    with contextlib.suppress(WardianError):
        await action(ready)
    faults.fail_at = None
    await recovery.sweep(ready)
    containers_left, snapshots_left, files = await everything(ready)
    assert not any(found.pending for found in [*containers_left, *snapshots_left])
    named = {("container", c.name) for c in containers_left} | {("snapshot", s.name) for s in snapshots_left}
    assert named == {(volume.kind, volume.name) for volume, _ in files}
    assert "old" in [text for _, text in files] and len(containers_left) in (1, 2)
