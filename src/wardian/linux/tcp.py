"""When TCP gives up on a peer (tcp(7))."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

PROBES = 4


def under(get_extra_info: Callable[[str], Any]) -> socket.socket | None:
    """The socket under a transport of asyncio; None if that has ended."""
    try:
        found: socket.socket | None = get_extra_info("socket")
    except AttributeError:  # what a closed transport of TLS answers
        return None
    return found


def give_up_after(sock: socket.socket, silence_s: int) -> None:
    """End the connection once the peer has acknowledged nothing for so long, whether data waits or not."""
    pause_s = max(1, silence_s // (PROBES + 1))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, pause_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * silence_s)


def hang_up(sock: socket.socket) -> None:
    """End the connection for both directions; harmless if it has ended."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
