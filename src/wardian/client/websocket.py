"""The client side of a websocket (RFC 6455): frames as a pure codec, and a blocking socket on it."""

from __future__ import annotations

import binascii
import os
import struct

from wardian.client.connection import ApiError, Response, Stream, envelope, read_head, shut_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket as socket
    from collections.abc import Iterable

    from wardian.client.connection import Place

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FRAME_BYTES = 32 * 1024 * 1024
READ_BYTES = 256 * 1024


def encode(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One whole frame, masked as clients must."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload combined with the repeated mask."""
    if mask == b"\0\0\0\0" or not payload:
        return payload
    length = len(payload)
    stream = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(length, "big")


class Decoder:
    """Bytes in, messages out: (opcode, payload), fragments put together, control frames in between."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete now; ApiError on a malformed or oversized one."""
        self._buffer += data
        found = []
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode >= CLOSE:
                found.append((opcode, payload))
                continue
            if opcode != CONTINUATION:
                self._opcode, self._parts = opcode, []
            self._parts.append(payload)
            if sum(map(len, self._parts)) > FRAME_BYTES:
                raise ApiError("the daemon sent too large a message")
            if final:
                found.append((self._opcode, b"".join(self._parts)))
                self._parts = []
        return found

    def _frame(self) -> tuple[bool, int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        length, start = data[1] & 0x7F, 2
        if data[1] & 0x80 or data[0] & 0x70:
            raise ApiError("the daemon sent a malformed frame")
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(data) < 2 + size:
                return None
            length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
        if length > FRAME_BYTES:
            raise ApiError("the daemon sent too large a message")
        if len(data) < start + length:
            return None
        frame = bool(data[0] & 0x80), data[0] & 0x0F, bytes(data[start : start + length])
        del data[: start + length]
        return frame


class WebSocket:
    """A connected websocket."""

    def __init__(self, sock: socket.socket, rest: bytes) -> None:
        self._sock = sock
        self._decoder = Decoder()
        self.pending = self._decoder.feed(rest)
        """Messages that came with the handshake's reply."""
        self.closed = False

    def cut(self) -> None:
        """Have `receive` end at once, now or the next time; callable from a signal handler."""
        shut_down(self._sock)

    def fileno(self) -> int:
        """For select: readable when `receive` will return at once."""
        return self._sock.fileno()

    @property
    def buffered(self) -> bool:
        """Whether `receive` returns at once although select does not say so: TLS has read ahead."""
        pending = getattr(self._sock, "pending", None)
        return bool(self.pending) or (pending is not None and pending() > 0)

    def receive(self) -> list[tuple[int, bytes]]:
        """What is there (waits for at least some bytes); pings are answered, a close ends it."""
        found, self.pending = self.pending, []
        if not found:
            try:
                data = self._sock.recv(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return []
            found = self._decoder.feed(data)
        messages = []
        for opcode, payload in found:
            if opcode == PING:
                self._send(PONG, payload)
            elif opcode == CLOSE:
                self.close()
            elif opcode in (TEXT, BINARY):
                messages.append((opcode, payload))
        return messages

    def set_blocking(self, blocking: bool) -> None:
        """Whether `receive_raw` and `send_raw` wait; if not, they raise what the socket raises."""
        self._sock.setblocking(blocking)

    def receive_raw(self, size: int) -> list[tuple[int, bytes]] | None:
        """The messages of any kind that are complete after one more read; None once it has ended."""
        found, self.pending = self.pending, []
        if found:
            return found
        try:
            data = self._sock.recv(size)
        except ConnectionError:
            data = b""
        return self._decoder.feed(data) if data else None

    def send_raw(self, frames: bytes) -> int:
        """Send some of the encoded frames; how many bytes were taken."""
        return self._sock.send(frames)

    def send_bytes(self, payload: bytes) -> None:
        """Send a binary message."""
        self._send(BINARY, payload)

    def send_text(self, payload: str) -> None:
        """Send a text message."""
        self._send(TEXT, payload.encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        # Masking protects proxies in between; a Unix socket has none and TLS hides from them: it is zero.
        try:
            self._sock.sendall(encode(opcode, payload, b"\0\0\0\0"))
        except OSError:
            self.closed = True

    def close(self) -> None:
        """Say goodbye and hang up."""
        if not self.closed:
            self._send(CLOSE, struct.pack("!H", 1000))
            self.closed = True
        self._sock.close()

    def hang_up(self) -> None:
        """End it without a word: that would wait for a peer which does not listen."""
        self.closed = True
        self._sock.close()


def open_websocket(place: Place, path: str) -> WebSocket:
    """Connect and shake hands; ApiError if the daemon refuses."""
    return open_websockets(place, [path])[0]


def open_websockets(place: Place, paths: Iterable[str]) -> list[WebSocket]:
    """Several at once: all ask before the first answer is awaited."""
    asked = [_ask(place, path) for path in paths]
    return [_accepted(place, sock) for sock in asked]


def _ask(place: Place, path: str) -> socket.socket:
    sock = place.dial()
    key = binascii.b2a_base64(os.urandom(16), newline=False).decode()
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {place.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    return sock


def _accepted(place: Place, sock: socket.socket) -> WebSocket:
    stream = Stream(sock)
    status, headers = read_head(stream)
    if status != 101:
        try:
            envelope(Response(status, headers, stream))
        except ApiError as error:
            raise place.explain(error) from None
        finally:
            sock.close()
        raise ApiError(f"the daemon refused the connection (status {status})", status)
    return WebSocket(sock, stream.take_rest())
