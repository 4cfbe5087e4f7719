"""Containers that come from another host: what this one, which gets them, does (see model.migration).

The configuration of the container is that of the request, checked before anything is asked for; what
the other host says of its snapshots is checked before it sends a byte. A container that does not come
whole is removed again; if the connection broke, its complete snapshots are kept (core/partial.py). With
`refresh` a container that is here gets the files of the other one: each snapshot stays as soon as it is
complete, and the container's own files change at the end, all at once.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from wardian.core import (
    containers,
    device_plugs,
    foreign,
    lifecycle,
    memory,
    owners,
    partial,
    places,
    pools,
    snapshots,
    travel,
)
from wardian.core.host import Host
from wardian.core.migration_source import STAGE, connected
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.core.undo import Undo, to_the_end
from wardian.core.wire import Broken, Gone, Wire
from wardian.errors import AlreadyExists, HostFailed, InvalidInput, NotImplementedHere
from wardian.model import architectures, idmap, migration, names, server_keys
from wardian.model.container import PARTIAL, Container, Snapshot
from wardian.model.idmap import IdMap
from wardian.model.migration import Answer, Begin, Done, Have, Kept, Offer, Verdict
from wardian.model.requests import ContainerCreate, MigrationTarget
from wardian.model.units import is_true
from wardian.ports.storage import Storage, Volume

MODES = ("pull", "push")


async def receive(host: Host, request: ContainerCreate) -> Operation:
    """Begin to receive a container; the operation's resources name it.

    In the mode pull we connect to the operation that the source names, in push the source connects to ours.
    """
    source = request.source
    origin = _origin(request)
    if source.live:
        await _check_live(host, refresh=source.refresh)
    if "/" in request.name:
        raise InvalidInput(f"Invalid container name: '{request.name}': '/' is reserved for snapshots")
    name = request.name or await containers.random_name(host)
    names.check_container(name)
    present = await host.records.containers.find(name)
    if present is not None and present.pending == PARTIAL:
        present = None
    if present is not None and not source.refresh:
        raise AlreadyExists(f"Container '{name}' already exists")
    await pools.ensure_default(host)
    draft = await _draft(host, name, request, present)
    await _check(host, draft, present)

    action = "create" if present is None else "refresh"

    async def work(operation: Operation) -> None:
        async with host.operations.lock(name, action), connected(host, operation, origin) as line:
            offer = migration.checked(await line.hear(Offer))
            if offer.live != source.live:
                raise InvalidInput("the other host does not send what was asked for: memory, or none")
            if present is None:
                await _create(host, line, draft, offer, operation)
            else:
                await _refresh(host, line, draft, offer, operation)
            await to_the_end(_say_end(line))

    waits = origin is None
    return host.operations.start(
        "Creating container",
        work,
        resources=containers.resources(name),
        kind="websocket" if waits else "task",
        may_cancel=True,
        sockets=migration.STREAMS if waits else (),
        flat=True,
    )


async def _say_end(line: Wire) -> None:
    with suppress(Broken):  # it is here and stays, whether the source hears of it or not
        await line.say(Verdict())


async def _check_live(host: Host, *, refresh: bool) -> None:
    """Refuse memory from elsewhere, unless that is wished: CRIU believes what it restores, as root."""
    key = server_keys.ACCEPT_MEMORY
    if not is_true(server_keys.value(await host.records.server.get(), key)):
        raise InvalidInput(
            f"the target takes no running containers; if it trusts the other host, set {key}=true there, "
            "or stop the container first"
        )
    if refresh:
        raise InvalidInput("a copy is refreshed without memory: leave out one of both")
    await host.runtime.criu()


def _origin(request: ContainerCreate) -> MigrationTarget | None:
    """The operation to connect to; None: we are connected to."""
    source = request.source
    if source.mode not in MODES:
        raise NotImplementedHere(f'field "source.mode": "{source.mode}" is none of {", ".join(MODES)}')
    if source.mode == "push":
        return None
    migration.check_operation(source.operation, "source.operation")
    secrets = migration.check_secrets(source.secrets, "source.secrets")
    return MigrationTarget(source.operation, secrets, source.certificate)


# --- what it will be ---------------------------------------------------------------------------


async def _draft(host: Host, name: str, request: ContainerCreate, present: Container | None) -> Container:
    """The container as asked for, in the pool of its root disk, or the default one if that is not here."""
    draft = Container(
        name=name,
        architecture=architectures.canonical(request.architecture or host.machine.architectures[0]),
        created_at=datetime.now(UTC),
        pool="",
        config=await foreign.config(host, name, request.config or {}),
        devices=request.devices or {},
        profiles=["default"] if request.profiles is None else request.profiles,
        ephemeral=request.ephemeral,
        description=request.description,
        pending="receive",
    )
    merged = await containers.expanded(host, draft)
    pool = present.pool if present else foreign.pool_of(merged.devices)
    if not pool or await host.records.pools.find(pool) is None:
        pool = await pools.default_name(host)
    return replace(draft, pool=pool, devices=foreign.in_pool(draft.devices, merged.devices, pool))


async def _check(host: Host, draft: Container, present: Container | None) -> containers.Expanded:
    """Refuse what must not exist, and interfaces whose network is not here."""
    if draft.name in host.running:
        raise InvalidInput(f'container "{draft.name}" is running here; stop it before it is refreshed')
    if present is not None and present.pending:
        raise InvalidInput(f'container "{draft.name}" is being made here, or taken away')
    merged = await containers.check(host, draft, present)
    wanted = await containers.wanted_idmap(host, draft.name, merged)
    settled = containers.with_volatile(draft, merged, wanted)
    for name, options in merged.devices.items():
        if options.get("type") == "nic":
            device_plugs.plan(host, settled, merged.devices, IdMap(), name)
    return merged


async def _snapshot(host: Host, draft: Container, kept: Kept) -> Snapshot:
    """The record of a snapshot that is offered; InvalidInput naming it if it must not exist here."""
    config = await foreign.config(host, draft.name, kept.config)
    on_disk = kept.config.get(owners.KEY, "")
    snapshot = Snapshot(
        name=f"{draft.name}/{kept.name}",
        architecture=architectures.canonical(kept.architecture),
        created_at=kept.created_at,
        config=config | ({owners.KEY: on_disk} if on_disk else {}),
        devices=kept.devices,
        profiles=kept.profiles,
        ephemeral=kept.ephemeral,
        description=kept.description,
        expires_at=kept.expires_at,
        scheduled=kept.scheduled,
        pending="create",
    )
    try:
        idmap.from_json(on_disk or "[]")
        merged = await containers.expanded(host, snapshots.as_container(snapshot, draft.pool))
        snapshot = replace(snapshot, devices=foreign.in_pool(kept.devices, merged.devices, draft.pool))
        await containers.check(host, snapshots.as_container(snapshot, draft.pool))
    except InvalidInput as error:
        raise InvalidInput(f'snapshot "{kept.name}" cannot be taken: {error}') from error
    return snapshot


# --- how it comes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arrival:
    """What has been agreed on with the source."""

    line: Wire
    storage: Storage
    draft: Container
    transport: str
    offered: list[str]
    """The snapshots that the source has, by their own names, the oldest first."""
    coming: dict[str, Snapshot]
    """Those that will be sent."""
    meter: Meter
    size_bytes: int | None
    """What the container's root disk is bounded to."""
    ahead: bool
    """Files of the container may come while it runs."""

    def volume_of(self, own_name: str) -> Volume:
        """The volume of a snapshot."""
        return snapshots.volume_of(f"{self.draft.name}/{own_name}")


