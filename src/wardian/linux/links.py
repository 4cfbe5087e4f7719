"""Names of network interfaces by index (if_indextoname(3))."""

import socket


def name_of(index: int) -> str:
    """The name of the interface in our network namespace, or "" if there is none."""
    try:
        return socket.if_indextoname(index) if index > 0 else ""
    except OSError:
        return ""
