"""Containers that go to another host: what this one, which has them, does (see model.migration).

Nothing is changed here: whoever moves a container deletes it once the other host has said that it has all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

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

    def volume_of(self, sent: str) -> Volume:
        """The volume of a snapshot, or of the container itself."""
        return snapshots.volume_of(f"{self.container.name}/{sent}") if sent else self.volume


@asynccontextmanager
async def _loaded(host: Host, errand: _Errand, passage: _Passage) -> AsyncIterator[_Cargo]:
    name = errand.name
    async with AsyncExitStack() as held:
        enter = held.enter_async_context
        if errand.own_name:
            full = f"{name}/{errand.own_name}"
            await enter(host.operations.lock(full, "migrate"))
            snapshot = await snapshots.get(host, name, errand.own_name)
            was = snapshots.as_container(snapshot, (await containers.get(host, name)).pool)
            yield _Cargo(was, snapshots.volume_of(full), [])
            return
        moves = errand.live and not errand.asleep
        at_rest = _asleep(host, name, passage) if moves else snapshots.at_rest(host, name, "migrate")
        container, volume = await enter(at_rest)
        along = await enter(snapshots.all_locked(host, name, "migrate")) if errand.with_snapshots else []
        yield _Cargo(container, volume, along)


@asynccontextmanager
async def _asleep(host: Host, name: str, passage: _Passage) -> AsyncIterator[tuple[Container, Volume]]:
    """A container stopped with its memory, which goes on here again unless it may run over there."""
    async with host.operations.lock(name, "migrate"):
        host.leaving.add(name)
        try:
            await lifecycle.stop_with_memory(host, name)
            try:
                container = await containers.get(host, name)
                yield container, containers.volume(name)
                await memory.note(host, name, False)
                await memory.remove(host, container)
            except BaseException:
                if not passage.in_doubt:
                    await to_the_end(lifecycle.go_on(host, name))
                raise
        finally:
            host.leaving.discard(name)


async def _hand_over(host: Host, name: str, passage: _Passage) -> None:
    """From here on it may run over there: it does not go on here, should this daemon die."""
    await lifecycle.note_stopped(host, name)
    passage.in_doubt = True


async def _send(host: Host, line: Wire, errand: _Errand, operation: Operation) -> None:
    passage = _Passage()
    async with _loaded(host, errand, passage) as cargo:
        try:
            await _send_all(host, line, errand, cargo, operation, passage)
        except Gone as error:
            if not passage.in_doubt:
                raise
            raise HostFailed(
                f'{error}, after it got all of container "{errand.name}": look whether that runs there; '
                f"if not, `lxc start {errand.name}` has it go on here"
            ) from error
        except Broken:  # it gave up, and has said so
            passage.in_doubt = False
            raise


async def _send_all(
    host: Host, line: Wire, errand: _Errand, cargo: _Cargo, operation: Operation, passage: _Passage
) -> None:
    storage = host.storage.get(cargo.container.pool)
    offer = Offer(
        version=migration.VERSION,
        transports=list(storage.transports()),
        snapshots=[migration.kept(snapshot) for snapshot in cargo.along],
        idmap=cargo.container.config.get(owners.KEY) or "[]",
        live=errand.live,
        asleep=errand.asleep,
    )
    await line.say(offer)
    answer = await line.hear(Answer)
    offered = [kept.name for kept in offer.snapshots]
    if answer.transport not in offer.transports or not set(answer.wanted) <= set(offered):
        raise HostFailed("the other host asks for what was not offered")
    own = {name: await storage.origin(cargo.volume_of(name)) for name in offered}
    there, meter, before = dict(answer.origins), Meter(operation, STAGE, None), 0
    for volume in migration.sequence(offered, answer.wanted):
        base = migration.base_of(volume, offered, own, there)
        await line.say(Begin(volume=volume, base=base))
        work = _sending(storage, cargo, volume, base, answer.transport)
        sent = await line.send(work, _from(meter, before), errand.rate)
        before += sent.size
        if errand.live and not volume:
            operation.may_cancel = False
            await _hand_over(host, errand.name, passage)
        await line.say(Done(volume=volume, size=sent.size, crc32=sent.crc32))
        there[volume] = await _confirmed(line, volume)
    await line.hear(Verdict)


def _from(meter: Meter, before: int) -> Callable[[int], None]:
    return lambda position: meter(before + position)


def _sending(
    storage: Storage, cargo: _Cargo, volume: str, base: str, transport: str
) -> Callable[[int], Awaitable[None]]:
    origin = cargo.volume_of(base) if base else None
    return lambda fd: storage.send(cargo.volume_of(volume), fd, transport, origin)


async def _confirmed(line: Wire, volume: str) -> str:
    """The origin of a volume that the target has now."""
    have = await line.hear(Have)
    if have.volume != volume:
        raise HostFailed("the other host confirms another volume than was sent")
    return have.origin
