"""Connections from the network: who is at the other end, and which must go when there are too many.

Whoever can reach the port can open connections, so those whose certificate is not trusted are
counted. One more than the limit ends another: of the source that has most, an idle one if there is
one, the oldest first. A crowd from one place so pushes out itself, and never a trusted client.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from typing import Protocol

from aiohttp import web

LIMIT = 256
"""Connections of strangers, those that still shake hands among them."""
IDLE_S = 60.0
"""How long a connection may take to send a request's head, and may be idle between two requests."""
LINGERING_S = 5.0
"""How long the rest of a refused request's body is read, so that the refusal arrives."""


class Counting(Protocol):
    """Whoever counts connections."""

    def leave(self, one: "Conversation") -> None:
        """It has ended."""


class Conversation(asyncio.Protocol):
    """One connection: what TLS delivers goes to aiohttp's own protocol, which speaks HTTP."""

    def __init__(self, source: str, speaker: Callable[[], asyncio.Protocol], crowd: Counting) -> None:
        self.source = source
        self.certificate = b""
        """What the peer has shown and proven to have the key of, as DER; empty: none."""
        self.answering = 0
        """Requests (and websockets) that are being answered."""
        self.over = False
        self.end: Callable[[], object] = lambda: None
        """Ends the connection, whatever it is doing."""
        self._speaker = speaker
        self._crowd = crowd
        self._http: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self.end = transport.abort
        tls = transport.get_extra_info("ssl_object")
        self.certificate = (tls.getpeercert(binary_form=True) if tls else None) or b""
        self._http = self._speaker()
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        assert self._http is not None
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        assert self._http is not None
        return self._http.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        assert self._http is not None
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        assert self._http is not None
        self._http.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.over = True
        self._crowd.leave(self)
        if self._http is not None:
            self._http.connection_lost(error)


class Crowd:
    """All connections from the network, those of strangers bounded."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._known: set[Conversation] = set()
        self._strangers: dict[str, dict[Conversation, None]] = {}
        """By source, the oldest first."""
        self._count = 0

    def enter(self, one: Conversation) -> None:
        """Count a new connection, of a stranger until proven otherwise; another may have to go for it."""
        self._strangers.setdefault(one.source, {})[one] = None
        self._count += 1
        if self._count > self._limit:
            self._end_one(but=one)

    def _end_one(self, but: Conversation) -> None:
        most = max(self._strangers.values(), key=len)
        chosen = next((one for one in most if not one.answering and one is not but), next(iter(most)))
        self.leave(chosen)
        chosen.end()

    def leave(self, one: Conversation) -> None:
        """Forget a connection; harmless if it is forgotten already."""
        self._known.discard(one)
        of_source = self._strangers.get(one.source, {})
        if one in of_source:
            del of_source[one]
            self._count -= 1
            if not of_source:
                del self._strangers[one.source]

    def judge(self, one: Conversation, *, trusted: bool) -> None:
        """Note whether a connection's certificate is trusted now."""
        if one.over:
            return
        if trusted and one not in self._known:
            self.leave(one)
            self._known.add(one)
        elif not trusted and one in self._known:
            self._known.discard(one)
            self.enter(one)

    def all(self) -> list[Conversation]:
        """Every connection."""
        return [*self._known, *(one for many in self._strangers.values() for one in many)]


def of(request: web.BaseRequest) -> Conversation | None:
    """The connection from the network that a request came through; None: the Unix socket, or gone."""
    transport = request.transport
    found = transport.get_protocol() if transport is not None else None
    return found if isinstance(found, Conversation) else None


@contextlib.contextmanager
def answering(one: Conversation | None) -> Iterator[None]:
    """Count a request as being answered."""
    if one is None:
        yield
        return
    one.answering += 1
    try:
        yield
    finally:
        one.answering -= 1


def source_of(address: str) -> str:
    """Whom to count a peer's address for: an IPv4 address, or the /64 that one subscriber of IPv6 has."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
