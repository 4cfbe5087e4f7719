"""Routes as data, and what a handler sees of a request.

A handler is `async def name(host, request) -> response`; it decodes, calls one function of `core`
and encodes. Every route is for trusted callers only unless it says `guest=True`; of those, callers who
may only look have what answers GET unless it says `content=True`, and callers who may use only some
containers have what says `within=True`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from wardian.api import bodies, replies
from wardian.api.auth import Caller
from wardian.core.host import Host
from wardian.errors import InvalidInput, StaleRevision
from wardian.model import filters
from wardian.model.filters import Clause

T = TypeVar("T")

BODY_BYTES = 1024 * 1024
"""A JSON body may be this large at most."""
GUEST_BODY_BYTES = 64 * 1024
"""And that of a caller who is not trusted."""
BODY_S = 60.0
"""How long a JSON body may take to arrive."""


class Request:
    """A request: its path, query and body, decoded when asked for."""

    def __init__(self, raw: web.Request, caller: Caller) -> None:
        self.raw = raw
        self.caller = caller
        self.trusted = caller.trusted
        self.access = caller.access
        self.path = raw.match_info
        self.query = raw.query

    @property
    def recursion(self) -> int:
        """0, 1 or 2; anything else counts as 0. `2;fields=...` is 2."""
        text = self.query.get("recursion", "0").partition(";")[0]
        return int(text) if text in ("1", "2") else 0

    @property
    def filter(self) -> list[Clause]:
        """What is wanted of a collection; nothing: all. Strangers write no patterns."""
        return filters.parse(self.query.get("filter", ""), patterns=self.trusted)

    @property
    def is_dry_run(self) -> bool:
        """Whether only the effects of the change are asked for."""
        return self.query.get("dry-run", "") == "1"

    @property
    def prefix(self) -> str:
        """`/1.0/containers` or `/1.0/instances`, as the caller named it."""
        return "/1.0/instances" if self.raw.path.startswith("/1.0/instances") else "/1.0/containers"

    async def decode(self, kind: type[T]) -> T:
        """The JSON body as a value of this type; InvalidInput naming the field that is wrong."""
        return bodies.decode(await self.body(), kind)

    async def body(self) -> bytes:
        """The raw body; InvalidInput if it is larger than it may be, or takes too long."""
        most = BODY_BYTES if self.trusted else GUEST_BODY_BYTES
        content = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while chunk := await self.raw.content.readany():
                    content += chunk
                    if len(content) > most:
                        raise InvalidInput(f"the body is larger than {most} bytes")
        except TimeoutError as error:
            raise InvalidInput(f"the body did not arrive within {BODY_S:g} s") from error
        except web.RequestPayloadError as error:
            raise InvalidInput(f"the body cannot be read: {error}") from error
        return bytes(content)

    def require_match(self, writable: Any) -> None:
        """StaleRevision if If-Match names another revision than that of this object."""
        wanted = self.raw.headers.get("If-Match", "").strip('"')
        if wanted and wanted != "*" and wanted != replies.etag_of(writable):
            raise StaleRevision("the object has been changed since it was read; read it again and retry")


Handler = Callable[[Host, Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One verb on one path. path: aiohttp's syntax, `/1.0/containers/{name}`."""

    verb: str
    path: str
    handler: Handler
    guest: bool = False
    content: bool = False
    """True, of GET: gives what is in containers and images, not only what is to be said of them."""
    within: bool = False
    """True: also for who may use only some containers. Without a name in its path it tells of no others."""
    early: bool = False
    """True: answered before start-up is complete, like every GET; other changes wait for it."""
