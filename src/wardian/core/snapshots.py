"""Snapshots: a container's files and configuration as they were; taken, restored, renamed, deleted.

Invariant: as for containers, a snapshot's record exists before its volume and goes after it, and
`pending` says what is under way (core/recovery.py). Who reads or removes one holds the lock of its
full name, `container/snapshot`; who makes one holds the container's.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from wardian.core import containers, lifecycle, memory, places, starts
from wardian.core.containers import volume
from wardian.core.events import shown_time, timestamp
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.operations import Operation
from wardian.core.undo import Undo, to_the_end
from wardian.errors import AlreadyExists, Forbidden, InvalidInput, NotFound
from wardian.model import names
from wardian.model import snapshots as rules
from wardian.model.container import Config, Container, Snapshot
from wardian.model.requests import SnapshotCreate, SnapshotUpdate
from wardian.ports.runtime import Started
from wardian.ports.storage import Still, Storage, Volume

POWER = "volatile.last_state.power"


def url(snapshot: Snapshot) -> str:
    """The address of a snapshot in the API."""
    return f"/1.0/containers/{snapshot.container}/snapshots/{quote(snapshot.own_name)}"


def volume_of(name: str) -> Volume:
    """The volume of the snapshot of this full name."""
    return Volume("snapshot", name)


def full_name(container: str, name: str) -> str:
    """`container/snapshot`, whether the snapshot is given with its container's name or without."""
    return f"{container}/{name.removeprefix(f'{container}/')}"


async def every(host: Host, container: str) -> list[Snapshot]:
    """The snapshots of a container, oldest first."""
    found = await host.records.snapshots.all(container)
    return sorted((s for s in found if s.pending not in containers.HIDDEN), key=lambda s: s.created_at)


async def get(host: Host, container: str, name: str) -> Snapshot:
    """The snapshot; NotFound also while it is only half made, or known by its old name."""
    snapshot = await host.records.snapshots.find(f"{container}/{name}")
    if snapshot is None or snapshot.pending in containers.HIDDEN:
        raise NotFound(f'snapshot "{container}/{name}" not found')
    return snapshot


def as_container(snapshot: Snapshot, pool: str) -> Container:
    """The container that the snapshot was taken of, as it was."""
    return Container(
        name=snapshot.container,
        architecture=snapshot.architecture,
        created_at=snapshot.created_at,
        pool=pool,
        config=snapshot.config,
        devices=snapshot.devices,
        profiles=snapshot.profiles,
        ephemeral=snapshot.ephemeral,
        description=snapshot.description,
    )


async def render(host: Host, snapshot: Snapshot) -> dict[str, Any]:
    """The object of the API (spec/rest-api.md section 12)."""
    known = [await host.records.profiles.find(name) for name in snapshot.profiles]
    merged = containers.merged(as_container(snapshot, ""), [p for p in known if p is not None])
    return {
        "architecture": snapshot.architecture,
        "config": snapshot.config,
        "created_at": timestamp(snapshot.created_at),
        "description": snapshot.description,
        "devices": snapshot.devices,
        "ephemeral": snapshot.ephemeral,
        "expanded_config": merged.config,
        "expanded_devices": merged.devices,
        "expires_at": timestamp(snapshot.expires_at) if snapshot.expires_at else "0001-01-01T00:00:00Z",
        "last_used_at": shown_time(None),
        "name": snapshot.name,
        "profiles": snapshot.profiles,
        "stateful": snapshot.stateful,
    }


def writable(snapshot: Snapshot) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {
        "expires_at": timestamp(snapshot.expires_at) if snapshot.expires_at else "",
        "description": snapshot.description,
    }


# --- take --------------------------------------------------------------------------------------


async def create(host: Host, name: str, request: SnapshotCreate) -> Operation:
    """Begin to take a snapshot of a container, running or not."""
    await containers.get(host, name)
    if request.name:
        names.check_snapshot(request.name)
    if request.stateful and name not in host.running:
        raise InvalidInput("Unable to create a stateful snapshot. The container isn't running.")
    expires_at = _moment(request.expires_at)

    async def work(operation: Operation) -> None:
        async with host.operations.lock(name, "snapshot"):
            container = await containers.get(host, name)
            own = request.name or await next_name(host, container)
            made = await take(
                host,
                container,
                own,
                expires_at=expires_at,
                about=request.description,
                stateful=request.stateful,
            )
        operation.resources |= _resources(made)

    resources = containers.resources(name)
    return host.operations.start("Snapshotting container", work, resources=resources, may_cancel=True)


