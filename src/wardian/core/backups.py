"""Containers as one file: packed, to be fetched by a client, and read in again.

An archive is laid out as LXD's: `backup/index.yaml`, `backup/container/`, `backup/snapshots/NAME/`.
Of a file that is read in nothing is believed: everything is checked that is checked on creation.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from wardian.core import containers, foreign, images, places, pools, publish, snapshots, travel
from wardian.core.events import timestamp
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.core.undo import Undo
from wardian.errors import AlreadyExists, InvalidInput, NotFound
from wardian.model import architectures, backup, names
from wardian.model import snapshots as rules
from wardian.model.backup import Index, Thing
from wardian.model.container import Backup, Container, Snapshot
from wardian.model.idmap import IdMap
from wardian.model.requests import BackupCreate
from wardian.ports.rootfs import PackedFile, PackedTree
from wardian.ports.storage import Storage, Volume

PARTS = ("metadata.yaml", "rootfs", "templates")


def url(found: Backup) -> str:
    """The address of a backup in the API."""
    return f"/1.0/containers/{found.container}/backups/{quote(found.own_name)}"


async def every(host: Host, container: str) -> list[Backup]:
    """The backups of a container that are ready, by name."""
    return [b for b in await host.records.backups.all(container) if not b.pending]


async def get(host: Host, container: str, name: str) -> Backup:
    """The backup; NotFound also while it is being made."""
    found = await host.records.backups.find(f"{container}/{name}")
    if found is None or found.pending:
        raise NotFound(f'backup "{container}/{name}" not found')
    return found


def path(host: Host, found: Backup) -> Path:
    """Where the file is."""
    return host.paths.backups / found.file


def render(found: Backup) -> dict[str, Any]:
    """The object of the API."""
    return {
        "name": found.own_name,
        "created_at": timestamp(found.created_at),
        "expires_at": timestamp(found.expires_at) if found.expires_at else "0001-01-01T00:00:00Z",
        "instance_only": found.instance_only,
        "container_only": found.instance_only,
        "optimized_storage": found.optimized,
    }


# --- pack --------------------------------------------------------------------------------------


async def create(host: Host, name: str, request: BackupCreate) -> Operation:
    """Begin to pack a container, running or not, into one file."""
    container = await containers.get(host, name)
    if request.optimized_storage:
        _transport(host, container.pool)
    taken = [found.own_name for found in await host.records.backups.all(name)]
    own_name = request.name.removeprefix(f"{name}/") or rules.next_name("backup%d", taken, datetime.now())
    names.check_snapshot(own_name)
    if own_name in taken:
        raise AlreadyExists(f"Backup '{name}/{own_name}' already exists")
    compression = await publish.chosen_compression(host, request.compression_algorithm)
    made = Backup(
        name=f"{name}/{own_name}",
        file=token_hex(16),
        created_at=datetime.now(UTC),
        expires_at=request.expires_at,
        instance_only=request.instance_only or request.container_only,
        optimized=request.optimized_storage,
        pending="create",
    )

    async def work(operation: Operation) -> None:
        async with Undo() as undo:
            await host.records.backups.insert(made)
            undo.on_failure(remove, host, made)
            await _pack(host, made, compression, operation)
            await host.records.backups.replace(replace(made, pending=""))
            undo.keep()
        host.events.lifecycle("container-backup-created", url(made))

    listed = containers.resources(container.name)
    listed["backups"] = [
        f"/1.0/backups/{quote(made.own_name)}"
    ]  # no address: later clients cut the name out
    return host.operations.start("Backing up container", work, resources=listed, may_cancel=True)


def _transport(host: Host, pool: str) -> str:
    """How volumes of the pool are streamed; InvalidInput if only by talking to who receives them."""
    best = host.storage.get(pool).transports()[0]
    if best == travel.PIECEWISE:
        raise InvalidInput(
            f'storage pool "{pool}" has no streams of its own (btrfs has); leave out --optimized-storage'
        )
    return best


async def _pack(host: Host, made: Backup, compression: str, operation: Operation) -> None:
    async with AsyncExitStack() as held:
        enter = held.enter_async_context
        building = await enter(images.building(host, host.paths.backups))
        container, volume = await enter(snapshots.at_rest(host, made.container, "backup"))
        along = (
            [] if made.instance_only else await enter(snapshots.all_locked(host, made.container, "backup"))
        )
        pool = await host.records.pools.get(container.pool)
        about = {"name": pool.name, "driver": pool.driver, "config": {}, "description": pool.description}
        transport = _transport(host, pool.name) if made.optimized else ""
        index = backup.index_text(container, along, about, transport)
        parts: list[PackedFile | PackedTree] = [PackedFile(backup.INDEX, index)]
        volumes = [(snapshots.volume_of(s.name), s.own_name) for s in along]
        if transport:
            count = travel.counted(operation, "create_backup")
            parts.append(
                await _streams(host.storage.get(pool.name), [*volumes, (volume, "")], building, count)
            )
            volumes = []
        else:
            volumes.insert(0, (volume, ""))
        for one, own_name in volumes:
            folder = await enter(publish.mounted(host, container.pool, one))
            present = [n for n in PARTS if (folder / n).exists() and not (folder / n).is_symlink()]
            prefix = f"{backup.SNAPSHOTS}/{own_name}" if own_name else backup.CONTAINER
            parts.append(PackedTree(folder, present, prefix))
        await host.rootfs.pack(
            parts,
            building / "file",
            host.idmap or IdMap(),
            compression=compression,
            seal=backup.SEAL,
            counted=Meter(operation, "create_backup", None),
        )
        (building / "file").rename(path(host, made))


async def _streams(
    storage: Storage, volumes: Sequence[tuple[Volume, str]], building: Path, count: travel.Count
) -> PackedTree:
    """Volumes, with the names of the snapshots, as the pool sends them: each based on the one before."""
    top, base = building / "backup", None
    (top / "snapshots").mkdir(parents=True)
    for one, own_name in volumes:
        await travel.save(storage, one, building / backup.stream(own_name), count, base)
        base = one
    return PackedTree(top, sorted(path.name for path in top.iterdir()), "backup")


async def delete(host: Host, found: Backup) -> Operation:
    """Begin to delete a backup."""

    async def work(_: Operation) -> None:
        await remove(host, found)

    return host.operations.start("Deleting backup", work, resources=containers.resources(found.container))


async def remove(host: Host, found: Backup) -> None:
    """Take a backup away; its record goes last."""
    path(host, found).unlink(missing_ok=True)
    await host.records.backups.delete(found.name)


async def expire(host: Host, now: datetime) -> None:
    """Delete the backups whose time has come."""
    for found in await host.records.backups.all():
        if found.expires_at is not None and found.expires_at <= now and not found.pending:
            await remove(host, found)


async def sweep(host: Host) -> None:
    """Remove what interrupted work left behind, and backups of containers that are gone."""
    known = set()
    for found in await host.records.backups.all():
        if found.pending or await host.records.containers.find(found.container) is None:
            await remove(host, found)
        else:
            known.add(found.file)
    for left in host.paths.backups.iterdir():
        if left.name.startswith(images.BUILD):
            await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        elif left.name not in known:
            left.unlink()


# --- read in -----------------------------------------------------------------------------------


def restore(host: Host, archive: Path, name: str, pool: str, done: Callable[[], Any]) -> Operation:
    """Begin to make a container from a file; `done` releases the file's folder.

    name and pool: empty for those that the file says.
    """

    async def work(operation: Operation) -> None:
        try:
            made = await _restore(host, archive, name, pool)
        finally:
            await done()
        operation.resources |= containers.resources(made)
        host.events.lifecycle("container-created", containers.url(made))

    return host.operations.start("Restoring backup", work, may_cancel=True)


async def _restore(host: Host, archive: Path, wanted: str, pool: str) -> str:
    ids = host.idmap or IdMap()
    index = backup.parse_index(await host.rootfs.read_member(archive, backup.INDEX, ids))
    name = wanted or index.name
    names.check_container(name)
    await containers.ensure_free(host, name)
    draft = await _draft(host, name, index, pool)
    await containers.check(host, draft)
    if index.transport and index.transport not in host.storage.get(draft.pool).transports()[:-1]:
        raise InvalidInput(
            f'the file was made for {index.transport} pools; "{draft.pool}" is none: name another pool (-s)'
        )
    if index.sealed:
        await host.rootfs.check_seal(archive, backup.SEAL, ids)
    async with host.operations.lock(name, "create"), Undo() as undo:
        await host.records.containers.insert(draft)
        undo.on_failure(containers.discard, host, draft)
        host.runtime.forget_logs(draft.name)
        if index.transport:
            await _receive(host, archive, draft, index)
        else:
            for thing in index.taken:
                await _restore_snapshot(host, archive, draft, thing)
            await _fill(host, archive, draft, backup.CONTAINER)
        merged = await containers.check(host, draft)
        await containers.apply_quota(host, draft, merged)
        made = containers.with_volatile(
            draft, merged, await containers.wanted_idmap(host, draft.name, merged)
        )
        await host.records.containers.replace(replace(made, pending=""))
        await places.settle(host, made.name)
        undo.keep()
    return name


async def _draft(host: Host, name: str, index: Index, pool: str) -> Container:
    """The container of an index, in the pool that is asked for, else its own, else the default one."""
    await pools.ensure_default(host)
    thing = index.container
    if not pool:
        has_own = bool(index.pool) and await host.records.pools.find(index.pool) is not None
        pool = index.pool if has_own else await pools.default_name(host)
    draft = Container(
        name=name,
        architecture=architectures.canonical(thing.architecture),
        created_at=thing.created_at,
        pool=pool,
        config=await foreign.config(host, name, thing.config or {}),
        devices=thing.devices or {},
        profiles=thing.profiles or [],
        ephemeral=thing.ephemeral,
        description=thing.description,
        pending="create",
    )
    merged = await containers.expanded(host, draft)
    return replace(draft, devices=foreign.in_pool(draft.devices, merged.devices, pool))


async def _snapshot(host: Host, draft: Container, thing: Thing) -> Snapshot:
    """Record a snapshot of an index; it is taken back with the container."""
    snapshot = Snapshot(
        name=f"{draft.name}/{thing.name}",
        architecture=architectures.canonical(thing.architecture),
        created_at=thing.created_at,
        config=await foreign.config(host, draft.name, thing.config or {}),
        devices=foreign.in_pool(thing.devices or {}, draft.devices, draft.pool),
        profiles=thing.profiles or [],
        ephemeral=thing.ephemeral,
        description=thing.description,
        expires_at=thing.expires_at,
    )
    await containers.check(host, replace(snapshots.as_container(snapshot, draft.pool)))
    await host.records.snapshots.insert(snapshot)
    return snapshot


async def _restore_snapshot(host: Host, archive: Path, draft: Container, thing: Thing) -> None:
    """The files go through the volume of the container, which is empty again afterwards."""
    snapshot = await _snapshot(host, draft, thing)
    storage = host.storage.get(draft.pool)
    await _fill(host, archive, draft, f"{backup.SNAPSHOTS}/{thing.name}")
    await storage.snapshot(containers.volume(draft.name), snapshots.volume_of(snapshot.name))
    await storage.delete(containers.volume(draft.name))


async def _receive(host: Host, archive: Path, draft: Container, index: Index) -> None:
    """The streams of an optimized archive, in the order in which they are based on each other."""
    storage, base = host.storage.get(draft.pool), None
    made = [(await _snapshot(host, draft, thing), thing.name) for thing in index.taken]
    volumes = [(snapshots.volume_of(snapshot.name), own_name) for snapshot, own_name in made]
    for one, own_name in [*volumes, (containers.volume(draft.name), "")]:
        chunks = host.rootfs.stream_member(archive, backup.stream(own_name), host.idmap or IdMap())
        await travel.load(storage, one, index.transport, chunks, base)
        await host.rootfs.refuse_devices(storage.path(one))
        base = one


async def _fill(host: Host, archive: Path, draft: Container, member: str) -> None:
    storage, volume = host.storage.get(draft.pool), containers.volume(draft.name)
    await storage.create(volume)
    if storage.traits.size_bytes:  # it could not hold more until then
        await containers.apply_quota(host, draft, await containers.expanded(host, draft))
    await host.rootfs.extract(archive, member, storage.path(volume), host.idmap or IdMap())
