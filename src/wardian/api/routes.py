"""Routes as data, and what a handler sees of a request.

A handler is `async def name(host, request) -> response`; it decodes, calls one function of `core`
and encodes. Every route is for trusted callers only unless it says `guest=True`.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from wardian.api import replies
from wardian.core.host import Host
from wardian.errors import InvalidInput, StaleRevision

T = TypeVar("T")

BODY_BYTES = 1024 * 1024
"""A JSON body may be this large at most."""

_AT_PATH = re.compile(r"^(?P<text>.*) - at `(?P<path>\$[^`]*)`$")


class Request:
    """A request: its path, query and body, decoded when asked for."""

    def __init__(self, raw: web.Request, *, trusted: bool) -> None:
        self.raw = raw
        self.trusted = trusted
        self.path = raw.match_info
        self.query = raw.query

    @property
    def recursion(self) -> int:
        """0, 1 or 2; anything else counts as 0. `2;fields=...` is 2."""
        text = self.query.get("recursion", "0").partition(";")[0]
        return int(text) if text in ("1", "2") else 0

    @property
    def prefix(self) -> str:
        """`/1.0/containers` or `/1.0/instances`, as the caller named it."""
        return "/1.0/instances" if self.raw.path.startswith("/1.0/instances") else "/1.0/containers"

    async def decode(self, kind: type[T]) -> T:
        """The JSON body as a value of this type; InvalidInput naming the field that is wrong."""
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError as error:
            raise InvalidInput(explained(str(error))) from error
        except msgspec.DecodeError as error:
            raise InvalidInput(f"the body is not valid JSON: {error}") from error
        except RecursionError as error:
            raise InvalidInput("the body is nested too deeply") from error

    async def body(self) -> bytes:
        """The raw body; InvalidInput if it is larger than BODY_BYTES."""
        content = bytearray()
        async for chunk in self.raw.content.iter_chunked(65536):
            content += chunk
            if len(content) > BODY_BYTES:
                raise InvalidInput(f"the body is larger than {BODY_BYTES} bytes")
        return bytes(content)

    def require_match(self, writable: Any) -> None:
        """StaleRevision if If-Match names another revision than that of this object."""
        wanted = self.raw.headers.get("If-Match", "").strip('"')
        if wanted and wanted != "*" and wanted != replies.etag_of(writable):
            raise StaleRevision("the object has been changed since it was read; read it again and retry")


def explained(text: str) -> str:
    """msgspec's message with the field first: `field "config.x": expected `str`, got `int``."""
    match = _AT_PATH.match(text)
    unknown = re.match(r"Object contains unknown field `([^`]*)`", text)
    if unknown:
        where = match["path"].removeprefix("$").lstrip(".") if match else ""
        return f'unknown field "{where + "." if where else ""}{unknown[1]}"'
    missing = re.match(r"Object missing required field `([^`]*)`", text)
    if missing:
        return f'field "{missing[1]}" is missing'
    if match is None:
        return f"the body is wrong: {text}"
    field = match["path"].removeprefix("$").lstrip(".") or "body"
    return f'field "{field}": {match["text"][0].lower()}{match["text"][1:]}'


Handler = Callable[[Host, Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One verb on one path. path: aiohttp's syntax, `/1.0/containers/{name}`."""

    verb: str
    path: str
    handler: Handler
    guest: bool = False
    waits: bool = False
    """True: answered only once the daemon's start-up is complete."""
