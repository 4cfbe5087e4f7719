"""Custom volumes: files that belong to no container, attached to containers as disks.

Invariant: as for containers, a volume's record exists before its files and goes after them, and
`pending` says what is under way; `sweep` finishes or takes it back. Snapshots have records of their own.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from wardian.core import travel
from wardian.core.events import timestamp
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.undo import Undo
from wardian.errors import AlreadyExists, InvalidInput, NotFound, WardianError
from wardian.model import expand, names, units
from wardian.model.container import Config, CustomVolume
from wardian.ports.storage import Storage, Volume
from wardian.store.records import Table

log = logging.getLogger(__name__)

HIDDEN = ("create", "delete", "rename")


class VolumeSource(Struct, forbid_unknown_fields=True):
    """What a new volume is a copy of: a volume, or `VOLUME/SNAPSHOT`; pool: if it is in another one."""

    type: str = "copy"
    name: str = ""
    pool: str = ""
    # Sent by later clients:
    certificate: str = ""
    mode: str = ""
    operation: str = ""
    project: str = ""
    location: str = ""
    secrets: dict[str, str] | None = None
    refresh: Literal[False] = False
    volume_only: bool = False


class VolumeWrite(Struct, forbid_unknown_fields=True):
    """The body of POST, PUT and PATCH. restore: the name of a snapshot; pool: where it is to be moved."""

    name: str = ""
    type: str = "custom"
    content_type: str = "filesystem"
    description: str | None = None
    config: dict[str, str | None] | None = None
    source: VolumeSource | None = None
    restore: str | None = None
    pool: str = ""
    # Sent by later clients, of which only this much is understood:
    migration: Literal[False] = False
    target: None = None
    volume_only: Literal[False] = False
    project: str = ""
    expires_at: None = None
    # Read-only fields that a client sends back as it got them:
    created_at: Any = None
    location: Any = None
    used_by: Any = None

    def __post_init__(self) -> None:
        """Later clients say of an empty volume, too, what it is a copy of: nothing."""
        if self.source is not None and self.source.type in ("", "none") and not self.source.name:
            self.source = None


@dataclass(frozen=True)
class Named:
    """A custom volume that a device names."""

    pool: str
    volume: Volume


def named_by(options: Mapping[str, str]) -> Named | None:
    """The volume that a disk shows; None for other devices."""
    if options.get("type") != "disk" or not options.get("pool") or expand.is_root(options):
        return None
    return Named(options["pool"], Volume("custom", options["source"]))


async def check_disks(host: Host, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse disks whose volume is not there."""
    for name, options in wanted.items():
        named = named_by(options)
        if named is not None and await _find(host, f"{named.pool}/{named.volume.name}") is None:
            raise InvalidInput(
                f'disk "{name}": there is no volume "{named.volume.name}" in storage pool "{named.pool}"; '
                f"create it with `lxc storage volume create {named.pool} {named.volume.name}`"
            )


def url(record: CustomVolume) -> str:
    """The address in the API."""
    return address(record.pool, record.own_name)


def address(pool: str, own_name: str) -> str:
    """The same of a volume, or `volume/snapshot`, that is yet to be made."""
    volume, _, snapshot = own_name.partition("/")
    path = f"/1.0/storage-pools/{pool}/volumes/custom/{volume}"
    return f"{path}/snapshots/{snapshot}" if snapshot else path


def volume_of(own_name: str) -> Volume:
    """The files of a volume, or of `volume/snapshot`."""
    return Volume("custom-snapshot" if "/" in own_name else "custom", own_name)


def _table(host: Host, own_name: str) -> Table[CustomVolume]:
    return host.records.volume_snapshots if "/" in own_name else host.records.volumes


async def _find(host: Host, name: str) -> CustomVolume | None:
    found = await _table(host, name.partition("/")[2]).find(name)
    return found if found is not None and found.pending not in HIDDEN else None


