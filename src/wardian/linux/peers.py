"""Who is at the other end of a Unix socket, and in which namespaces it lives."""

import fcntl
import os
import socket
import struct

NS_GET_PARENT = 0xB702
"""ioctl_ns(2): the namespace that the one of this descriptor was made in."""
NESTED = 32
"""Process namespaces in each other; the kernel allows no more (pid_namespaces(7))."""


def credentials(sock: socket.socket) -> tuple[int, int]:
    """(pid, uid) of whoever connected, as seen from here; SO_PEERCRED in unix(7)."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid & 0xFFFFFFFF


def is_inside(pid: int, init: int) -> bool:
    """Whether the process is in the process namespace of `init`, or in one that was made in that."""
    try:
        wanted = os.stat(f"/proc/{init}/ns/pid")
        fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        for _ in range(NESTED):
            if os.path.samestat(os.fstat(fd), wanted):
                return True
            above = fcntl.ioctl(fd, NS_GET_PARENT)
            os.close(fd)
            fd = above
    except OSError:  # EPERM: above our own
        pass
    finally:
        os.close(fd)
    return False


def id_inside(init: int, uid: int) -> int | None:
    """The user id in the user namespace of `init` of an id of ours; None if it has none there."""
    try:
        with open(f"/proc/{init}/uid_map") as file:
            for line in file:
                inside, outside, count = map(int, line.split())
                if outside <= uid < outside + count:
                    return inside + uid - outside
    except OSError:
        pass
    return None
