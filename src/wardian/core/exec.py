"""Running a command in a container, with its streams on websockets (spec/rest-api.md section 9).

Streams of an operation: interactive `0` (both directions of a terminal) and `control`; otherwise
`0` (stdin), `1` (stdout), `2` (stderr) and `control`. Data are binary frames; an empty text frame
ends a stream in its direction.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from wardian.core import containers, recording
from wardian.core.containers import resources
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import InvalidInput
from wardian.linux import process, terminals
from wardian.model import kernel_limits, keys
from wardian.model.requests import ExecRequest
from wardian.ports.peers import Socket
from wardian.ports.runtime import Command, Process, Started

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
"""Bytes read at once; a slow reader holds the writer back, so this bounds the memory of a stream."""

DEFAULTS = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
}
CONTROL_FRAME_BYTES = 4096
CONNECTS_WITHIN_S = 30.0
"""How long a command waits for somebody to connect to its streams."""
IN_FOLDER = ("/bin/sh", "-c", 'cd "$1" && shift && unset OLDPWD && exec "$@"', "sh")
"""Runs the command in a folder that only the container may have, and says so if it is not there."""
MAXIMUM_ID = 2**32 - 2


async def execute(host: Host, name: str, request: ExecRequest) -> Operation:
    """Begin to run the command; a websocket operation, or a task if no streams are wanted."""
    container = await containers.get(host, name)
    if name not in host.running:
        raise InvalidInput("Container is not running.")
    if name in host.frozen:
        raise InvalidInput("Container is frozen.")
    if request.record_output and request.wait_for_websocket:
        raise InvalidInput('field "record-output": what is sent to websockets is not recorded')
    merged = await containers.expanded(host, container)
    configured = dict(keys.under(merged.config, "environment."))
    variables = {k.removeprefix("environment."): v for k, v in configured.items()}
    command = _command(request, variables, kernel_limits.limits_of(merged.config))
    started = host.running[name]
    if not request.wait_for_websocket:

        async def unseen(operation: Operation) -> dict[str, Any]:
            if request.record_output:
                return await _run_recorded(host, name, started, command, operation)
            return await _run_silently(host, started, command)

        return host.operations.start("Executing command", unseen, resources=resources(name))
    streams = ("0", "control") if request.interactive else ("0", "1", "2", "control")

    async def work(operation: Operation) -> dict[str, Any]:
        if request.interactive:
            size = (request.width, request.height)
            return await run_on_terminal(
                operation, size, lambda fds: host.runtime.execute(started, command, fds)
            )
        return await _run_on_pipes(host, started, command, operation)

    return host.operations.start(
        "Executing command", work, kind="websocket", sockets=streams, resources=resources(name)
    )


def _command(
    request: ExecRequest, configured: dict[str, str], limits: dict[str, tuple[int, int]]
) -> Command:
    if not request.command or not request.command[0]:
        raise InvalidInput('field "command" is empty')
    environment = {**DEFAULTS, **configured, **(request.environment or {})}
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise InvalidInput(f'field "environment": "{name}" is not a variable that can be set')
    if any("\0" in word for word in request.command):
        raise InvalidInput('field "command" contains a NUL character')
    for field, number in (("user", request.user), ("group", request.group)):
        if number is not None and not 0 <= number <= MAXIMUM_ID:
            raise InvalidInput(f'field "{field}": {number} is not a user or group id')
    return Command(
        argv=[*IN_FOLDER, request.cwd, *request.command] if request.cwd else request.command,
        environment=environment,
        uid=request.user or 0,
        gid=request.group or 0,
        cwd=environment["HOME"],
        kernel_limits=limits,
    )


async def _run_silently(host: Host, started: Started, command: Command) -> dict[str, Any]:
    with open(os.devnull, "r+b") as null:
        child = await host.runtime.execute(started, command, (null.fileno(),) * 3)
    return {"return": await child.wait()}


async def _run_recorded(
    host: Host, name: str, started: Started, command: Command, operation: Operation
) -> dict[str, Any]:
    """Pipes, not the files themselves: nothing of the host gets into the container."""
    folder = host.runtime.log_folder(name)
    with recording.records(folder, operation.id) as kept, contextlib.ExitStack() as fds:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in kept]
        for ours, _ in pipes:
            fds.callback(os.close, ours)
            os.set_blocking(ours, False)
        try:
            with open(os.devnull, "rb") as null:
                theirs = (null.fileno(), pipes[0][1], pipes[1][1])
                child = await host.runtime.execute(started, command, theirs)
        finally:
            for _, end in pipes:
                os.close(end)
        over = False
        async with asyncio.TaskGroup() as streams:
            outputs = [
                streams.create_task(_drain(ours, record, lambda: over, reworded), name="exec record")
                for (ours, _), record, reworded in zip(pipes, kept, (None, child.reworded), strict=True)
            ]
            status = await child.wait()
            over = True
            await _drain_rest(*outputs)
        for record in kept:
            record.check()
    logs = f"{containers.url(name)}/logs"
    files = (f"{logs}/{recording.file_name(operation.id, stream)}" for stream in recording.STREAMS)
    return {"return": status, "output": {str(fd): file for fd, file in enumerate(files, 1)}}


# --- pipes -------------------------------------------------------------------------------------


async def _run_on_pipes(
    host: Host, started: Started, command: Command, operation: Operation
) -> dict[str, Any]:
    stdin, stdout, stderr = await _connected(operation, "0", "1", "2")
    with contextlib.ExitStack() as fds:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        kept = set(ours)
        fds.callback(_close_all, kept)
        for fd in ours:
            os.set_blocking(fd, False)
        try:
            child = await host.runtime.execute(started, command, theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        async with asyncio.TaskGroup() as streams:
            feed = streams.create_task(_feed(stdin, ours[0], kept), name="exec stdin")
            control = streams.create_task(_control(operation, child, None), name="exec control")
            outputs = (
                streams.create_task(_drain(ours[1], stdout, lambda: False), name="exec stdout"),
                streams.create_task(
                    _drain(ours[2], stderr, lambda: False, child.reworded), name="exec stderr"
                ),
            )
            status = await child.wait()
            await asyncio.gather(*outputs)
            feed.cancel()
            control.cancel()
    await _say_end(stdout, stderr)
    return {"return": status}


def _close_all(kept: set[int]) -> None:
    while kept:
        os.close(kept.pop())


async def _feed(source: Socket, fd: int, kept: set[int]) -> None:
    """Copy binary frames to the fd until the stream ends, then close it and take it out of `kept`.

    An fd must be closed once: by now its number may belong to somebody else.
    """
    while isinstance(frame := await source.receive(), bytes):
        if not await _write_all(fd, frame):
            break
    kept.discard(fd)
    os.close(fd)


async def _write_all(fd: int, data: bytes) -> bool:
    """False once nobody reads the other end any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _wait_writable(fd)
        except (BrokenPipeError, OSError):
            return False
    return True


