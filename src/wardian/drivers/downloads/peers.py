"""Streams of operations on other hosts: websockets over TLS, to a host with a certificate that is known."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp import WSMsgType

from wardian.drivers.downloads.requests import explained, host_of, tls
from wardian.errors import HostFailed
from wardian.linux import tcp
from wardian.model.proxies import Proxies
from wardian.ports.downloads import Via
from wardian.ports.peers import Socket

CONNECT_S = 10
FRAME_BYTES = 16 * 1024 * 1024
GOODBYE_S = 1.0
ABNORMAL_CLOSURE = 1006
LINE_ERRORS = (aiohttp.ClientError, ConnectionError, RuntimeError, ssl.SSLError)


class PeerSocket:
    """One websocket that we have opened."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self._raw = raw

    async def receive(self) -> bytes | str | None:
        """See ports.Socket."""
        if self._raw.closed:
            return None
        message = await self._raw.receive()
        if message.type is WSMsgType.BINARY or message.type is WSMsgType.TEXT:
            data: bytes | str = message.data
            return data
        return None

    async def send(self, frame: bytes | str) -> None:
        """See ports.Socket."""
        if self._raw.closed:
            return
        try:
            await (self._raw.send_str(frame) if isinstance(frame, str) else self._raw.send_bytes(frame))
        except LINE_ERRORS:
            return

    async def close(self) -> None:
        """See ports.Socket."""
        if not self._raw.closed:
            await self._raw.close()

    def give_up_after(self, silence_s: int) -> None:
        """See ports.Socket."""
        sock = tcp.under(self._raw.get_extra_info)
        if sock is not None:
            tcp.give_up_after(sock, silence_s)

    def hang_up(self) -> None:
        """See ports.Socket."""
        sock = tcp.under(self._raw.get_extra_info)
        if sock is not None:
            tcp.hang_up(sock)

    @property
    def broken(self) -> bool:
        """See ports.Socket."""
        return self._raw.close_code in (None, ABNORMAL_CLOSURE)


class WebPeers:
    """Opens websockets with aiohttp, straight to the host: proxies are for the web."""

    @asynccontextmanager
    async def connect(self, urls: Sequence[str], certificate: str) -> AsyncIterator[tuple[Socket, ...]]:
        """See ports.Peers."""
        context = await asyncio.to_thread(tls, certificate)
        async with AsyncExitStack() as held:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=len(urls)),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_straight()],
            )
            await held.enter_async_context(session)
            opened = []
            for url in urls:
                raw = await self._open(session, url)
                held.push_async_callback(raw.close)
                opened.append(PeerSocket(raw))
            yield tuple(opened)

    async def _open(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
        async with explained(url, Via(Proxies())):
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await session.ws_connect(
                        url,
                        max_msg_size=FRAME_BYTES,
                        timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE_S),
                    )
            except aiohttp.WSServerHandshakeError as error:
                raise HostFailed(
                    f"{host_of(url)} refuses the connection to its operation with status {error.status}; "
                    "has the operation ended?"
                ) from None


def _straight() -> aiohttp.TraceConfig:
    """Has a session refuse to be led elsewhere."""

    async def refuse(_: object, __: object, params: aiohttp.TraceRequestRedirectParams) -> None:
        raise HostFailed(f"{host_of(str(params.url))} leads elsewhere, which is not followed")

    found = aiohttp.TraceConfig()
    found.on_request_redirect.append(refuse)
    return found
