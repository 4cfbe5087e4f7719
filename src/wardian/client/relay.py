"""Passing the streams of one daemon on to another: for hosts that cannot reach each other, but us."""

from __future__ import annotations

import contextlib
import select
import ssl
import struct

from wardian.client.websocket import BINARY, CLOSE, PING, PONG, READ_BYTES, TEXT, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wardian.client.websocket import WebSocket

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
FAREWELL = encode(CLOSE, struct.pack("!H", 1000), b"\0\0\0\0")


class _Side:
    """One websocket of a pair: reads only while the other side has taken all that it was given."""

    def __init__(self, websocket: WebSocket) -> None:
        self._socket = websocket
        self.other: _Side
        self.out = b""
        self.open = True
        websocket.set_blocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def reads(self) -> bool:
        return self.open and not self.other.out

    @property
    def goes_on(self) -> bool:
        """Whether it may still say something to the other side, or has to be told what that has said."""
        return self.open and (self.other.open or bool(self.out))

    @property
    def has_read_ahead(self) -> bool:
        return self.reads and self._socket.buffered

    def read(self) -> None:
        """Take what is there, and give it to the other side."""
        while self.reads:
            try:
                messages = self._socket.receive_raw(READ_BYTES)
            except NOT_NOW:
                return
            if messages is None:
                self.end()
                return
            for opcode, payload in messages:
                self._pass_on(opcode, payload)

    def _pass_on(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.out += encode(PONG, payload, b"\0\0\0\0")
        elif opcode == CLOSE:
            self.end()
        elif opcode in (TEXT, BINARY) and self.other.open:
            self.other.out += encode(opcode, payload, b"\0\0\0\0")

    def write(self) -> None:
        """Send what the other side gave us, as far as it goes now."""
        try:
            while self.out:
                self.out = self.out[self._socket.send_raw(self.out) :]
        except NOT_NOW:
            return
        except OSError:
            self.out = b""
            self.end()

    def end(self) -> None:
        """This side is over: the other one hears of it. What it has not taken by now it never will."""
        if self.open:
            if not self.out:
                with contextlib.suppress(OSError):
                    self._socket.send_raw(FAREWELL)
            self.open, self.out = False, b""
            if self.other.open:
                self.other.out += FAREWELL


def relay(pairs: Sequence[tuple[WebSocket, WebSocket]]) -> None:
    """Pass on all that either side of each pair says, until all have ended; memory stays bounded."""
    sides = []
    for one, other in pairs:
        first, second = _Side(one), _Side(other)
        first.other, second.other = second, first
        sides += [first, second]
    try:
        while any(side.goes_on for side in sides):
            _wait(sides)
            for side in sides:
                side.read()
            for side in sides:
                side.write()
    finally:
        for one, other in pairs:
            one.hang_up()  # what was to be said has been; after an interrupt the other side may not listen
            other.hang_up()


def _wait(sides: Sequence[_Side]) -> None:
    """Return once one of them can go on."""
    waiting = select.poll()
    for side in sides:
        events = (select.POLLIN if side.reads else 0) | (select.POLLOUT if side.out and side.open else 0)
        if events:
            waiting.register(side.fileno(), events)
    waiting.poll(0 if any(side.has_read_ahead for side in sides) else None)