@asynccontextmanager
async def _agreed(
    host: Host, line: Wire, draft: Container, offer: Offer, operation: Operation
) -> AsyncIterator[_Arrival]:
    """Check every snapshot that comes, and tell the source to go ahead; those that we have are held."""
    here = await snapshots.every(host, draft.name)
    storage = host.storage.get(draft.pool)
    transport = migration.transport(offer.transports, storage.transports())
    known = {(snapshot.own_name, snapshot.created_at): snapshot for snapshot in here}
    held = [known[key] for kept in offer.snapshots if (key := (kept.name, kept.created_at)) in known]
    coming = {
        kept.name: await _snapshot(host, draft, kept)
        for kept in offer.snapshots
        if (kept.name, kept.created_at) not in known
    }
    offered = [kept.name for kept in offer.snapshots]
    async with AsyncExitStack() as locks:
        for snapshot in held:
            await locks.enter_async_context(host.operations.lock(snapshot.name, "refresh"))
        origins = {s.own_name: await storage.origin(snapshots.volume_of(s.name)) for s in held}
        ahead = offer.live and offer.ahead and storage.traits.clones
        await line.say(Answer(transport=transport, wanted=list(coming), origins=origins, ahead=ahead))
        size = containers.root_size(await containers.expanded(host, draft))
        meter = Meter(operation, STAGE, None)
        yield _Arrival(line, storage, draft, transport, offered, coming, meter, size, ahead)


