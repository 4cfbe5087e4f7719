"""Each step of making, keeping, renaming and deleting volumes fails in turn: nothing is lost or left."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.fakes import Faults
from wardian.core import pools, volume_moves, volume_snapshots, volumes
from wardian.core.host import Host
from wardian.core.pools import PoolWrite
from wardian.core.travel import uncounted
from wardian.core.volumes import VolumeSource, VolumeWrite
from wardian.errors import HostFailed, WardianError
from wardian.ports.storage import Volume

Action = Callable[[Host], Awaitable[Any]]


@pytest.fixture
async def ready(host: Host) -> Host:
    """A host with the volume v1 and its snapshot s1."""
    for name in ("default", "other"):
        await pools.create(host, PoolWrite(name=name, driver="dir"))
    await volumes.create(host, "default", VolumeWrite(name="v1"))
    (host.storage.get("default").path(Volume("custom", "v1")) / "file").write_text("kept")
    await volume_snapshots.take(host, "default", "v1", "s1")
    return host


async def everything(host: Host) -> tuple[list[str], list[tuple[str, Volume, str]]]:
    """Names of the records, and the volumes with what is in them."""
    records = [*await host.records.volumes.all(), *await host.records.volume_snapshots.all()]
    assert not any(record.pending for record in records)
    found = []
    for pool in ("default", "other"):
        storage = host.storage.get(pool)
        for volume in await storage.volumes():
            file = storage.path(volume) / "file"
            found.append((pool, volume, file.read_text() if file.exists() else ""))
    return sorted(record.name for record in records), found


async def create(host: Host) -> None:
    await volumes.create(host, "default", VolumeWrite(name="v2", config={"size": "1GB"}))


async def copy(host: Host) -> None:
    source = VolumeSource(name="v1/s1")
    await volumes.create(host, "default", VolumeWrite(name="v2", source=source))


async def snapshot(host: Host) -> None:
    await volume_snapshots.take(host, "default", "v1", "")


async def rename(host: Host) -> None:
    await volumes.rename(host, "default", "v1", "v2")


async def rename_snapshot(host: Host) -> None:
    await volume_snapshots.rename(host, "default", "v1/s1", "v1/s2")


async def copy_to_another_pool(host: Host) -> None:
    source = VolumeSource(name="v1/s1", pool="default")
    await volumes.create(host, "other", VolumeWrite(name="v1", source=source))


async def move(host: Host) -> None:
    await volume_moves.carry(host, "default", "v1", "other", "v2", uncounted)


async def delete(host: Host) -> None:
    await volumes.delete(host, "default", "v1")


@pytest.mark.parametrize("action", [create, copy, copy_to_another_pool, snapshot, rename, rename_snapshot])
async def test_whatever_step_fails_nothing_has_changed(ready: Host, faults: Faults, action: Action) -> None:
    before = await everything(ready)
    for number in range(20):
        faults.steps.clear()
        faults.fail_at = number
        try:
            await action(ready)
        except WardianError:
            faults.fail_at = None
            assert await everything(ready) == before, number
            continue
        assert number > 1
        faults.fail_at = None
        assert await everything(ready) != before
        return
    pytest.fail("it never works")


@pytest.mark.parametrize("last", range(8))
@pytest.mark.parametrize(
    "action", [create, copy, copy_to_another_pool, snapshot, rename, rename_snapshot, move, delete]
)
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
    await volumes.sweep(ready)
    names, found = await everything(ready)
    assert names == sorted(f"{pool}/{volume.name}" for pool, volume, _ in found)
    if action is not delete:
        assert "kept" in [text for _, _, text in found]


async def test_a_volume_moves_to_another_pool_with_its_snapshots(ready: Host, faults: Faults) -> None:
    before = await everything(ready)
    for number in range(4):  # each sends and receives
        faults.steps.clear()
        faults.fail_at = number
        with pytest.raises(WardianError):
            await move(ready)
        faults.fail_at = None
        assert await everything(ready) == before, number
    await move(ready)
    assert await everything(ready) == (
        ["other/v2", "other/v2/s1"],
        [("other", Volume("custom", "v2"), "kept"), ("other", Volume("custom-snapshot", "v2/s1"), "kept")],
    )


async def test_a_pool_with_volumes_is_not_deleted(ready: Host) -> None:
    with pytest.raises(WardianError, match="volumes/custom/v1"):
        await pools.delete(ready, "default")