def _resources(snapshot: Snapshot) -> dict[str, list[str]]:
    path = url(snapshot).removeprefix("/1.0/containers")
    return {"containers": [f"/1.0/containers{path}"], "instances": [f"/1.0/instances{path}"]}


def _moment(wanted: datetime | None) -> datetime | None:
    """The time as asked for; None for the years that clients take for "never"."""
    if wanted is None or wanted.year <= 1970:
        return None
    return wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)


async def next_name(host: Host, container: Container) -> str:
    """What a snapshot without a name is called: as snapshots.pattern says, else snap0, snap1, ..."""
    pattern = (await containers.expanded(host, container)).config.get("snapshots.pattern", "")
    taken = [snapshot.own_name for snapshot in await host.records.snapshots.all(container.name)]
    return rules.next_name(pattern, taken, datetime.now().astimezone())


async def take(
    host: Host,
    container: Container,
    own_name: str,
    *,
    expires_at: datetime | None = None,
    scheduled: bool = False,
    about: str = "",
    stateful: bool = False,
) -> Snapshot:
    """Keep the container as it is now, stateful: with its memory; the caller holds its lock."""
    snapshot = Snapshot(
        name=f"{container.name}/{own_name}",
        architecture=container.architecture,
        created_at=datetime.now(UTC),
        config=container.config,
        devices=container.devices,
        profiles=container.profiles,
        ephemeral=container.ephemeral,
        stateful=stateful or (container.stateful and container.name not in host.running),
        description=about,
        expires_at=expires_at,
        scheduled=scheduled,
        pending="create",
    )
    if await host.records.snapshots.find(snapshot.name) is not None:
        raise AlreadyExists(f"Snapshot '{snapshot.name}' already exists")
    storage = host.storage.get(container.pool)
    async with Undo() as undo:
        await host.records.snapshots.insert(snapshot)
        undo.on_failure(roll_back, host, container.pool, snapshot)
        still = stillness(host, container)
        if stateful:
            async with still() if still else nullcontext():
                undo.on_failure(memory.remove, host, container)
                await memory.save(host, container, stop=False)
                await storage.snapshot(volume(container.name), volume_of(snapshot.name))
            await memory.remove(host, container)
        else:
            await storage.snapshot(volume(container.name), volume_of(snapshot.name), still)
        await host.records.snapshots.replace(replace(snapshot, pending=""))
        await places.settle(host, container.name)
        undo.keep()
    host.events.lifecycle("container-snapshot-created", url(snapshot))
    return replace(snapshot, pending="")


def stillness(host: Host, container: Container) -> Still | None:
    """A block during which nothing in the container runs; None if nothing does anyway."""
    started = host.running.get(container.name)
    if started is None or container.name in host.frozen:
        return None
    return lambda: _still(host, started)


@asynccontextmanager
async def _still(host: Host, started: Started) -> AsyncIterator[None]:
    await host.runtime.freeze(started)
    try:
        yield
    finally:
        await host.runtime.unfreeze(started)


async def begin_hidden(host: Host, container: Container) -> Snapshot:
    """The record of a snapshot for a use of our own; the caller holds the lock, and ends with `roll_back`.

    It stays half made: callers do not see it, and the next start would remove it with its volume.
    """
    snapshot = Snapshot(
        name=f"{container.name}/hidden-{token_hex(8)}",
        architecture=container.architecture,
        created_at=datetime.now(UTC),
        pending="create",
    )
    await host.records.snapshots.insert(snapshot)
    return snapshot


async def take_hidden(host: Host, container: Container) -> Snapshot:
    """Keep a moment for a use of our own, as `begin_hidden`."""
    async with Undo() as undo:
        snapshot = await begin_hidden(host, container)
        undo.on_failure(roll_back, host, container.pool, snapshot)
        storage = host.storage.get(container.pool)
        await storage.snapshot(volume(container.name), volume_of(snapshot.name), stillness(host, container))
        undo.keep()
    return snapshot


async def roll_back(host: Host, pool: str, snapshot: Snapshot) -> None:
    """Take a snapshot that is half made away again."""
    await host.storage.get(pool).delete(volume_of(snapshot.name))
    await host.records.snapshots.delete(snapshot.name)


async def drop_hidden(host: Host, container: Container, hidden: Snapshot) -> None:
    """End a hidden snapshot, also if the caller is cancelled meanwhile."""
    await to_the_end(roll_back(host, container.pool, hidden))