async def _take_all(host: Host, arrival: _Arrival, target: Volume, like: Volume | None) -> None:
    """All that was agreed on; the container's own files go to `target`. like: files much like these.

    Of a container that runs its files come some times before, to be the base of the rest.
    """
    here = {name: arrival.volume_of(name) for name in arrival.offered if name not in arrival.coming}
    due, before = migration.sequence(arrival.offered, list(arrival.coming)), 0
    ahead = [*migration.ROUNDS] if arrival.ahead else []
    async with AsyncExitStack() as passing:
        while True:
            begin = await arrival.line.hear(Begin)
            name = begin.volume
            runs = due == [""] and name in ahead[:1]
            if (name != due[0] and not runs) or begin.base not in ("", *here):
                raise HostFailed("the other host sends another volume than was agreed on")
            base = here[begin.base] if begin.base else like
            if runs:
                hidden = await snapshots.begin_hidden(host, arrival.draft)
                passing.push_async_callback(snapshots.drop_hidden, host, arrival.draft, hidden)
                volume = snapshots.volume_of(hidden.name)
                before += await _take(arrival, ahead.pop(0), volume, base, before)
            elif due.pop(0):
                before += await _take_snapshot(host, arrival, name, base, before)
                volume = arrival.volume_of(name)
            else:
                await _take_rest(arrival, target, base, before)
                return
            here[name] = volume
            like = volume if arrival.transport == migration.FILE_WISE else None
            await arrival.line.say(Have(volume=name, origin=await arrival.storage.origin(volume)))


async def _take_rest(arrival: _Arrival, target: Volume, base: Volume | None, before: int) -> None:
    """The container's own files, the last that comes."""
    await _take(arrival, "", target, base, before)
    with suppress(Gone):  # it is here whole, whether the source hears of it or not
        await arrival.line.say(Have(volume=""))


async def _take_snapshot(
    host: Host, arrival: _Arrival, own_name: str, base: Volume | None, before: int
) -> int:
    """One snapshot, which is here to stay then; one of the same name and another time goes for it."""
    snapshot = arrival.coming[own_name]
    async with host.operations.lock(snapshot.name, "create"), Undo() as undo:
        old = await host.records.snapshots.find(snapshot.name)
        if old is not None:
            await snapshots.remove(host, old)
        await host.records.snapshots.insert(snapshot)
        undo.on_failure(snapshots.roll_back, host, arrival.draft.pool, snapshot)
        size = await _take(arrival, own_name, snapshots.volume_of(snapshot.name), base, before)
        await host.records.snapshots.replace(replace(snapshot, pending=""))
        undo.keep()
    return size


async def _take(arrival: _Arrival, own_name: str, target: Volume, base: Volume | None, before: int) -> int:
    """One volume, exactly as it was sent; how many bytes that took. The caller removes it on failure."""
    storage, transport = arrival.storage, arrival.transport

    async def work(fd: int) -> None:
        await travel.receive(storage, target, fd, transport, base, arrival.size_bytes)

    came = await arrival.line.receive(work, lambda position: arrival.meter(before + position))
    sent = await arrival.line.hear(Done)
    if (sent.volume, sent.size, sent.crc32) != (own_name, came.size, came.crc32):
        raise HostFailed("what has arrived is not what the other host has sent")
    return came.size


# --- where it goes -----------------------------------------------------------------------------