async def get(host: Host, pool: str, own_name: str) -> CustomVolume:
    """The volume or snapshot; NotFound also while it is only half made."""
    found = await _find(host, f"{pool}/{own_name}")
    if found is None:
        raise NotFound(f'storage pool "{pool}" has no volume "{own_name}"')
    return found


async def every(host: Host, pool: str) -> list[CustomVolume]:
    """The volumes of a pool, by name; NotFound if there is no such pool."""
    await host.records.pools.get(pool)
    return [v for v in await host.records.volumes.all(pool) if v.pending not in HIDDEN]


async def snapshots(host: Host, volume: CustomVolume) -> list[CustomVolume]:
    """Its snapshots, oldest first."""
    found = await host.records.volume_snapshots.all(volume.name)
    return sorted((s for s in found if s.pending not in HIDDEN), key=lambda s: s.created_at)


async def used_by(host: Host, volume: CustomVolume) -> list[str]:
    """URLs of the containers and profiles that have it as a disk."""

    def uses(wanted: Mapping[str, Mapping[str, str]]) -> bool:
        named = [named_by(options) for options in wanted.values()]
        return any(n is not None and f"{n.pool}/{n.volume.name}" == volume.name for n in named)

    profiles = {p.name: p for p in await host.records.profiles.all()}
    found = []
    for container in await host.records.containers.all():
        known = [profiles[name] for name in container.profiles if name in profiles]
        if uses(expand.expand_devices(known, container.devices)):
            found.append(f"/1.0/containers/{container.name}")
    return found + [f"/1.0/profiles/{quote(p.name)}" for p in profiles.values() if uses(p.devices)]


async def render(host: Host, record: CustomVolume) -> dict[str, Any]:
    """The object of the API."""
    shown: dict[str, Any] = {
        "name": record.own_name,
        "config": record.config,
        "description": record.description,
        "created_at": timestamp(record.created_at),
        "content_type": "filesystem",
    }
    if "/" in record.own_name:
        return shown
    return shown | {"type": "custom", "location": "none", "used_by": await used_by(host, record)}


async def usage(host: Host, record: CustomVolume) -> int | None:
    """Bytes that it takes, if the pool can tell."""
    return await host.storage.get(record.pool).usage(volume_of(record.own_name))


def writable(record: CustomVolume) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {"config": record.config, "description": record.description}


# --- make and change ---------------------------------------------------------------------------


@asynccontextmanager
async def alone(host: Host, pool: str, *own_names: str, also: str = "") -> AsyncIterator[Storage]:
    """Nobody else changes these volumes of a pool meanwhile; also: POOL/VOLUME of another one."""
    wanted = {f"{pool}/{name.partition('/')[0]}" for name in own_names} | ({also} - {""})
    async with AsyncExitStack() as held:
        for name in sorted(wanted):
            await held.enter_async_context(host.once(f"volume {name}"))
        yield host.storage.get(pool)


def check_config(storage: Storage, config: Config) -> None:
    """InvalidInput for keys that a volume cannot have in this pool."""
    for key, value in config.items():
        if key == "size":
            units.parse_size(value)
            if not storage.traits.quotas:
                raise InvalidInput('this storage pool does not support quotas; leave "size" out')
        elif not key.startswith("user."):
            raise InvalidInput(f'unknown key "{key}" of a storage volume (known: size, user.*)')


async def check_new(host: Host, pool: str, request: VolumeWrite) -> str:
    """Refuse what is no volume that can be made; the pool of its source, or its own."""
    names.check_volume(request.name)
    if request.type != "custom" or request.content_type != "filesystem":
        raise InvalidInput('only volumes of the type "custom" with files in them can be made')
    await host.records.pools.get(pool)
    source = request.source
    there = source.pool or pool if source else pool
    await host.records.pools.get(there)
    if source is not None:
        if source.type != "copy":
            raise InvalidInput(f'a volume is no "{source.type}" of another one, only a "copy"')
        await get(host, there, source.name)
    if await host.records.volumes.find(f"{pool}/{request.name}") is not None:
        raise AlreadyExists(f'storage pool "{pool}" has a volume "{request.name}" already')
    return there