@asynccontextmanager
async def at_rest(host: Host, name: str, action: str) -> AsyncIterator[tuple[Container, Volume]]:
    """A container and files of it that nobody changes meanwhile.

    Of one that runs these are a snapshot with a record that stays half made: nobody sees it, and the
    next start would remove it. Others are held, so that they do not start.
    """
    async with host.operations.lock(name, action):
        container = await containers.get(host, name)
        if name not in host.running:
            yield container, volume(name)
            return
        hidden = await take_hidden(host, container)
    try:
        yield container, volume_of(hidden.name)
    finally:
        await drop_hidden(host, container, hidden)


# --- restore -----------------------------------------------------------------------------------


async def restore(
    host: Host, name: str, wanted: str, *, stateful: bool = False, may_change: bool = True
) -> None:
    """Give a container the files and the configuration of a snapshot; one that runs is started anew.

    stateful: it then goes on from the memory that the snapshot has; InvalidInput if that has none.
    may_change: whether the snapshot may have another configuration; Forbidden if not and it has.
    """
    own_name = wanted.removeprefix(f"{name}/")
    found = await host.records.snapshots.find(f"{name}/{own_name}")
    if found is None or found.pending:
        raise NotFound(f"snapshot {wanted} does not exist")
    async with host.operations.lock(name, "restore"), host.operations.lock(found.name, "restore"):
        snapshot = await get(host, name, own_name)
        if stateful and not snapshot.stateful:
            raise InvalidInput(
                f'snapshot "{snapshot.name}" was taken without memory; restore it without --stateful'
            )
        container = await containers.get(host, name)
        restored = _restored(container, snapshot)
        if not may_change and _set_up(restored) != _set_up(container):
            raise Forbidden(
                f'not authorized: snapshot "{snapshot.name}" has another configuration than the container '
                "has now, which this client may not change; ask an administrator to restore it"
            )
        await containers.check(host, restored, container)
        was_running = name in host.running
        host.kept_ephemeral.add(name)
        try:
            if was_running:
                await lifecycle.force_stop(host, name)
            try:
                container = await _restore_files(host, name, snapshot, was_running=was_running)
            except BaseException:
                if was_running:
                    await starts.start(host, name)
                raise
            await _settle(host, container, snapshot, stateful=stateful)
            if stateful or was_running:
                await starts.start(host, name)
            else:
                await memory.remove(host, container)
        finally:
            host.kept_ephemeral.discard(name)
    host.events.lifecycle("container-snapshot-restored", url(snapshot))


def _set_up(container: Container) -> Any:
    """How a container is set up: what people choose, not what the daemon notes beside it."""
    chosen = {k: v for k, v in container.config.items() if not k.startswith("volatile.")}
    return chosen, container.devices, container.profiles


async def _restore_files(host: Host, name: str, snapshot: Snapshot, *, was_running: bool) -> Container:
    """From now on the restore is carried out, if need be at the next start; on failure nothing changed."""
    power = "RUNNING" if was_running else "STOPPED"

    def begun(now: Container) -> Container:
        config = {**now.config, "volatile.last_state.power": power}
        return replace(now, config=config, pending="restore", origin=snapshot.name)

    def taken_back(now: Container) -> Container:
        return replace(now, pending="", origin="")

    async with Undo() as undo:
        container = await host.records.containers.change(name, begun)
        undo.on_failure(host.records.containers.change, name, taken_back)
        await host.storage.get(container.pool).restore(volume_of(snapshot.name), volume(name))
        undo.keep()
    return container


async def _settle(host: Host, container: Container, snapshot: Snapshot, *, stateful: bool = False) -> None:
    """The files are restored: the configuration follows; whether the memory counts, too."""
    restored = _restored(container, snapshot)
    merged = await containers.expanded(host, restored)
    final, _ = await containers.settled(host, restored, merged)
    await host.records.containers.replace(replace(final, pending="", origin="", stateful=stateful))
    await containers.apply_quota(host, final, merged)


def _restored(container: Container, snapshot: Snapshot) -> Container:
    """The container as it was, with the power state and the interfaces' addresses that it has now."""
    config: Config = {k: v for k, v in snapshot.config.items() if k != POWER}
    kept = {k: v for k, v in container.config.items() if k == POWER or containers.is_of_interface(k)}
    return replace(
        container,
        architecture=snapshot.architecture,
        config=config | kept,
        devices=snapshot.devices,
        profiles=snapshot.profiles,
        ephemeral=snapshot.ephemeral,
    )


