"""HTTP/1.1 with one daemon, over its Unix socket or TLS (client/tls.py); it loads in milliseconds.

The standard library's client costs more to import than a whole `lxc list`; this one does what one
daemon needs: a request at a time, replies with a length or in chunks, bounded headers.
"""

from __future__ import annotations

import os
import select

from wardian.client import jsontext

try:  # without the enumerations of `socket`, which take as long to make as the interpreter to start
    import _socket as socket
except ImportError:  # another interpreter
    import socket  # type: ignore[no-redef]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    class Place(Protocol):
        """Where a daemon is, and how to get there."""

        url: str
        """As the user knows it."""
        host: str
        """For the Host header."""

        def dial(self) -> socket.socket:
            """A connection; ApiError with the advice that fits the failure."""

        def explain(self, error: ApiError) -> ApiError:
            """What the daemon said, with what the user can do about it."""


HEADER_BYTES = 64 * 1024
CHUNK = 256 * 1024
DEFAULT_DIR = "/var/lib/lxd"


class ApiError(Exception):
    """The daemon said no, or could not be reached. code: HTTP status, 0 if it was not reached."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(ApiError):
    """The daemon is not there, or went away: another try may find it."""


def socket_path() -> str:
    """Where the local daemon listens."""
    return os.path.join(os.environ.get("LXD_DIR") or DEFAULT_DIR, "unix.socket")


class UnixPlace:
    """A daemon of this host."""

    host = "lxd"

    def __init__(self, path: str = "", url: str = "unix://") -> None:
        self.path = path or socket_path()
        self.url = url

    def dial(self) -> socket.socket:
        """See Place."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            raise _advice(self.path, error) from None
        return sock

    def explain(self, error: ApiError) -> ApiError:
        """See Place: the words of the daemon are enough."""
        return error


def _advice(path: str, error: OSError) -> ApiError:
    if isinstance(error, FileNotFoundError):
        return Unreachable("LXD socket not found; is LXD installed and running?")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable("Connection refused; is LXD running?")
    if isinstance(error, PermissionError):
        return ApiError("Permission denied, are you in the lxd group?")
    return ApiError(f'cannot connect to "{path}": {error.strerror or error}')


class Response:
    """A reply: status, headers (lower-case names) and a body to be read once."""

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        stream: Stream,
        tell: Callable[[str, bytes], None] = lambda *_: None,
    ) -> None:
        """tell: is told of a body that is read as a whole."""
        self.status = status
        self.headers = headers
        self._stream = stream
        self._tell = tell

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._stream.line().split(b";")[0] or b"0", 16):
                yield from self._stream.pieces(size)
                self._stream.line()
            self._stream.line()
        else:
            yield from self._stream.pieces(int(self.headers.get("content-length", "0")))

    def read(self) -> bytes:
        """The whole body."""
        body = b"".join(self.chunks())
        self._tell(f"{self.status}", body)
        return body


class Stream:
    """Buffered reading from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""

    def line(self) -> bytes:
        """The next line without its end."""
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > HEADER_BYTES:
                raise ApiError("the daemon's reply is malformed")
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces."""
        while size:
            if not self._buffer:
                self._fill()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    def take_rest(self) -> bytes:
        """What was read beyond the reply (the first bytes of an upgraded protocol)."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _fill(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        except OSError as error:  # the network went away, or TLS broke
            raise Unreachable(f"the connection to the daemon broke: {error.strerror or error}") from None
        if not data:
            raise Unreachable("the daemon closed the connection; is it still running?")
        self._buffer += data


def read_head(stream: Stream) -> tuple[int, dict[str, str]]:
    """Status and headers of a reply."""
    words = stream.line().split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ApiError("the daemon's reply is malformed")
    headers = {}
    while line := stream.line():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers


def shut_down(sock: socket.socket) -> None:
    """Break a connection off, so that who waits for it, even now, does so no more."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is already


class Connection:
    """The REST API of one daemon; connected on first use, kept for further requests."""

    watcher: Callable[[str, bytes], None] | None = None
    """Is told of every request and answer: a line that says which, and the body."""

    def __init__(self, place: Place | None = None) -> None:
        self.place: Place = place or UnixPlace()
        self._sock: socket.socket | None = None
        self._stream: Stream | None = None
        self._is_cut = False

    def cut(self) -> None:
        """Have a wait for the daemon end at once, or the next one; callable from a signal handler."""
        self._is_cut = True
        if self._sock is not None:
            shut_down(self._sock)

    def send(
        self,
        verb: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Send a request; a body in pieces needs its Content-Length in the headers."""
        self._ask(verb, path, body, headers)
        return self._answer()

    def _tell(self, line: str, body: bytes = b"") -> None:
        if Connection.watcher is not None:
            Connection.watcher(line, body)

    def _ask(
        self, verb: str, path: str, body: bytes | Iterable[bytes], headers: dict[str, str] | None
    ) -> None:
        if self._is_stale():
            self.close()
        if self._sock is None:
            self._sock = self.place.dial()
            self._stream = Stream(self._sock)
        if self._is_cut:
            raise Unreachable("the daemon is not waited for any more")
        assert self._stream is not None
        fields = {"Host": self.place.host, **(headers or {})}
        if isinstance(body, bytes):
            fields["Content-Length"] = str(len(body))
        self._tell(f"{verb} {self.place.url}{path}", body if isinstance(body, bytes) else b"")
        head = f"{verb} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
        try:
            if isinstance(body, bytes):
                self._sock.sendall(head.encode() + body)
            else:
                self._sock.sendall(head.encode())
                for piece in body:
                    self._sock.sendall(piece)
        except OSError:
            pass  # the daemon has answered before reading everything: its answer, or reading it, says why

    def _answer(self) -> Response:
        assert self._stream is not None
        status, found = read_head(self._stream)
        return Response(status, found, self._stream, self._tell)

    def request(
        self, verb: str, path: str, content: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """(envelope, headers) of a JSON request; ApiError if the daemon says no."""
        body = b"" if content is None else jsontext.dumps(content).encode()
        response = self.send(verb, path, body, headers)
        try:
            return envelope(response), response.headers
        except ApiError as error:
            raise self.place.explain(error) from None

    def ask(self, path: str) -> Callable[[], Any]:
        """Send a GET at once; calling the result waits for its metadata. No other request in between."""
        self._ask("GET", path, b"", None)

        def answer() -> Any:
            try:
                return envelope(self._answer())["metadata"]
            except ApiError as error:
                raise self.place.explain(error) from None

        return answer

    def get(self, path: str) -> Any:
        """The metadata of a GET."""
        return self.request("GET", path)[0]["metadata"]

    def _is_stale(self) -> bool:
        """Whether the daemon hung up meanwhile, or part of the last answer was not read."""
        if self._sock is None or self._stream is None:
            return False
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        return bool(self._stream.take_rest() or waiting.poll(0))

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def envelope(response: Response) -> dict[str, Any]:
    """The reply's envelope; ApiError with the daemon's message if it is an error."""
    try:
        found: dict[str, Any] = jsontext.loads(response.read())
    except ValueError:
        raise ApiError(
            f"the daemon's reply (status {response.status}) is not JSON", response.status
        ) from None
    if found.get("type") == "error":
        raise ApiError(str(found.get("error", "")), int(found.get("error_code", response.status)))
    return found


def quote(text: str) -> str:
    """A name as part of a URL."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    return "".join(chr(b) if b in plain else f"%{b:02X}" for b in text.encode())
