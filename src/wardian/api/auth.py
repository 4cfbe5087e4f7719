"""Who is asking. Whoever reaches the Unix socket is trusted: its file mode decides."""

import socket

from aiohttp import web


def is_trusted(request: web.Request) -> bool:
    """Whether the caller may use routes that are not for guests."""
    transport = request.transport
    peer = transport.get_extra_info("socket") if transport is not None else None
    return peer is not None and peer.family == socket.AF_UNIX