async def finish_restore(host: Host, container: Container) -> None:
    """Carry out again a restore that was interrupted (at start-up)."""
    snapshot = await host.records.snapshots.get(container.origin)
    await host.storage.get(container.pool).restore(volume_of(snapshot.name), volume(container.name))
    await _settle(host, container, snapshot)


# --- change and delete -------------------------------------------------------------------------


async def update(
    host: Host,
    snapshot: Snapshot,
    request: SnapshotUpdate,
    *,
    merge: bool,
    precondition: Precondition = no_precondition,
) -> None:
    """Say anew when the snapshot expires, and what it is."""

    def changed(now: Snapshot) -> Snapshot:
        precondition(writable(now))
        expires_at = now.expires_at if request.expires_at is None and merge else _moment(request.expires_at)
        about = now.description if request.description is None else request.description
        return replace(now, expires_at=expires_at, description=about)

    await host.records.snapshots.change(snapshot.name, changed)
    host.events.lifecycle("container-snapshot-updated", url(snapshot))


async def rename(host: Host, snapshot: Snapshot, new: str) -> Operation:
    """Begin to give a snapshot another name."""
    names.check_snapshot(new)
    if await host.records.snapshots.find(f"{snapshot.container}/{new}") is not None:
        raise AlreadyExists(f"Snapshot '{snapshot.container}/{new}' already exists")

    async def work(_: Operation) -> None:
        async with host.operations.lock(snapshot.name, "rename"):
            present = await get(host, snapshot.container, snapshot.own_name)
            renamed = replace(
                present, name=f"{present.container}/{new}", pending="rename", origin=present.name
            )
            await _rename(host, renamed)
        host.events.lifecycle("container-snapshot-renamed", url(renamed), old_name=present.own_name)

    resources = containers.resources(snapshot.container)
    return host.operations.start("Renaming snapshot", work, resources=resources)


async def _rename(host: Host, renamed: Snapshot) -> None:
    storage = await _storage(host, renamed)
    async with Undo() as undo:
        await host.records.snapshots.insert(renamed)
        undo.on_failure(host.records.snapshots.delete, renamed.name)
        await storage.rename(volume_of(renamed.origin), volume_of(renamed.name))
        undo.on_failure(storage.rename, volume_of(renamed.name), volume_of(renamed.origin))
        await _settle_rename(host, renamed)
        undo.keep()


async def _settle_rename(host: Host, renamed: Snapshot) -> None:
    table = host.records.snapshots
    batch = host.records.batch()
    revision = await table.revision(renamed.name)
    batch.replace(table, replace(renamed, pending="", origin=""), revision=revision)
    batch.delete(table, renamed.origin, revision=await table.revision(renamed.origin))
    await batch.commit()
    await places.settle(host, renamed.container)


async def finish_rename(host: Host, renamed: Snapshot) -> None:
    """Carry a renaming that was interrupted to its end (at start-up)."""
    storage = await _storage(host, renamed)
    if volume_of(renamed.origin) in await storage.volumes():
        await storage.rename(volume_of(renamed.origin), volume_of(renamed.name))
    await _settle_rename(host, renamed)


async def delete(host: Host, snapshot: Snapshot) -> Operation:
    """Begin to delete a snapshot."""

    async def work(_: Operation) -> None:
        async with host.operations.lock(snapshot.name, "delete"):
            await remove(host, await get(host, snapshot.container, snapshot.own_name))

    return host.operations.start("Deleting snapshot", work, resources=_resources(snapshot))


async def remove(host: Host, snapshot: Snapshot) -> None:
    """Take a snapshot away; the caller holds its lock. Its record goes last."""
    await host.records.snapshots.replace(replace(snapshot, pending="delete"))
    storage = await _storage(host, snapshot)
    await storage.delete(volume_of(snapshot.name))
    await host.records.snapshots.delete(snapshot.name)
    await places.settle(host, snapshot.container)
    host.events.lifecycle("container-snapshot-deleted", url(snapshot))


async def _storage(host: Host, snapshot: Snapshot) -> Storage:
    return host.storage.get((await host.records.containers.get(snapshot.container)).pool)


@asynccontextmanager
async def all_locked(host: Host, container: str, action: str) -> AsyncIterator[list[Snapshot]]:
    """The snapshots of a container, oldest first, while nobody else can take one away."""
    async with AsyncExitStack() as held:
        found = await every(host, container)
        for snapshot in found:
            await held.enter_async_context(host.operations.lock(snapshot.name, action))
        yield found
