"""Downloads that go on where they broke off."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from wardian.client import download
from wardian.client.connection import ApiError, Connection

CONTENT = bytes(range(256)) * 100


class Server:
    """Answers each connection with what is asked for, but cuts it after so many bytes of the body."""

    host, url = "lxd", "unix:"

    def __init__(self, cuts: list[int], *, etags: str = "a", ranges: bool = True) -> None:
        self.cuts, self.etags, self.ranges = cuts, etags, ranges
        self.asked: list[str] = []

    def dial(self) -> socket.socket:
        ours, theirs = socket.socketpair()  # the caller closes ours
        threading.Thread(target=self._answer, args=(theirs,)).start()
        return ours

    def _answer(self, line: socket.socket) -> None:
        with line:
            request = line.recv(65536).decode()
            found = re.search(r"Range: bytes=(\d+)-", request)
            start = int(found[1]) if found else 0
            self.asked.append(found[0] if found else "all")
            body = CONTENT[start:]
            head = f"HTTP/1.1 {206 if found else 200} OK\r\nContent-Length: {len(body)}\r\n"
            head += f'ETag: "{self.etags[len(self.asked) % len(self.etags)]}"\r\n'
            head += "Accept-Ranges: bytes\r\n" if self.ranges else ""
            head += f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n" if found else ""
            line.sendall(head.encode() + b"\r\n" + body[: self.cuts.pop(0)])

    def explain(self, error: ApiError) -> ApiError:
        return error


def fetched(server: Server) -> Iterator[bytes]:
    connection = Connection(server)
    with contextlib.closing(connection):
        yield from download.pieces(connection, "/file", connection.send("GET", "/file"))


def test_a_line_that_breaks_costs_nothing() -> None:
    server = Server([1000, 0, 0, 5000, len(CONTENT)])
    assert b"".join(fetched(server)) == CONTENT
    assert server.asked == ["all", *(f"Range: bytes={n}-" for n in (1000, 1000, 1000, 6000))]


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server([1000, 0, 0, 0]), "closed the connection"),
        (Server([1000], ranges=False), "closed the connection"),
        (Server([1000, 9000], etags="ab"), "after 1000 bytes, and the rest is not to be had"),
    ],
)
def test_it_gives_up_where_that_does_not_help(server: Server, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        list(fetched(server))
