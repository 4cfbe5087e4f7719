"""Containers that get another name: their volumes, snapshots, exports, logs and links follow.

The new record says meanwhile whose files it is to have; what is interrupted is carried on at the next start.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from msgspec.structs import replace

from wardian.core import containers, places, snapshots
from wardian.core.containers import volume
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo
from wardian.errors import InvalidInput, NotFound
from wardian.model import names
from wardian.model.container import Container, Snapshot
from wardian.ports.storage import Volume


async def begin(host: Host, name: str, new: str) -> Operation:
    """Begin to give a stopped container, with its snapshots, another name."""
    await containers.get(host, name)
    await check_name(host, new)

    async def work(_: Operation) -> None:
        await give_name(host, name, new)

    return host.operations.start("Renaming container", work, resources=containers.resources(name))


async def check_name(host: Host, new: str) -> None:
    """Refuse what is no name for a container, or is taken."""
    try:
        names.check_container(new)
    except InvalidInput as error:
        raise InvalidInput("Invalid container name") from error
    await containers.ensure_free(host, new)


async def give_name(host: Host, name: str, new: str) -> None:
    """Do what `begin` begins."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(host.operations.lock(name, "rename"))
        await held.enter_async_context(host.operations.lock(new, "rename"))
        if name in host.running:
            raise InvalidInput("Renaming of running container not allowed")
        container = await containers.get(host, name)
        moved = await held.enter_async_context(snapshots.all_locked(host, name, "rename"))
        await _rename(host, replace(container, name=new, pending="rename", origin=name), moved)
    host.events.lifecycle("container-renamed", containers.url(new), old_name=name)


async def _rename(host: Host, renamed: Container, moved: Sequence[Snapshot]) -> None:
    async with Undo() as undo:
        await host.records.containers.insert(renamed)
        undo.on_failure(host.records.containers.delete, renamed.name)
        storage = host.storage.get(renamed.pool)
        for old, new in _volumes(renamed, moved):
            await storage.rename(old, new)
            undo.on_failure(storage.rename, new, old)
        await _settle(host, renamed)
        undo.keep()


def _volumes(renamed: Container, moved: Sequence[Snapshot]) -> list[tuple[Volume, Volume]]:
    """(old, new) of the container and its snapshots."""
    return [
        (volume(renamed.origin), volume(renamed.name)),
        *((snapshots.volume_of(s.name), snapshots.volume_of(f"{renamed.name}/{s.own_name}")) for s in moved),
    ]


async def _settle(host: Host, renamed: Container) -> None:
    """The volumes have their new names: the records follow, all at once."""
    table, taken = host.records.containers, host.records.snapshots
    batch = host.records.batch()
    now = await table.get(renamed.origin)
    revision = await table.revision(renamed.name)
    batch.replace(table, replace(now, name=renamed.name), revision=revision)
    batch.delete(table, now.name, revision=await table.revision(now.name))
    for snapshot in await taken.all(now.name):
        batch.insert(taken, replace(snapshot, name=f"{renamed.name}/{snapshot.own_name}"))
        batch.delete(taken, snapshot.name, revision=await taken.revision(snapshot.name))
    packed = host.records.backups
    for found in await packed.all(now.name):
        batch.insert(packed, replace(found, name=f"{renamed.name}/{found.own_name}"))
        batch.delete(packed, found.name, revision=await packed.revision(found.name))
    await batch.commit()
    host.runtime.rename(now.name, renamed.name)
    for name in (now.name, renamed.name):
        await places.settle(host, name)


async def finish(host: Host, renamed: Container) -> None:
    """Carry a renaming that was interrupted to its end (at start-up)."""
    if await host.records.containers.find(renamed.origin) is None:
        raise NotFound(f'container "{renamed.origin}" is gone')
    storage = host.storage.get(renamed.pool)
    present = await storage.volumes()
    for old, new in _volumes(renamed, await host.records.snapshots.all(renamed.origin)):
        if old in present:
            await storage.rename(old, new)
    await _settle(host, renamed)