async def create(
    host: Host, pool: str, request: VolumeWrite, count: travel.Count = travel.uncounted
) -> CustomVolume:
    """Make an empty volume, or a copy of one or of a snapshot; count: called with the bytes that travel."""
    there = await check_new(host, pool, request)
    source = request.source
    also = f"{there}/{source.name.partition('/')[0]}" if source else ""
    config = {key: value for key, value in (request.config or {}).items() if value}
    async with alone(host, pool, request.name, also=also) as storage:
        check_config(storage, config)
        origin = await get(host, there, source.name) if source else None
        record = CustomVolume(
            name=f"{pool}/{request.name}",
            created_at=datetime.now(UTC),
            description=request.description or "",
            config=config,
            pending="create",
        )
        if await host.records.volumes.find(record.name) is not None:
            raise AlreadyExists(f'storage pool "{pool}" has a volume "{request.name}" already')
        volume = volume_of(request.name)
        async with Undo() as undo:
            await host.records.volumes.insert(record)
            undo.on_failure(roll_back, host, storage, record)
            if origin is None:
                await storage.create(volume)
            elif there == pool:
                await storage.copy(volume_of(origin.own_name), volume)
            else:
                source_volume = volume_of(origin.own_name)
                await travel.carry(
                    host.storage.get(there),
                    source_volume,
                    storage,
                    volume,
                    count,
                    size_bytes=size_of(record),
                )
            await apply_quota(host, record)
            made = replace(record, pending="")
            await host.records.volumes.replace(made)
            undo.keep()
    host.events.lifecycle("storage-volume-created", url(made))
    return made


async def apply_quota(host: Host, record: CustomVolume) -> None:
    """Bound the volume as its configuration says."""
    if size := size_of(record):
        await host.storage.get(record.pool).set_quota(volume_of(record.own_name), size)


def size_of(record: CustomVolume) -> int | None:
    """What it is to be bounded to, in bytes."""
    return units.parse_size(record.config["size"]) if record.config.get("size") else None


async def roll_back(host: Host, storage: Storage, record: CustomVolume) -> None:
    """Files first: if they cannot be removed now, the record stays for the sweep at the next start."""
    await storage.delete(volume_of(record.own_name))
    await _table(host, record.own_name).delete(record.name)


async def update(
    host: Host,
    pool: str,
    name: str,
    request: VolumeWrite,
    *,
    merge: bool,
    precondition: Precondition = no_precondition,
) -> None:
    """Replace (or with `merge` change) configuration and description, or restore a snapshot."""
    async with alone(host, pool, name) as storage:
        before = await get(host, pool, name)
        precondition(writable(before))
        if request.restore is not None:
            await _restore(host, storage, before, request.restore)
            return
        wanted = {**(before.config if merge else {}), **(request.config or {})}
        config = {key: value for key, value in wanted.items() if value}
        check_config(storage, config)
        description = before.description if request.description is None else request.description
        if config.get("size") != before.config.get("size") and storage.traits.quotas:
            size = config.get("size")
            await storage.set_quota(volume_of(name), units.parse_size(size) if size else None)
        await host.records.volumes.replace(replace(before, config=config, description=description))
    host.events.lifecycle("storage-volume-updated", url(before))


async def _restore(host: Host, storage: Storage, volume: CustomVolume, own_name: str) -> None:
    snapshot = await get(host, volume.pool, f"{volume.own_name}/{own_name}")
    await _refuse_if_running(host, volume)
    await storage.restore(volume_of(snapshot.own_name), volume_of(volume.own_name))
    host.events.lifecycle("storage-volume-restored", url(volume))


async def _refuse_if_running(host: Host, volume: CustomVolume) -> None:
    for user in await used_by(host, volume):
        name = user.removeprefix("/1.0/containers/")
        if name in host.running:
            raise InvalidInput(f'volume "{volume.own_name}" is in use by container "{name}"; stop it first')