async def _create(host: Host, line: Wire, draft: Container, offer: Offer, operation: Operation) -> None:
    async with Undo() as undo:
        await _insert(host, draft)
        undo.on_failure(containers.discard, host, draft)
        host.runtime.forget_logs(draft.name)
        try:
            await _take_up(host, draft, offer)
            async with _agreed(host, line, draft, offer, operation) as arrival:
                await _take_all(host, arrival, containers.volume(draft.name), _latest(arrival))
        except Gone:
            await to_the_end(partial.keep_or_discard(host, draft))
            undo.keep()
            raise
        merged = await _check(host, draft, None)
        made, wanted = await containers.settled(host, draft, merged)
        made = owners.recorded(made, idmap.from_json(offer.idmap))
        made = await owners.fill(host, made, wanted)
        await containers.apply_quota(host, made, merged)
        operation.may_cancel = False
        goes_on = offer.live and not offer.asleep
        if not offer.live:
            await memory.remove(host, made)
        made = replace(made, pending=memory.ARRIVING if goes_on else "", stateful=offer.live)
        await host.records.containers.replace(made)
        if goes_on:
            await lifecycle.go_on(host, made.name)
            await finish_arrival(host, made)
        await places.settle(host, made.name)
        undo.keep()
    host.events.lifecycle("container-created", containers.url(draft.name))


async def _insert(host: Host, draft: Container) -> None:
    """The record of what comes, in the place of what is kept of a try before."""
    before = await host.records.containers.find(draft.name)
    if before is not None and before.pending == PARTIAL:
        if before.pool == draft.pool:
            await host.records.containers.replace(draft)
            return
        await containers.discard(host, before)
    await host.records.containers.insert(draft)


async def _take_up(host: Host, draft: Container, offer: Offer) -> None:
    """Of the snapshots that are kept of a try before, those stay that are offered, as they are offered."""
    offered = {(kept.name, kept.created_at): kept for kept in offer.snapshots}
    for snapshot in await host.records.snapshots.all(draft.name):
        kept = offered.get((snapshot.own_name, snapshot.created_at))
        if kept is None:
            await snapshots.remove(host, snapshot)
        else:
            await host.records.snapshots.replace(replace(await _snapshot(host, draft, kept), pending=""))


def _latest(arrival: _Arrival) -> Volume | None:
    """The latest of the snapshots that are kept of a try before, where files need not be sent again."""
    here = [name for name in arrival.offered if name not in arrival.coming]
    return arrival.volume_of(here[-1]) if here and arrival.transport == migration.FILE_WISE else None


async def finish_arrival(host: Host, container: Container) -> None:
    """A container that was to go on here stays if it does; else the other host has it still."""
    if container.name in host.running:
        await host.records.containers.change(container.name, lambda now: replace(now, pending=""))
    else:
        await containers.discard(host, container)


async def _refresh(host: Host, line: Wire, draft: Container, offer: Offer, operation: Operation) -> None:
    """The container that is here becomes what the other one is; what only it has of snapshots stays."""
    present = await containers.get(host, draft.name)
    await _check(host, draft, present)
    storage, copy = host.storage.get(draft.pool), owners.replacement(draft.name)
    async with Undo() as undo:
        await storage.delete(copy)
        undo.on_failure(storage.delete, copy)
        async with _agreed(host, line, draft, offer, operation) as arrival:
            await _take_all(host, arrival, copy, _like(arrival, draft))
        merged = await _check(host, draft, present)
        made, wanted = await containers.settled(host, _renewed(draft, present), merged)
        on_disk, due = idmap.from_json(offer.idmap), await owners.due(host, made, wanted)
        if on_disk != due:
            await host.rootfs.shift_owners(storage.path(copy) / "rootfs", on_disk, due)
        operation.may_cancel = False
        made = owners.recorded(made, due)
        await host.records.containers.replace(replace(made, pending=owners.PENDING))
        undo.keep()
    await owners.finish(host, made)
    await memory.remove(host, made)
    await containers.apply_quota(host, made, merged)
    await places.settle(host, made.name)
    host.events.lifecycle("container-updated", containers.url(draft.name))


def _renewed(draft: Container, present: Container) -> Container:
    """The draft as the container that is here: its own age, and addresses of its own."""
    own = {k: v for k, v in present.config.items() if containers.is_of_interface(k)}
    return replace(
        draft,
        config=draft.config | own,
        created_at=present.created_at,
        last_used_at=present.last_used_at,
        pending="",
    )


def _like(arrival: _Arrival, draft: Container) -> Volume | None:
    """What is here already, where files need not be sent that are the same: not with a stream of btrfs."""
    return containers.volume(draft.name) if arrival.transport == migration.FILE_WISE else None
