"""The web server itself: what it answers of its own accord has the shape of all other errors, too.

aiohttp answers in plain text what it cannot make a request of (a verb that nobody has, a header that
is too large) and what no route of an application takes.
"""

from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from wardian.api import replies
from wardian.errors import InvalidInput, NotFound, WardianError, unforeseen


class _Speaker(web.RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """An envelope in place of the text; the connection ends, as its state is unknown."""
        super().handle_error(request, status, exc, message)  # logs it
        answer = replies.error(_failure(status, exc))
        answer.force_close()
        return answer


def _failure(status: int, cause: BaseException | None) -> WardianError:
    if isinstance(cause, BadHttpMethod):
        return NotFound()
    if status >= 500:
        return unforeseen(cause if isinstance(cause, Exception) else RuntimeError("the request failed"))
    return InvalidInput(f"this is no request of HTTP: {type(cause).__name__}")


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Speaker(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application. settings: of aiohttp's `RequestHandler`."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float, **settings: Any) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._settings = settings

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await plain.request_handler(request)
            except web.HTTPException as refusal:
                if refusal.status < 400:
                    raise
                return replies.error(NotFound() if refusal.status < 500 else unforeseen(refusal))

        return _Server(handle, request_factory=plain.request_factory, **self._settings)
