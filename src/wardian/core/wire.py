"""The two streams between hosts while a container goes from one to the other: words, and volumes.

Whatever breaks says so on both sides: a side that fails tells the other why, and a side that hears
nothing any more stops waiting. What is read is never more than a frame at a time.
"""

import asyncio
import contextlib
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from wardian.core.host import Host
from wardian.core.undo import to_the_end
from wardian.errors import HostFailed, WardianError
from wardian.model import migration, server_keys
from wardian.model.migration import Fail, Message
from wardian.ports.peers import Socket

PIECE = 120 * 1024
"""Bytes; for larger ones the C library asks the kernel for memory each time."""
WAITING = 4
"""Messages that may be read before they are asked for."""
LAST_WORD_S = 2.0
"""How long the reason of a failure may take to be told, or to arrive after the stream has broken."""

T = TypeVar("T", bound=Message)
R = TypeVar("R")


@dataclass(frozen=True)
class Sum:
    """What went through `fs` from the source to the target.

    TLS guards it against others on the way; this is against mistakes of the two hosts, and of a relay.
    """

    size: int
    crc32: int


class Broken(HostFailed):
    """The other host is gone, or said why it gives up."""


class Gone(Broken):
    """It is gone, and will not hear us either."""


class Wire:
    """Both streams, as one conversation. `opened` makes one."""

    def __init__(self, control: Socket, fs: Socket, silence_s: int) -> None:
        self._control, self._fs = control, fs
        control.give_up_after(silence_s)  # not `fs`: a disk may be slow for longer than a host may be silent
        self._heard: asyncio.Queue[Message] = asyncio.Queue(WAITING)
        self._reader = asyncio.create_task(self._read(), name="migration control")

    async def _read(self) -> None:
        """Reads what the other host says; ends with Broken once it says no more."""
        while (frame := await self._control.receive()) is not None:
            message = migration.decode(frame)
            if isinstance(message, Fail):
                raise Broken(f"the other host gives up: {migration.reason(message)}")
            await self._heard.put(message)
        raise Gone("the connection to the other host broke off")

    # --- words ---------------------------------------------------------------------------------

    async def say(self, message: Message) -> None:
        """Tell the other host; Broken if it is gone."""
        await self._until_broken(self._control.send(migration.encode(message)))

    async def hear(self, kind: type[T]) -> T:
        """What it says next, which must be of this kind."""
        message = await self._until_broken(self._heard.get())
        if not isinstance(message, kind):
            raise HostFailed(f'the other host says "{message.__struct_config__.tag}" out of turn')
        return message

    async def _until_broken(self, doing: Coroutine[Any, Any, R]) -> R:
        """The result, or the end of the other host's words if there is none by then."""
        task = asyncio.create_task(doing)
        try:
            await asyncio.wait((task, self._reader), return_when=asyncio.FIRST_COMPLETED)
            if task.done() or not self._heard.empty():
                return await task
            self._reader.result()
            raise AssertionError("the reader ends with a failure only")
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def fail(self, why: str) -> None:
        """Tell the other host that we give up; it may be gone."""
        with contextlib.suppress(TimeoutError, WardianError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._control.send(migration.encode(Fail(message=why[: migration.LONGEST_REASON])))

    async def close(self) -> None:
        """Hang up; with a goodbye if there is somebody to hear it."""
        self._reader.cancel()
        await asyncio.wait((self._reader,))
        is_gone = not self._reader.cancelled() and isinstance(self._reader.exception(), Gone)
        for one in (self._fs, self._control):
            if is_gone:
                one.hang_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORD_S):
                    await one.close()

    # --- volumes -------------------------------------------------------------------------------

    async def send(
        self, work: Callable[[int], Awaitable[None]], counted: Callable[[int], None], rate: int
    ) -> Sum:
        """Have `work` send a volume to the socket that it is given; what has gone out.

        counted: called with the bytes so far; rate: bytes per second at most, 0 for any.
        """
        out = _Counter(counted, rate)
        await self._carry(work, out, _Counter())
        return out.sum

    async def receive(self, work: Callable[[int], Awaitable[None]], counted: Callable[[int], None]) -> Sum:
        """Have `work` receive a volume from the socket that it is given; what has come in."""
        came = _Counter(counted)
        await self._carry(work, _Counter(), came)
        return came.sum

    async def _carry(
        self, work: Callable[[int], Awaitable[None]], out: "_Counter", came: "_Counter"
    ) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:

            async def worked() -> None:
                await work(theirs.fileno())
                theirs.close()  # the end of what goes out

            tasks = [
                asyncio.create_task(worked(), name="migration volume"),
                asyncio.create_task(self._out(ours, out), name="migration out"),
                asyncio.create_task(self._in(ours, came), name="migration in"),
            ]
            try:
                await self._all(tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await to_the_end(asyncio.wait(tasks))  # they use the sockets

    async def _all(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for all; the first failure counts, and the other host's word more than a cut stream."""
        waiting = {*tasks, self._reader}
        while {*tasks} & waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in (*tasks, self._reader):  # what failed here first
                if task in done and task.exception() is not None:
                    await self._last_word(task)
                    task.result()

    async def _last_word(self, failed: asyncio.Task[None]) -> None:
        """If the stream was cut, raise instead why the other host did so, should it say it."""
        if not isinstance(failed.exception(), Broken) or failed is self._reader:
            return
        done, _ = await asyncio.wait((self._reader,), timeout=LAST_WORD_S)
        if done:
            self._reader.result()

    async def _out(self, ours: socket.socket, counter: "_Counter") -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(ours, PIECE):
            await self._fs.send(data)
            await counter.add(data)
        await self._fs.send("")

    async def _in(self, ours: socket.socket, counter: "_Counter") -> None:
        """Pass on until the other side's end; what nobody wants any more is read and dropped."""
        loop = asyncio.get_running_loop()
        wanted = True
        while frame := await self._fs.receive():
            if isinstance(frame, str):
                raise HostFailed("the other host sends words where the files are due")
            await counter.add(frame)
            if wanted:
                try:
                    await loop.sock_sendall(ours, frame)
                except (BrokenPipeError, ConnectionResetError):
                    wanted = False
        if frame is None:
            raise Gone("the connection to the other host broke off in the middle of the files")
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_WR)


class _Counter:
    """Counts bytes, sums them up, and makes them wait if there is a rate."""

    def __init__(self, counted: Callable[[int], None] = lambda _: None, rate: int = 0) -> None:
        self._counted, self._rate = counted, rate
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._size = 0
        self._crc32 = 0

    async def add(self, data: bytes) -> None:
        self._size += len(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._counted(self._size)
        if self._rate:
            await asyncio.sleep(self._began + self._size / self._rate - self._clock())

    @property
    def sum(self) -> Sum:
        return Sum(self._size, self._crc32)


@asynccontextmanager
async def opened(host: Host, control: Socket, fs: Socket) -> AsyncIterator[Wire]:
    """A conversation on connected sockets. A block that fails tells the other host why."""
    silence_s = int(server_keys.value(await host.records.server.get(), server_keys.MIGRATION_TIMEOUT))
    wire = Wire(control, fs, silence_s)
    try:
        yield wire
    except Broken:
        raise
    except WardianError as error:
        await wire.fail(str(error))
        raise
    except asyncio.CancelledError:
        await wire.fail("cancelled")
        raise
    except BaseException:
        await wire.fail("internal error")
        raise
    finally:
        await wire.close()
