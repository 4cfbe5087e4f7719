"""Who is asking.

Whoever reaches the Unix socket is trusted: its file mode decides. Over the network a caller is trusted
if its certificate is in the trust store; and if it is a web browser, which sends the certificate
with whatever any page makes it ask for, only if the page is one that is allowed.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from wardian.api.conversations import Conversation, Crowd
from wardian.core import server, trust
from wardian.core.host import Host
from wardian.model.access import FULL, Access

OWN_PAGES = ("", "none", "same-origin")
"""Sec-Fetch-Site of a request that no other site's page has made: absent, typed in, or our own."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    trusted: bool = False
    local: bool = False
    """Through the Unix socket."""
    source: str = ""
    """Whom to count tries for: address or subnet; empty if not known."""
    certificate: bytes = b""
    """DER, as shown in the TLS handshake; empty: none."""
    access: Access = FULL
    """What it may do, if it is trusted."""


async def identify(
    host: Host, crowd: Crowd, request: web.Request, conversation: Conversation | None
) -> Caller:
    """The caller; without any certificate and not local: a guest."""
    if conversation is None:
        transport = request.transport
        peer = transport.get_extra_info("socket") if transport is not None else None
        local = peer is not None and peer.family == socket.AF_UNIX
        return Caller(trusted=local, local=local)
    access = await trust.access_of(host, conversation.certificate)
    crowd.judge(conversation, trusted=access is not None)
    return Caller(
        trusted=access is not None and await _is_wanted(host, request.headers),
        source=conversation.source,
        certificate=conversation.certificate,
        access=access or FULL,
    )


async def _is_wanted(host: Host, headers: Mapping[str, str]) -> bool:
    """Whether no web page of a foreign origin has made the request."""
    origin = headers.get("Origin", "")
    if origin:
        return await server.is_allowed_origin(host, origin)
    return headers.get("Sec-Fetch-Site", "") in OWN_PAGES
