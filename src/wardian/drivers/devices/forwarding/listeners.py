"""The listening sockets of proxy devices, opened where they belong: on the host or in a container.

A socket file of a container is made below its root folder, whatever its links say, as the container's
root user: the kernel then checks what that user may.
"""

import errno
import os
import socket
import stat
from dataclasses import dataclass

from wardian.linux import namespaces, syscalls
from wardian.model.forwards import End

BACKLOG = 1024


@dataclass(frozen=True)
class Owner:
    """Of a socket file, ids of the host. maker_uid, maker_gid: who makes it."""

    uid: int
    gid: int
    mode: int
    maker_uid: int = 0
    maker_gid: int = 0


@dataclass(frozen=True)
class Place:
    """Where to listen. Descriptors of a container, or -1 for the host's own."""

    pid: int
    """A process there."""
    namespace: int = -1
    root: int = -1


async def open_listener(end: End, place: Place, owner: Owner) -> socket.socket:
    """A socket that listens at `end`; OSError if it cannot be had. The caller closes it."""
    if end.kind == "unix" and not end.path.startswith("@"):
        return await _socket_file(end.path, place, owner)
    if place.namespace < 0:
        return _bound(end)
    return await namespaces.in_network(place.namespace, lambda: _bound(end))


def _bound(end: End) -> socket.socket:
    if end.kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address: object = b"\0" + end.path[1:].encode()
    else:
        family = socket.AF_INET6 if ":" in end.host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM if end.kind == "udp" else socket.SOCK_STREAM)
        if end.kind == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = (end.host, end.port)
    return _listening(made, address)


def _listening(made: socket.socket, address: object) -> socket.socket:
    try:
        made.bind(address)  # type: ignore[arg-type]
        if made.type == socket.SOCK_STREAM:
            made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


async def _socket_file(path: str, place: Place, owner: Owner) -> socket.socket:
    folder, name = _folder(path, place)
    try:
        _remove_stale(folder, name, path, place.pid)

        def make() -> socket.socket:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            return _listening(made, f"/proc/self/fd/{folder}/{name}")

        made = await namespaces.as_owner(owner.maker_uid, owner.maker_gid, make)
        try:
            _give(folder, name, owner)
        except BaseException:
            made.close()
            os.unlink(name, dir_fd=folder)
            raise
        return made
    finally:
        os.close(folder)


def _give(folder: int, name: str, owner: Owner) -> None:
    """Set owner and mode of the file that was just made; never of what somebody put in its place."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        os.chown(f"/proc/self/fd/{found}", owner.uid, owner.gid)
        os.chmod(f"/proc/self/fd/{found}", owner.mode)
    finally:
        os.close(found)


def _folder(path: str, place: Place) -> tuple[int, str]:
    folder, _, name = path.rpartition("/")
    flags = os.O_PATH | os.O_DIRECTORY
    if place.root < 0:
        return os.open(folder or "/", flags | os.O_CLOEXEC), name
    return syscalls.openat2(place.root, folder or "/", flags, resolve=syscalls.RESOLVE_IN_ROOT), name


def remove_file(end: End, place: Place) -> None:
    """Remove the socket file of an end that nothing listens at any more; harmless if there is none."""
    if end.kind != "unix" or end.path.startswith("@"):
        return
    try:
        folder, name = _folder(end.path, place)
    except FileNotFoundError:
        return
    try:
        _remove_stale(folder, name, end.path, place.pid)
    finally:
        os.close(folder)


def _remove_stale(folder: int, name: str, path: str, pid: int) -> None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISSOCK(found.st_mode) and not _is_bound(path, pid):
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _is_bound(path: str, pid: int) -> bool:
    """Whether a process in the network namespace of `pid` listens at the path (proc(5), net/unix)."""
    with open(f"/proc/{pid}/net/unix", errors="surrogateescape") as file:
        return any(line.rstrip("\n").endswith(f" {path}") for line in file)
