"""Containers that go to another host: what this one, which has them, does (see model.migration).

Nothing is changed here: whoever moves a container deletes it once the other host has said that it has all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from wardian.core import containers, lifecycle, memory, owners, snapshots, wire
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.core.undo import to_the_end
from wardian.core.wire import Broken, Gone, Wire
from wardian.errors import HostFailed, InvalidInput
from wardian.model import migration
from wardian.model.container import Container, Snapshot
from wardian.model.migration import Answer, Begin, Done, Have, Offer, Verdict
from wardian.model.requests import ContainerPost, MigrationTarget
from wardian.ports.peers import Socket
from wardian.ports.storage import Storage, Volume

CONNECTS_WITHIN_S = 30.0
STAGE = "fs"
"""Of the progress, on both hosts."""


async def send(host: Host, name: str, own_name: str, request: ContainerPost) -> Operation:
    """Begin to send a container, or a snapshot of it, to another host.

    Without a target in the request, it is that host which connects to the operation's streams.
    """
    container = await containers.get(host, name)
    if own_name:
        await snapshots.get(host, name, own_name)
    asleep = name not in host.running
    if request.live and (own_name or (asleep and not container.stateful)):
        raise InvalidInput(f'container "{name}" does not run: leave out "live"')
    errand = _Errand(
        name,
        own_name,
        with_snapshots=not (own_name or request.container_only or request.instance_only),
        rate=migration.parse_rate(request.bandwidth),
        live=request.live,
        asleep=request.live and asleep,
    )
    if request.target is not None:
        migration.check_operation(request.target.operation, "target.operation")
        migration.check_secrets(request.target.websockets, "target.websockets")

    async def work(operation: Operation) -> None:
        async with connected(host, operation, request.target) as line:
            await _send(host, line, errand, operation)

    waits = request.target is None
    return host.operations.start(
        "Migrating container",
        work,
        resources=containers.resources(container.name),
        kind="websocket" if waits else "task",
        may_cancel=True,
        sockets=migration.STREAMS if waits else (),
        flat=True,
    )


@asynccontextmanager
async def connected(host: Host, operation: Operation, target: MigrationTarget | None) -> AsyncIterator[Wire]:
    """The conversation with the other host: with streams of ours, or those of its operation."""
    if target is None:
        async with wire.opened(host, *await _awaited(operation)) as line:
            yield line
        return
    urls = [migration.websocket(target.operation, target.websockets[name]) for name in migration.STREAMS]
    async with AsyncExitStack() as held:
        try:
            control, fs = await held.enter_async_context(host.peers.connect(urls, target.certificate))
        except HostFailed:
            operation.update({"unreachable": "true"})  # so that the client can try another way
            raise
        yield await held.enter_async_context(wire.opened(host, control, fs))


async def _awaited(operation: Operation) -> tuple[Socket, Socket]:
    """The streams, once the other side has connected to them."""
    control, fs = (operation.sockets[name] for name in migration.STREAMS)
    try:
        async with asyncio.timeout(CONNECTS_WITHIN_S):
            return await control, await fs
    except TimeoutError:
        raise InvalidInput(
            f"nobody connected to the streams of the migration within {CONNECTS_WITHIN_S:.0f} s"
        ) from None


@dataclass(frozen=True)
class _Errand:
    """What is asked for. own_name: of the snapshot that is sent as a container; rate: bytes per second."""

    name: str
    own_name: str
    with_snapshots: bool
    rate: int
    live: bool = False
    asleep: bool = False


@dataclass
class _Passage:
    """How far a container has got that goes on over there. in_doubt: it may run there by now."""

    in_doubt: bool = False


@dataclass(frozen=True)
class _Cargo:
    """What is to be sent, held so that nobody changes it meanwhile."""

    container: Container
    volume: Volume
    along: list[Snapshot]
    runs: bool = False
    """It still runs, and is stopped with its memory before the last of it is sent."""


@asynccontextmanager
async def _loaded(host: Host, errand: _Errand) -> AsyncIterator[_Cargo]:
    name, runs = errand.name, errand.live and not errand.asleep
    async with AsyncExitStack() as held:
        enter = held.enter_async_context
        if errand.own_name:
            full = f"{name}/{errand.own_name}"
            await enter(host.operations.lock(full, "migrate"))
            snapshot = await snapshots.get(host, name, errand.own_name)
            was = snapshots.as_container(snapshot, (await containers.get(host, name)).pool)
            yield _Cargo(was, snapshots.volume_of(full), [])
            return
        if runs:
            await enter(host.operations.lock(name, "migrate"))
            container, volume = await lifecycle.with_memory(host, name), containers.volume(name)
        else:
            container, volume = await enter(snapshots.at_rest(host, name, "migrate"))
        along = await enter(snapshots.all_locked(host, name, "migrate")) if errand.with_snapshots else []
        yield _Cargo(container, volume, along, runs)


async def _send(host: Host, line: Wire, errand: _Errand, operation: Operation) -> None:
    async with _loaded(host, errand) as cargo, AsyncExitStack() as held:
        dispatch = await _agreed(host, line, errand, cargo, operation)
        offered = [snapshot.own_name for snapshot in cargo.along]
        *taken, whole = migration.sequence(offered, dispatch.answer.wanted)
        for volume in taken:
            await dispatch.send(volume)
        if dispatch.answer.ahead:
            await _ahead(host, dispatch, held)
        if not errand.live:
            await dispatch.write(whole)
            await _heard_end(dispatch)
            return
        passage = _Passage()
        if cargo.runs:
            await held.enter_async_context(_asleep(host, errand.name, passage, dispatch.memory_ahead))
        await _hand_over(host, dispatch, passage, operation)


async def _agreed(
    host: Host, line: Wire, errand: _Errand, cargo: _Cargo, operation: Operation
) -> "_Dispatch":
    """Offer it; what the target wants of it."""
    storage = host.storage.get(cargo.container.pool)
    offer = Offer(
        version=migration.VERSION,
        transports=list(storage.transports()),
        snapshots=[migration.kept(snapshot) for snapshot in cargo.along],
        idmap=cargo.container.config.get(owners.KEY) or "[]",
        live=errand.live,
        asleep=errand.asleep,
        ahead=cargo.runs and storage.traits.atomic,
    )
    await line.say(offer)
    answer = await line.hear(Answer)
    offered = {kept.name: snapshots.volume_of(f"{errand.name}/{kept.name}") for kept in offer.snapshots}
    if (
        answer.transport not in offer.transports
        or not set(answer.wanted) <= set(offered)
        or (answer.ahead and not offer.ahead)
    ):
        raise HostFailed("the other host asks for what was not offered")
    dispatch = _Dispatch(line, storage, cargo, answer, errand.rate, Meter(operation, STAGE, None))
    for name, volume in offered.items():
        await dispatch.may_be_base(name, volume)
    return dispatch


@dataclass
class _Dispatch:
    """What the hosts have agreed on, and how far it has come."""

    line: Wire
    storage: Storage
    cargo: _Cargo
    answer: Answer
    rate: int
    meter: Meter
    volumes: dict[str, Volume] = field(default_factory=dict)
    """What can be a base, in this order: name in the conversation -> volume here."""
    own: dict[str, str] = field(default_factory=dict)
    """Their origins."""
    sent: int = 0
    memory_ahead: int = 0
    """How often the memory was saved ahead, and sent with the files."""

    def __post_init__(self) -> None:
        self.there = dict(self.answer.origins)

    async def may_be_base(self, name: str, volume: Volume) -> None:
        """From now on this, which the target has or gets, can be what others are told as a difference to."""
        self.volumes[name] = volume
        self.own[name] = await self.storage.origin(volume)

    async def send(self, name: str) -> int:
        """Send a volume, and return once the target has it; the bytes that it took."""
        size = await self.write(name)
        await self.confirmed(name)
        return size

    async def write(self, name: str, before_done: Callable[[], Awaitable[None]] | None = None) -> int:
        """Send a volume; before_done: awaited before the target is told that this is all."""
        base = migration.base_of(name, list(self.volumes), self.own, self.there)
        await self.line.say(Begin(volume=name, base=base))
        volume = self.volumes.get(name, self.cargo.volume)
        origin = self.volumes[base] if base else None

        async def work(fd: int) -> None:
            await self.storage.send(volume, fd, self.answer.transport, origin)

        sent = await self.line.send(work, lambda position: self.meter(self.sent + position), self.rate)
        self.sent += sent.size
        if before_done is not None:
            await before_done()
        await self.line.say(Done(volume=name, size=sent.size, crc32=sent.crc32))
        return sent.size

    async def confirmed(self, name: str) -> None:
        """Return once the target has it."""
        self.there[name] = await _confirmed(self.line, name)


async def _confirmed(line: Wire, volume: str) -> str:
    """The origin of a volume that the target has now."""
    have = await line.hear(Have)
    if have.volume != volume:
        raise HostFailed("the other host confirms another volume than was sent")
    return have.origin


async def _heard_end(dispatch: _Dispatch) -> None:
    """Return once the target has all of it, and has said that it stays."""
    await dispatch.confirmed("")
    await dispatch.line.hear(Verdict)


# --- a container that runs ---------------------------------------------------------------------


async def _ahead(host: Host, dispatch: _Dispatch, held: AsyncExitStack) -> None:
    """Send files and memory while it runs, then what has changed meanwhile, until that is little.

    The memory lies beside the files. It is left out where the kernel does not tell what of it has changed.
    held: ends what this makes, of which the last is the base of the rest.
    """
    sizes: list[int] = []
    container = dispatch.cargo.container
    with_memory = await host.runtime.can_save_ahead()
    if with_memory:
        held.push_async_callback(_forget_memory, host, container)
    while migration.again(sizes):
        if with_memory:
            await memory.save_ahead(host, container, len(sizes) + 1)
            dispatch.memory_ahead += 1
        hidden = await snapshots.take_hidden(host, container)
        held.push_async_callback(snapshots.drop_hidden, host, container, hidden)
        name = migration.ROUNDS[len(sizes)]
        await dispatch.may_be_base(name, snapshots.volume_of(hidden.name))
        sizes.append(await dispatch.send(name))


async def _forget_memory(host: Host, container: Container) -> None:
    if container.name in host.running:  # it goes on here
        await to_the_end(memory.remove(host, container))


@asynccontextmanager
async def _asleep(host: Host, name: str, passage: _Passage, ahead: int) -> AsyncIterator[None]:
    """A container stopped with its memory, which goes on here again unless it may run over there.

    ahead: how often its memory was saved before.
    """
    host.leaving.add(name)
    try:
        await lifecycle.stop_with_memory(host, name, ahead=ahead)
        try:
            yield
            await memory.note(host, name, False)
            await memory.remove(host, await containers.get(host, name))
        except BaseException:
            if not passage.in_doubt:
                await to_the_end(lifecycle.go_on(host, name))
            raise
    finally:
        host.leaving.discard(name)


async def _hand_over(host: Host, dispatch: _Dispatch, passage: _Passage, operation: Operation) -> None:
    """Send the rest, with the memory, and hear that it has gone on there, or is kept there.

    Once all is sent it may run over there: it does not go on here, should this daemon die.
    """
    name = dispatch.cargo.container.name

    async def before_done() -> None:
        operation.may_cancel = False
        await lifecycle.note_stopped(host, name)
        passage.in_doubt = True

    try:
        await dispatch.write("", before_done)
        await _heard_end(dispatch)
    except Gone as error:
        if not passage.in_doubt:
            raise
        raise HostFailed(
            f'{error}, after it got all of container "{name}": look whether that runs there; '
            f"if not, `lxc start {name}` has it go on here"
        ) from error
    except Broken:  # it gave up, and has said so
        passage.in_doubt = False
        raise
