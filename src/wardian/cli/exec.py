"""lxc exec: a command in a container, on a terminal or on pipes."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # no enumerations: see client/connection.py
import os
import select
import sys

from wardian.cli import commands
from wardian.cli.options import Values, parse
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError
from wardian.client.websocket import BINARY, WebSocket, open_websockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.client.connection import Connection, Place

READ = 128 * 1024
LOGIN = ("su", "-l")
MODES = ("auto", "interactive", "non-interactive")
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run(session: Session, values: Values, words: list[str]) -> int:
    """Run the command; its exit status."""
    need(words, 2)
    daemon, name = session.server(words[0])
    if values.mode not in MODES:
        raise ApiError(f'invalid mode "{values.mode}"; use auto, interactive or non-interactive')
    interactive = _is_interactive(values)
    environment = {"TERM": os.environ["TERM"]} if os.environ.get("TERM") else {}
    environment |= dict(_variable(text) for text in values.env)
    request: dict[str, Any] = {
        "command": words[1:],
        "environment": environment,
        "wait-for-websocket": True,
        "interactive": interactive,
    }
    if interactive:
        request["width"], request["height"] = terminal_size()
    for flag, field in (("user", "user"), ("group", "group")):
        if getattr(values, flag) >= 0:
            request[field] = getattr(values, flag)
    if values.cwd:
        request["cwd"] = values.cwd
    return attached(daemon, name, request, stdin=not values.disable_stdin)


def _is_interactive(values: Values) -> bool:
    if values.force_interactive and values.force_noninteractive:
        raise ApiError("-t and -T do not go together")
    if values.force_interactive or values.force_noninteractive:
        return bool(values.force_interactive)
    if values.mode != "auto":
        return bool(values.mode == "interactive")
    return sys.stdin.isatty() and sys.stdout.isatty() and not values.disable_stdin


def shell(session: Session, values: Values, words: list[str]) -> int:
    """Open a login shell; its exit status."""
    need(words, 1, 1)
    command = commands.find("exec")
    assert command is not None
    given, _ = parse(command.flags, [])
    return run(session, given, [words[0], *LOGIN])


def attached(daemon: Connection, name: str, request: dict[str, Any], *, stdin: bool = True) -> int:
    """Run a command with our own streams; its exit status. stdin False: it reads nothing."""
    operation = daemon.request("POST", container_url(name, "exec"), request)[0]["metadata"]
    streams = connect(daemon.place, operation)
    finish = daemon.ask(f"/1.0/operations/{operation['id']}/wait")
    if request["interactive"]:
        interact(streams)
    else:
        _pipe(streams, reads_stdin=stdin)
    finished = finish()
    if finished["status_code"] != 200:
        raise ApiError(finished["err"] or finished["status"])
    return int(finished["metadata"]["return"])


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def terminal_size() -> tuple[int, int]:
    """(width, height) of our terminal."""
    try:
        return tuple(os.get_terminal_size(sys.stdout.fileno()))  # type: ignore[return-value]
    except OSError:
        return 80, 24


def connect(place: Place, operation: dict[str, Any]) -> dict[str, WebSocket]:
    """The streams of an operation by their names."""
    url = f"/1.0/operations/{operation['id']}/websocket?secret="
    # Control first: the command may be over as soon as the others are connected.
    fds = dict(sorted(operation["metadata"]["fds"].items(), key=lambda item: item[0] != "control"))
    opened = open_websockets(place, [url + secret for secret in fds.values()])
    return dict(zip(fds, opened, strict=True))


def _send_signals(control: WebSocket) -> None:
    def forward(number: int, _: object) -> None:
        control.send_text(f'{{"command": "signal", "signal": {number}}}')

    for number in FORWARDED:
        signal.signal(number, forward)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def _pipe(streams: dict[str, WebSocket], *, reads_stdin: bool) -> None:
    """Copy stdin in, stdout and stderr out, until both have ended."""
    _send_signals(streams["control"])
    outputs = {streams["1"]: sys.stdout.fileno(), streams["2"]: sys.stderr.fileno()}
    stdin = streams["0"]
    if not reads_stdin:
        stdin.send_text("")
    while outputs:
        waiting: list[Any] = [*outputs, *([sys.stdin.fileno()] if reads_stdin else [])]
        for source in _ready(waiting):
            if source == sys.stdin.fileno() and not isinstance(source, WebSocket):
                reads_stdin = _copy_in(source, stdin)
            elif not _copy_out(source, outputs[source]):
                del outputs[source]


def _ready(waiting: list[Any]) -> list[Any]:
    """Which of these can be read at once; waits until one can."""
    buffered = [source for source in waiting if isinstance(source, WebSocket) and source.buffered]
    return buffered or select.select(waiting, [], [])[0]


def _copy_in(fd: int, target: WebSocket) -> bool:
    try:
        data = os.read(fd, READ)
    except OSError:
        data = b""
    if data and not target.closed:
        target.send_bytes(data)
        return True
    target.send_text("")
    return False


def _copy_out(source: WebSocket, fd: int) -> bool:
    """Write what came; False once the stream has ended."""
    for kind, payload in source.receive():
        if kind != BINARY:
            return False
        try:
            _write(fd, payload)
        except BrokenPipeError:
            return False
    return not source.closed


def interact(streams: dict[str, WebSocket]) -> None:
    """Connect our terminal with the one in the container until that one ends."""
    import termios
    import tty

    terminal, control = streams["0"], streams["control"]
    fd = sys.stdin.fileno()

    def resized(*_: object) -> None:
        width, height = terminal_size()
        arguments = f'{{"width": "{width}", "height": "{height}"}}'
        control.send_text(f'{{"command": "window-resize", "args": {arguments}}}')

    before = termios.tcgetattr(fd) if os.isatty(fd) else None
    if before is not None:
        tty.setraw(fd, termios.TCSADRAIN)  # keeps what was typed ahead
    signal.signal(signal.SIGWINCH, resized)
    try:
        reads_stdin = True
        while True:
            waiting: list[Any] = [terminal, *([fd] if reads_stdin else [])]
            ready = _ready(waiting)
            if terminal in ready and not _copy_out(terminal, sys.stdout.fileno()):
                return
            if fd in ready:
                data = os.read(fd, READ)
                reads_stdin = bool(data)
                if data:
                    terminal.send_bytes(data)
    finally:
        if before is not None:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