async def rename(host: Host, pool: str, name: str, new: str) -> CustomVolume:
    """Give an unused volume another name; its snapshots go with it."""
    names.check_volume(new)
    async with alone(host, pool, name, new) as storage:
        before = await get(host, pool, name)
        if users := await used_by(host, before):
            raise InvalidInput(f'volume "{name}" is in use by {", ".join(users)}')
        if await host.records.volumes.find(f"{pool}/{new}") is not None:
            raise AlreadyExists(f'storage pool "{pool}" has a volume "{new}" already')
        olds = await host.records.volume_snapshots.all(before.name)
        async with Undo() as undo:
            begun = replace(before, name=f"{pool}/{new}", pending="rename", origin=before.name)
            await host.records.volumes.insert(begun)
            undo.on_failure(take_rename_back, host, storage, begun)
            for old in olds:
                own = old.own_name.partition("/")[2]
                await storage.rename(volume_of(old.own_name), volume_of(f"{new}/{own}"))
            await storage.rename(volume_of(name), volume_of(new))
            after = replace(begun, pending="", origin="")
            batch = host.records.batch()
            for old in olds:
                table = host.records.volume_snapshots
                moved = replace(old, name=f"{after.name}/{old.own_name.partition('/')[2]}")
                batch.insert(table, moved)
                batch.delete(table, old.name, revision=await table.revision(old.name))
            table = host.records.volumes
            batch.replace(table, after, revision=await table.revision(after.name))
            batch.delete(table, before.name, revision=await table.revision(before.name))
            await batch.commit()
            undo.keep()
    host.events.lifecycle("storage-volume-renamed", url(after))
    return after


async def take_rename_back(host: Host, storage: Storage, begun: CustomVolume) -> None:
    """Give files that have the new name already the old one again."""
    old = begun.origin.partition("/")[2]
    for volume in await storage.volumes():
        if volume.kind not in ("custom", "custom-snapshot"):
            continue
        if volume.name == begun.own_name or volume.name.startswith(f"{begun.own_name}/"):
            own = volume.name.removeprefix(begun.own_name)
            await storage.rename(volume, volume_of(f"{old}{own}"))
    await _table(host, begun.own_name).delete(begun.name)


async def delete(host: Host, pool: str, own_name: str) -> None:
    """Remove an unused volume with its snapshots, or one snapshot."""
    async with alone(host, pool, own_name):
        found = await get(host, pool, own_name)
        if "/" not in own_name and (users := await used_by(host, found)):
            raise InvalidInput(f'volume "{own_name}" is in use by {", ".join(users)}')
        await remove(host, found)
    host.events.lifecycle("storage-volume-deleted", url(found))


async def remove(host: Host, record: CustomVolume) -> None:
    """Take a volume or snapshot away. Files first; the record says meanwhile that they go."""
    table = _table(host, record.own_name)
    await table.replace(replace(record, pending="delete"))
    if "/" not in record.own_name:
        for snapshot in await host.records.volume_snapshots.all(record.name):
            await remove(host, snapshot)
    await host.storage.get(record.pool).delete(volume_of(record.own_name))
    await table.delete(record.name)


async def sweep(host: Host) -> None:
    """Finish or take back what a killed daemon left half done; called when pools are open."""
    for table in (host.records.volumes, host.records.volume_snapshots):
        for record in await table.all():
            if record.pending:
                await _settle(host, record)


async def _settle(host: Host, record: CustomVolume) -> None:
    log.warning('storage volume "%s": %s was interrupted, cleaning up', record.name, record.pending)
    try:
        storage = host.storage.get(record.pool)
        if record.pending == "rename":
            await take_rename_back(host, storage, record)
        else:
            await remove(host, record)
    except WardianError as error:
        log.error('storage volume "%s": cannot clean up: %s', record.name, error)
