"""Websockets as `core` sees them (core.operations.Socket) on aiohttp's."""

from aiohttp import WSCloseCode, WSMsgType, web

FRAME_BYTES = 16 * 1024 * 1024
ABNORMAL_CLOSURE = 1006


class WebSocket:
    """One accepted websocket."""

    def __init__(self, raw: web.WebSocketResponse) -> None:
        self._raw = raw

    @classmethod
    async def accept(cls, request: web.BaseRequest) -> "WebSocket":
        """Finish the handshake."""
        raw = web.WebSocketResponse(max_msg_size=FRAME_BYTES, compress=False, timeout=1.0)
        await raw.prepare(request)
        return cls(raw)

    @property
    def response(self) -> web.WebSocketResponse:
        """What the handler returns in the end."""
        return self._raw

    async def receive(self) -> bytes | str | None:
        """See core.operations.Socket."""
        if self._raw.closed:
            return None
        message = await self._raw.receive()
        if message.type is WSMsgType.BINARY or message.type is WSMsgType.TEXT:
            data: bytes | str = message.data
            return data
        return None

    async def send(self, frame: bytes | str) -> None:
        """See core.operations.Socket."""
        if self._raw.closed:
            return
        try:
            await (self._raw.send_str(frame) if isinstance(frame, str) else self._raw.send_bytes(frame))
        except (ConnectionError, RuntimeError):
            return

    async def close(self) -> None:
        """See core.operations.Socket."""
        if not self._raw.closed:
            await self._raw.close(code=WSCloseCode.OK)

    @property
    def broken(self) -> bool:
        """See core.operations.Socket."""
        return self._raw.close_code in (None, ABNORMAL_CLOSURE)