async def _wait_writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


Reworded = Callable[[bytes], bytes | None]


class _Target(Protocol):
    async def send(self, frame: bytes | str) -> None: ...


async def _drain(
    fd: int, target: _Target, is_over: Callable[[], bool], reworded: Reworded | None = None
) -> None:
    """Copy what the fd gives to binary frames until it ends, or is empty once `is_over`.

    reworded: what is sent in place of what comes first; see ports.runtime.Process.
    """
    held = b""
    while True:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            if is_over():
                break
            await process.wait_readable(fd)
            continue
        except OSError:  # EIO: the last process on the terminal is gone (pty(7))
            break
        if not data:
            break
        if reworded is not None:
            held += data
            told = reworded(held)
            if told is None:
                continue
            data, held, reworded = told, b"", None
        await target.send(data)
    if held:
        await target.send(held)


# --- terminal ----------------------------------------------------------------------------------


async def run_on_terminal(
    operation: Operation,
    size: tuple[int, int],
    start: Callable[[tuple[int, int, int]], Awaitable[Process]],
) -> dict[str, Any]:
    """Run a program on a terminal of (width, height) that the operation's sockets carry; its `return`."""
    (terminal,) = await _connected(operation, "0")
    master, slave = terminals.open_carrier(*size)
    os.set_blocking(master, False)
    with contextlib.ExitStack() as fds:
        fds.callback(os.close, master)
        try:
            child = await start((slave, slave, slave))
        finally:
            os.close(slave)
        over = False
        async with asyncio.TaskGroup() as streams:
            feed = streams.create_task(_type(terminal, master), name="exec input")
            control = streams.create_task(_control(operation, child, master), name="exec control")
            output = streams.create_task(
                _drain(master, terminal, lambda: over, child.reworded), name="exec output"
            )
            status = await child.wait()
            over = True
            await _drain_rest(output)
            feed.cancel()
            control.cancel()
    await _say_end(terminal)
    return {"return": status}


async def _drain_rest(*outputs: asyncio.Task[None]) -> None:
    """Let the output end; a background process that holds it open does not hold us."""
    await asyncio.wait(outputs, timeout=DRAIN_S)
    for output in outputs:
        output.cancel()


DRAIN_S = 1.0


async def _type(source: Socket, master: int) -> None:
    while isinstance(frame := await source.receive(), bytes):
        if not await _write_all(master, frame):
            return


# --- control -----------------------------------------------------------------------------------


async def _control(operation: Operation, child: Process, terminal: int | None) -> None:
    """Obey resize and signal messages; a client that vanishes takes its command with it."""
    socket = await operation.sockets["control"]
    while (frame := await socket.receive()) is not None:
        if isinstance(frame, str) and len(frame) <= CONTROL_FRAME_BYTES:
            _obey(frame, child, terminal)
    if socket.broken:
        child.signal(signal.SIGKILL)


def _obey(frame: str, child: Process, terminal: int | None) -> None:
    try:
        message = json.loads(frame)
        kind = message["command"]
        if kind == "window-resize" and terminal is not None:
            terminals.set_size(terminal, int(message["args"]["width"]), int(message["args"]["height"]))
            child.resized()
        elif kind == "signal" and 0 < int(message["signal"]) < signal.NSIG:
            child.signal(int(message["signal"]))
    except (ValueError, KeyError, TypeError):
        log.debug("exec: ignoring control message %r", frame)


async def _connected(operation: Operation, *names: str) -> list[Socket]:
    """The sockets of the streams, without which no command starts; InvalidInput if one stays away."""
    try:
        async with asyncio.timeout(CONNECTS_WITHIN_S):
            return list(await asyncio.gather(*(operation.sockets[name] for name in names)))
    except TimeoutError:
        raise InvalidInput(
            f"the command was not run: its streams were not connected within {CONNECTS_WITHIN_S:.0f} s"
        ) from None


async def _say_end(*sockets: Socket) -> None:
    for socket in sockets:
        await socket.send("")
