"""Custom volumes copied, and moved to another storage pool with their snapshots: background work."""

from msgspec.structs import replace

from wardian.core import travel, volumes
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo, to_the_end
from wardian.core.volumes import VolumeWrite
from wardian.errors import AlreadyExists, InvalidInput
from wardian.model import names
from wardian.model.container import CustomVolume
from wardian.ports.storage import Volume

STAGE = "fs"
"""What clients show progress for."""


async def copy(host: Host, pool: str, request: VolumeWrite) -> Operation:
    """Begin to make a volume that is a copy of another one, or of a snapshot."""
    await volumes.check_new(host, pool, request)

    async def work(operation: Operation) -> None:
        await volumes.create(host, pool, request, travel.counted(operation, STAGE))

    listed = {"storage_volumes": [volumes.address(pool, request.name)]}
    return host.operations.start("Copying storage volume", work, resources=listed, may_cancel=True)


async def move(host: Host, pool: str, name: str, there: str, new: str) -> Operation:
    """Begin to carry an unused volume to another pool, where it is called `new`; then it goes here."""
    names.check_volume(new)
    await host.records.pools.get(there)
    await _check(host, await volumes.get(host, pool, name), there, new)

    async def work(operation: Operation) -> None:
        await carry(host, pool, name, there, new, travel.counted(operation, STAGE))

    listed = {"storage_volumes": [volumes.address(pool, name), volumes.address(there, new)]}
    return host.operations.start("Moving storage volume", work, resources=listed, may_cancel=True)


async def _check(host: Host, before: CustomVolume, there: str, new: str) -> None:
    if users := await volumes.used_by(host, before):
        raise InvalidInput(f'volume "{before.own_name}" is in use by {", ".join(users)}')
    volumes.check_config(host.storage.get(there), before.config)
    if await host.records.volumes.find(f"{there}/{new}") is not None:
        raise AlreadyExists(f'storage pool "{there}" has a volume "{new}" already')


async def carry(host: Host, pool: str, name: str, there: str, new: str, count: travel.Count) -> None:
    """Do it; count: called with the bytes of each piece."""
    async with volumes.alone(host, pool, name, also=f"{there}/{new}"):
        before = await volumes.get(host, pool, name)
        await _check(host, before, there, new)
        after = replace(before, name=f"{there}/{new}", pending="create")
        async with Undo() as undo:
            await host.records.volumes.insert(after)
            undo.on_failure(volumes.remove, host, after)
            await _carry(host, before, after, count)
            await volumes.apply_quota(host, after)
            after = replace(after, pending="")
            gone = replace(before, pending="delete")
            table, batch = host.records.volumes, host.records.batch()
            for snapshot in await host.records.volume_snapshots.all(after.name):
                shown = replace(snapshot, pending="")
                revision = await host.records.volume_snapshots.revision(shown.name)
                batch.replace(host.records.volume_snapshots, shown, revision=revision)
            for record in (after, gone):
                batch.replace(table, record, revision=await table.revision(record.name))
            await batch.commit()
            undo.keep()
        await to_the_end(volumes.remove(host, gone))
    host.events.lifecycle("storage-volume-renamed", volumes.url(after))


async def _carry(host: Host, before: CustomVolume, after: CustomVolume, count: travel.Count) -> None:
    """Snapshots first, the oldest at the beginning: each is the base of what follows."""
    source, target = host.storage.get(before.pool), host.storage.get(after.pool)
    bases: tuple[Volume, Volume] | None = None
    for snapshot in await volumes.snapshots(host, before):
        made = replace(
            snapshot, name=f"{after.name}/{snapshot.own_name.partition('/')[2]}", pending="create"
        )
        await host.records.volume_snapshots.insert(made)
        here, there = volumes.volume_of(snapshot.own_name), volumes.volume_of(made.own_name)
        await travel.carry(source, here, target, there, count, bases, volumes.size_of(after))
        bases = (here, there)
    here, there = volumes.volume_of(before.own_name), volumes.volume_of(after.own_name)
    await travel.carry(source, here, target, there, count, bases, volumes.size_of(after))
