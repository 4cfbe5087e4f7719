"""Containers between storage pools, and copies brought up to date: each step fails in turn."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import Faults
from wardian.core import containers, copies, pool_moves, pools, recovery, snapshots
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.pools import PoolWrite
from wardian.errors import HostFailed, InvalidInput, WardianError
from wardian.model.container import Container
from wardian.model.requests import ContainerCreate, ContainerSource, SnapshotCreate
from wardian.ports.storage import Volume

Action = Callable[[Host], Awaitable[Any]]
ROOT = {"root": {"type": "disk", "path": "/", "pool": "other"}}


async def finished(operation: Operation) -> None:
    await operation.finished.wait()
    if operation.err:
        raise HostFailed(operation.err)


@pytest.fixture
async def ready(host: Host) -> Host:
    """A host with two pools, the container c1 in one of them, and its snapshots s1 and s2."""
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    await pools.create(host, PoolWrite(name="other", driver="dir"))
    source = ContainerSource(type="none")
    await finished(await containers.create(host, ContainerCreate(source=source, name="c1", profiles=[])))
    write(host, "c1", "old")
    for name in ("s1", "s2"):
        await finished(await snapshots.create(host, "c1", SnapshotCreate(name=name)))
    write(host, "c1", "new")
    return host


def folder(host: Host, pool: str, kind: Any, name: str) -> Path:
    return host.storage.get(pool).path(Volume(kind, name))


def write(host: Host, name: str, text: str) -> None:
    (folder(host, "default", "container", name) / "file").write_text(text)


def read(host: Host, pool: str, kind: str, name: str) -> str:
    return (folder(host, pool, kind, name) / "file").read_text()


async def everything(host: Host) -> tuple[Any, ...]:
    files = [
        (pool, volume, read(host, pool, volume.kind, volume.name))
        for pool in ("default", "other")
        for volume in await host.storage.get(pool).volumes()
    ]
    return await host.records.containers.all(), await host.records.snapshots.all(), files


def request(*, refresh: bool = False, only: bool = False, pool: str = "other") -> ContainerCreate:
    source = ContainerSource(type="copy", source="c1", refresh=refresh, container_only=only)
    devices = {"root": {**ROOT["root"], "pool": pool}}
    return ContainerCreate(source=source, name="c2", devices=None if refresh else devices)


async def copy(host: Host) -> None:
    await finished(await copies.create(host, request()))


async def refresh(host: Host) -> None:
    await finished(await copies.create(host, request(refresh=True)))


async def move(host: Host) -> None:
    await finished(await pool_moves.move(host, "c1", "other"))


async def changed(host: Host) -> None:
    """c2 is a copy of c1, which has gone on since then."""
    await copy(host)
    write(host, "c1", "newest")
    for name in ("s1", "s2"):
        await finished(await snapshots.delete(host, await snapshots.get(host, "c1", name)))
    for name in ("s2", "s3"):
        await finished(await snapshots.create(host, "c1", SnapshotCreate(name=name)))


async def test_a_copy_in_another_pool_has_all_and_can_be_restored(ready: Host) -> None:
    await copy(ready)
    made = await containers.get(ready, "c2")
    assert made.pool == made.devices["root"]["pool"] == "other"
    assert read(ready, "other", "container", "c2") == "new"
    assert [s.own_name for s in await snapshots.every(ready, "c2")] == ["s1", "s2"]
    await snapshots.restore(ready, "c2", "s1")
    assert read(ready, "other", "container", "c2") == "old"
    assert (await containers.get(ready, "c1")).pool == "default"


async def test_a_container_moves_to_another_pool_with_its_snapshots(ready: Host) -> None:
    await move(ready)
    assert await ready.storage.get("default").volumes() == []
    assert (await containers.get(ready, "c1")).devices["root"]["pool"] == "other"
    assert read(ready, "other", "container", "c1") == "new"
    await snapshots.restore(ready, "c1", "s1")
    assert read(ready, "other", "container", "c1") == "old"
    for pool in ("other", "nowhere"):
        with pytest.raises(InvalidInput):
            await pool_moves.move(ready, "c1", pool)


@pytest.mark.parametrize("pool", ["default", "other"])
async def test_a_refresh_brings_files_and_snapshots_up_to_date(ready: Host, pool: str) -> None:
    await finished(await copies.create(ready, request(pool=pool)))
    await finished(await snapshots.create(ready, "c2", SnapshotCreate(name="own")))
    before = await containers.get(ready, "c2")
    write(ready, "c1", "newest")
    await finished(await snapshots.delete(ready, await snapshots.get(ready, "c1", "s1")))
    for name in ("s1", "s3"):
        await finished(await snapshots.create(ready, "c1", SnapshotCreate(name=name)))
    await refresh(ready)
    assert await containers.get(ready, "c2") == before
    assert read(ready, pool, "container", "c2") == "newest"
    assert [s.own_name for s in await snapshots.every(ready, "c2")] == ["s2", "s1", "s3"]
    texts = {"s2": "old", "s1": "newest", "s3": "newest"}
    assert {name: read(ready, pool, "snapshot", f"c2/{name}") for name in texts} == texts
    assert len(await ready.records.snapshots.all("c2")) == 3
    write(ready, "c1", "last")
    await finished(await copies.create(ready, request(refresh=True, only=True)))
    assert read(ready, pool, "container", "c2") == "last"
    with pytest.raises(InvalidInput, match="lxc config"):
        await copies.create(
            ready, ContainerCreate(source=request(refresh=True).source, name="c2", devices=ROOT)
        )


async def nothing(host: Host) -> None:
    """Before the action."""


@pytest.mark.parametrize(("first", "action"), [(nothing, copy), (nothing, move), (changed, refresh)])
async def test_whatever_step_fails_nothing_has_changed(
    ready: Host, faults: Faults, first: Action, action: Action
) -> None:
    await first(ready)
    before = await everything(ready)
    for number in range(50):
        faults.steps.clear()
        faults.fail_at = number
        try:
            await action(ready)
        except WardianError:
            faults.fail_at = None
            if len(faults.steps) < 7:  # from then on it is carried to its end
                assert await everything(ready) == before, faults.steps
            await recovery.sweep(ready)
            if (await containers.get(ready, "c1")).pool == "default":
                continue
        faults.fail_at = None
        assert number > 4
        assert await everything(ready) != before
        return
    pytest.fail("it never works")


@pytest.mark.parametrize("last", range(10))
@pytest.mark.parametrize(("first", "action"), [(nothing, copy), (nothing, move), (changed, refresh)])
async def test_whatever_step_a_daemon_dies_after_the_next_start_settles_it(
    ready: Host, faults: Faults, first: Action, action: Action, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies: all steps after that one fail, also those that would take something back."""
    await first(ready)

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
    kept, taken, files = await everything(ready)
    assert not any(found.pending for found in [*kept, *taken])
    where = {container.name: container.pool for container in kept}
    named = {(pool, "container", name) for name, pool in where.items()}
    named |= {(where[s.container], "snapshot", s.name) for s in taken}
    assert named == {(pool, volume.kind, volume.name) for pool, volume, _ in files}
    assert isinstance(kept[0], Container) and kept[0].name == "c1"
