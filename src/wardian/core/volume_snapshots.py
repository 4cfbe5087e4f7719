"""Snapshots of custom volumes: taken, described, renamed and removed, in the background."""

from datetime import UTC, datetime

from msgspec.structs import replace

from wardian.core import volumes
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo
from wardian.core.volumes import VolumeWrite, volume_of
from wardian.errors import AlreadyExists, InvalidInput
from wardian.model import names
from wardian.model.container import CustomVolume


async def begin(host: Host, volume: CustomVolume, own_name: str) -> Operation:
    """Begin to keep the volume as it is now; without a name it gets the next of snap0, snap1, ..."""
    own_name = await _free_name(host, volume, own_name)

    async def work(_: Operation) -> None:
        await take(host, volume.pool, volume.own_name, own_name)

    return host.operations.start(
        "Snapshotting storage volume",
        work,
        resources={
            "storage_volumes": [volumes.url(volume)],
            "storage_volume_snapshots": [volumes.address(volume.pool, f"{volume.own_name}/{own_name}")],
        },
    )


async def _free_name(host: Host, volume: CustomVolume, own_name: str) -> str:
    """The name for a new snapshot; AlreadyExists if it has one of the name that is asked for."""
    taken = {s.own_name.partition("/")[2] for s in await host.records.volume_snapshots.all(volume.name)}
    own_name = own_name or next(f"snap{n}" for n in range(len(taken) + 1) if f"snap{n}" not in taken)
    names.check_volume(own_name)
    if own_name in taken:
        raise AlreadyExists(f'volume "{volume.own_name}" has a snapshot "{own_name}" already')
    return own_name


async def take(host: Host, pool: str, name: str, own_name: str) -> CustomVolume:
    """Keep a volume as it is now; own_name: as in `begin`."""
    async with volumes.alone(host, pool, name) as storage:
        volume = await volumes.get(host, pool, name)
        record = CustomVolume(
            name=f"{volume.name}/{await _free_name(host, volume, own_name)}",
            created_at=datetime.now(UTC),
            description=volume.description,
            config=volume.config,
            pending="create",
        )
        async with Undo() as undo:
            await host.records.volume_snapshots.insert(record)
            undo.on_failure(volumes.roll_back, host, storage, record)
            await storage.snapshot(volume_of(name), volume_of(record.own_name))
            made = replace(record, pending="")
            await host.records.volume_snapshots.replace(made)
            undo.keep()
    host.events.lifecycle("storage-volume-snapshot-created", volumes.url(made))
    return made


def begin_change(host: Host, found: CustomVolume, request: VolumeWrite, *, merge: bool) -> Operation:
    """Begin to change what is said of a snapshot; InvalidInput if more than that is to be changed."""
    changes_it = request.config is not None and request.config != found.config
    if request.restore is not None or changes_it:
        raise InvalidInput("a snapshot stays as it was taken: only its description can be changed")

    async def work(_: Operation) -> None:
        async with volumes.alone(host, found.pool, found.own_name):
            present = await volumes.get(host, found.pool, found.own_name)
            if request.description is not None or not merge:
                described = replace(present, description=request.description or "")
                await host.records.volume_snapshots.replace(described)
        host.events.lifecycle("storage-volume-snapshot-updated", volumes.url(found))

    return host.operations.start("Updating storage volume snapshot", work, resources=_resources(found))


async def begin_rename(host: Host, found: CustomVolume, new: str) -> Operation:
    """Begin to give a snapshot another name in its volume."""
    names.check_volume(new)
    after = f"{found.own_name.partition('/')[0]}/{new}"
    await _refuse_taken(host, found.pool, after)

    async def work(_: Operation) -> None:
        await rename(host, found.pool, found.own_name, after)

    return host.operations.start("Renaming storage volume snapshot", work, resources=_resources(found))


async def _refuse_taken(host: Host, pool: str, name: str) -> None:
    if await host.records.volume_snapshots.find(f"{pool}/{name}") is not None:
        raise AlreadyExists(f'storage pool "{pool}" has a snapshot "{name}" already')


async def rename(host: Host, pool: str, name: str, new: str) -> None:
    """Give the snapshot `VOLUME/NAME` another name in its volume: new, as a whole, too."""
    async with volumes.alone(host, pool, name) as storage:
        before = await volumes.get(host, pool, name)
        await _refuse_taken(host, pool, new)
        table = host.records.volume_snapshots
        async with Undo() as undo:
            begun = replace(before, name=f"{pool}/{new}", pending="rename", origin=before.name)
            await table.insert(begun)
            undo.on_failure(volumes.take_rename_back, host, storage, begun)
            await storage.rename(volume_of(name), volume_of(new))
            after = replace(begun, pending="", origin="")
            batch = host.records.batch()
            batch.replace(table, after, revision=await table.revision(after.name))
            batch.delete(table, before.name, revision=await table.revision(before.name))
            await batch.commit()
            undo.keep()
    host.events.lifecycle("storage-volume-snapshot-renamed", volumes.url(after))


def begin_delete(host: Host, found: CustomVolume) -> Operation:
    """Begin to remove a snapshot."""

    async def work(_: Operation) -> None:
        await volumes.delete(host, found.pool, found.own_name)

    return host.operations.start("Deleting storage volume snapshot", work, resources=_resources(found))


def _resources(found: CustomVolume) -> dict[str, list[str]]:
    return {"storage_volume_snapshots": [volumes.url(found)]}
