"""Websockets as `core` sees them (ports.Socket) on aiohttp's."""

import socket

from aiohttp import WSCloseCode, WSMsgType, web

from wardian.errors import InvalidInput
from wardian.linux import tcp

FRAME_BYTES = 16 * 1024 * 1024
ABNORMAL_CLOSURE = 1006


class WebSocket:
    """One accepted websocket."""

    def __init__(self, raw: web.WebSocketResponse) -> None:
        self._raw = raw

    @classmethod
    async def accept(cls, request: web.BaseRequest) -> "WebSocket":
        """Finish the handshake; InvalidInput if the request does not begin one."""
        raw = web.WebSocketResponse(max_msg_size=FRAME_BYTES, compress=False, timeout=1.0)
        if not raw.can_prepare(request):
            raise InvalidInput("this is a websocket: connect with the headers of one (RFC 6455)")
        await raw.prepare(request)
        return cls(raw)

    @property
    def response(self) -> web.WebSocketResponse:
        """What the handler returns in the end."""
        return self._raw

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
        except (ConnectionError, RuntimeError):
            return

    async def close(self) -> None:
        """See ports.Socket."""
        if not self._raw.closed:
            await self._raw.close(code=WSCloseCode.OK)

    def give_up_after(self, silence_s: int) -> None:
        """See ports.Socket."""
        sock = tcp.under(self._raw.get_extra_info)
        if sock is not None and sock.family != socket.AF_UNIX:
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
