"""Volumes carried from one storage pool of this host to another (ports.Storage.send and receive)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.core.undo import Undo
from wardian.errors import TransferCut
from wardian.ports.storage import Storage, Volume

CHUNK = 256 * 1024
Count = Callable[[int], None]

PIECEWISE = "rsync"
"""The transport that any volume here can be a base for."""


def counted(operation: Operation, stage: str) -> Callable[[int], None]:
    """What `carry` and `renew` call with the bytes of each piece; the operation tells their sum."""
    meter, total = Meter(operation, stage, None), 0

    def count(more: int) -> None:
        nonlocal total
        total += more
        meter(total)

    return count


def uncounted(more: int) -> None:
    """Nobody watches."""


async def carry(
    source: Storage,
    volume: Volume,
    target: Storage,
    made: Volume,
    count: Count,
    bases: tuple[Volume, Volume] | None = None,
    size_bytes: int | None = None,
) -> None:
    """`made` in another pool becomes like the volume, all or nothing; it may be in use meanwhile.

    bases: a snapshot in the source's pool and one in the target's that is about the same. size_bytes: see
    `receive`.
    """
    transport = next(name for name in source.transports() if name in target.transports())
    here, there = bases or (None, None)
    if bases and transport != PIECEWISE and not await is_same(source, bases[0], target, bases[1]):
        here = there = None
    async with _joined(count) as (near, far):
        await _both(
            source.send(volume, near, transport, here),
            receive(target, made, far, transport, there, size_bytes),
        )


async def receive(
    target: Storage, made: Volume, fd: int, transport: str, base: Volume | None, size_bytes: int | None
) -> None:
    """As `Storage.receive`. size_bytes: what the volume is to be bounded to.

    A pool whose volumes have a size of their own could not hold more than that of a new one until then.
    """
    least = target.traits.size_bytes
    if base is not None or transport != PIECEWISE or not least or (size_bytes or 0) <= least:
        await target.receive(made, fd, transport, base)
        return
    async with Undo() as undo:
        await target.create(made)
        undo.on_failure(target.delete, made)
        await target.set_quota(made, size_bytes)
        await target.refresh(made, fd)
        undo.keep()


async def renew(source: Storage, volume: Volume, target: Storage, made: Volume, count: Count) -> None:
    """A volume that exists becomes like another one of any pool, all or nothing; what differs travels."""
    async with _joined(count) as (near, far):
        await _both(source.send(volume, near, PIECEWISE), target.refresh(made, far))


async def is_same(source: Storage, here: Volume, target: Storage, there: Volume) -> bool:
    """Whether one of two snapshots was received from the other, or both from a third."""
    found = await source.origin(here)
    return bool(found) and found == await target.origin(there)


async def save(source: Storage, volume: Volume, path: Path, count: Count, base: Volume | None) -> None:
    """Write a volume into a new file, as its pool sends it; base: a snapshot that is read in before it."""
    near, far = socket.socketpair()
    with near, far, open(path, "xb") as file:
        far.setblocking(False)
        sending = source.send(volume, near.fileno(), source.transports()[0], base)
        await _both(sending, _drain(far, file, count))


async def _drain(far: socket.socket, file: BinaryIO, count: Count) -> None:
    while chunk := await asyncio.get_running_loop().sock_recv(far, CHUNK):
        await asyncio.to_thread(file.write, chunk)
        count(len(chunk))


async def load(
    target: Storage, volume: Volume, transport: str, chunks: AsyncGenerator[bytes, None], base: Volume | None
) -> None:
    """Make a volume from the bytes that `save` wrote, all or nothing."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        await _both(_feed(near, chunks), target.receive(volume, far.fileno(), transport, base))


async def _feed(near: socket.socket, chunks: AsyncGenerator[bytes, None]) -> None:
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await asyncio.get_running_loop().sock_sendall(near, chunk)
    except OSError as error:
        raise TransferCut("the pool took no more of the file") from error
    finally:
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)


async def _both(sending: Coroutine[Any, Any, None], receiving: Coroutine[Any, Any, None]) -> None:
    """Run both ends; of two failures the reason is raised, not its consequence."""
    tasks = [asyncio.create_task(receiving, name="receive"), asyncio.create_task(sending, name="send")]
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, TransferCut)):
        raise error


@asynccontextmanager
async def _joined(count: Count) -> AsyncIterator[tuple[int, int]]:
    """Two sockets that are joined by us, so that we see what passes. The first is the sender's."""
    near, out = socket.socketpair()
    back, far = socket.socketpair()
    with near, out, back, far:
        out.setblocking(False)
        back.setblocking(False)
        pumps = [
            asyncio.create_task(_pump(out, back, count), name="pump a volume"),
            asyncio.create_task(_pump(back, out, uncounted), name="pump a volume back"),
        ]
        try:
            yield near.fileno(), far.fileno()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: socket.socket, target: socket.socket, count: Count) -> None:
    loop, buffer = asyncio.get_running_loop(), bytearray(CHUNK)
    try:
        while size := await loop.sock_recv_into(source, buffer):
            await loop.sock_sendall(target, memoryview(buffer)[:size])
            count(size)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side went: the other learns it, and tells why.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
