"""The forwarder: one small process that carries the traffic of all proxy devices of a daemon.

Run by its path with `python -I -S`; imports the standard library only. It outlives the daemon, as
dnsmasq does, so that connections never notice a restart. The daemon opens the listening sockets
(each keeps the network namespace it was made in) and passes them on together with what is needed to
connect: the network namespace and the root folder of the container. A device ends with its
container: the pidfd of its init is watched.

Control: requests on a SOCK_SEQPACKET socket, JSON with descriptors; each is answered with JSON.
"""

import ctypes
import errno
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

BUFFER = 1 << 18
"""Bytes kept for a receiver that is slower than its sender; then the sender has to wait."""
CHUNK = 1 << 16
MOST_CONNECTIONS = 4096
"""Of one device at a time; more have to wait in the kernel's queue."""
MOST_FLOWS = 4096
"""Of one udp socket: senders that are remembered; the oldest is forgotten."""
FLOW_S = 120.0
"""A udp sender that is silent for so long is forgotten."""
MESSAGE = 1 << 17
MOST_FDS = 253
"""SCM_MAX_FD of the kernel."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
CLONE_NEWNET = 0x40000000
SYS_OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10

Ready = Callable[[int], None]


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def open_beneath(root: int, path: str) -> int:
    """The file at a path of a container, never outside its root whatever links say (openat2(2))."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
    arguments = (ctypes.c_long(root), path.encode(), ctypes.byref(how), ctypes.c_long(ctypes.sizeof(how)))
    return _checked(_libc.syscall(ctypes.c_long(SYS_OPENAT2), *arguments))


class Target:
    """Where a device connects to. fds: namespace and root of the container, -1 for the host's."""

    def __init__(self, end: dict[str, Any], namespace: int, root: int) -> None:
        self.end, self.namespace, self.root = end, namespace, root

    def begin(self) -> socket.socket:
        """A new socket, not blocking, whose connection is under way."""
        end = self.end
        if end["kind"] == "unix":
            return self._unix(end["path"])
        kind = socket.SOCK_DGRAM if end["kind"] == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in end["host"] else socket.AF_INET
        return self._connect(self._in_namespace(family, kind), (end["host"], end["port"]))

    def _unix(self, path: str) -> socket.socket:
        made = self._in_namespace(socket.AF_UNIX, socket.SOCK_STREAM)
        if path.startswith("@"):
            return self._connect(made, b"\0" + path[1:].encode())
        if self.root < 0:
            return self._connect(made, path)
        try:
            found = open_beneath(self.root, path)
        except OSError:
            made.close()
            raise
        try:
            return self._connect(made, f"/proc/self/fd/{found}")
        finally:
            os.close(found)

    def _in_namespace(self, family: int, kind: int) -> socket.socket:
        if self.namespace < 0:
            return socket.socket(family, kind | socket.SOCK_NONBLOCK)
        _checked(_libc.setns(self.namespace, CLONE_NEWNET))
        try:
            return socket.socket(family, kind | socket.SOCK_NONBLOCK)
        finally:
            _checked(_libc.setns(HOME, CLONE_NEWNET))

    def _connect(self, made: socket.socket, address: Any) -> socket.socket:
        try:
            made.connect(address)
        except BlockingIOError as error:
            if error.errno != errno.EINPROGRESS:  # a full queue (EAGAIN, unix): refused
                made.close()
                raise
        except OSError:
            made.close()
            raise
        return made


class Loop:
    """What is ready calls back."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def watch(self, thing: Any, events: int, ready: Ready) -> None:
        """Have `ready` called for these events; 0: for none."""
        known = thing in self.selector.get_map()
        if not events:
            if known:
                self.selector.unregister(thing)
        elif known:
            self.selector.modify(thing, events, ready)
        else:
            self.selector.register(thing, events, ready)

    def run_once(self, timeout: float | None) -> None:
        """Wait for what is ready and call it."""
        for key, events in self.selector.select(timeout):
            if self.selector.get_map().get(key.fd) == key:  # not closed or changed by one before it
                key.data(events)


class Half:
    """One direction of a connection: bytes read from `source` that `sink` has not taken yet."""

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes = b"") -> None:
        self.source, self.sink, self.buffer = source, sink, bytearray(first)
        self.ended = self.closed = False

    def read(self) -> None:
        """Take what is there; at the end, or on an error, note that no more will come."""
        try:
            data = self.source.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        self.buffer += data
        self.ended = not data

    def write(self) -> None:
        """Hand over what can be; once all is, say that no more will come."""
        try:
            while self.buffer:
                with memoryview(self.buffer) as view:
                    sent = self.sink.send(view)
                del self.buffer[:sent]
        except (BlockingIOError, InterruptedError):
            return
        if self.ended and not self.closed:
            self.closed = True
            self.sink.shutdown(socket.SHUT_WR)


class Connection:
    """A stream from a client of a device to its target."""

    def __init__(self, device: "Device", client: socket.socket, target: socket.socket, first: bytes) -> None:
        self.device, self.client, self.target = device, client, target
        self.there, self.back = Half(client, target, first), Half(target, client)
        self.connected = False
        for end in (client, target):
            end.setblocking(False)
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.update()

    def update(self) -> None:
        """Wait for what can happen next, or end."""
        if self.there.closed and self.back.closed:
            self.close()
            return
        for own, into, out in ((self.client, self.there, self.back), (self.target, self.back, self.there)):
            events = READ if not into.ended and len(into.buffer) < BUFFER else 0
            events |= WRITE if out.buffer else 0
            if not self.connected:
                events = WRITE if own is self.target else 0
            ready = self.client_ready if own is self.client else self.target_ready
            self.device.loop.watch(own, events, ready)

    def client_ready(self, events: int) -> None:
        self._move(events, self.there, self.back)

    def target_ready(self, events: int) -> None:
        if not self.connected:
            if self.target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
                return
            self.connected, events = True, WRITE
        self._move(events, self.back, self.there)

    def _move(self, events: int, into: Half, out: Half) -> None:
        try:
            if events & READ:
                into.read()
            into.write() if self.connected else None
            out.write()
            self.update()
        except OSError:
            self.close()

    def close(self) -> None:
        """End it; harmless if it has."""
        for end in (self.client, self.target):
            if end.fileno() >= 0:
                self.device.loop.watch(end, 0, self.client_ready)
                end.close()
        self.device.gone(self)


class StreamListener:
    """Accepts connections of one socket of a device."""

    def __init__(self, device: "Device", own: socket.socket, target: Target, *, announce: bool) -> None:
        self.device, self.own, self.target, self.announce = device, own, target, announce
        self.resume()

    def resume(self) -> None:
        self.device.loop.watch(self.own, READ, self.ready)

    def ready(self, _: int) -> None:
        """A client is waiting."""
        try:
            client, _address = self.own.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self.device.pause()  # until a connection ends
            return
        try:
            first = greeting(client) if self.announce else b""
            connection = Connection(self.device, client, self.target.begin(), first)
        except OSError:
            client.close()
            return
        self.device.came(connection)

    def close(self) -> None:
        self.device.loop.watch(self.own, 0, self.ready)
        self.own.close()


def greeting(client: socket.socket) -> bytes:
    """The line of the PROXY protocol, version 1, that tells the target who connects."""
    (source, source_port, *_), (own, own_port, *_) = client.getpeername(), client.getsockname()
    if source.startswith("::ffff:") and own.startswith("::ffff:"):
        source, own = source.removeprefix("::ffff:"), own.removeprefix("::ffff:")
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {own} {source_port} {own_port}\r\n".encode()


class DatagramListener:
    """Carries the datagrams of one socket of a device; each sender has a socket of its own."""

    def __init__(self, device: "Device", own: socket.socket, target: Target) -> None:
        self.device, self.own, self.target = device, own, target
        self.flows: dict[Any, tuple[socket.socket, float]] = {}
        own.setblocking(False)
        device.loop.watch(own, READ, self.ready)

    def ready(self, _: int) -> None:
        """A datagram from a sender."""
        try:
            data, sender = self.own.recvfrom(CHUNK)
            out = self._flow(sender)
            out.send(data)
        except OSError:
            return  # as the network does with what cannot be delivered

    def _flow(self, sender: Any) -> socket.socket:
        now = time.monotonic()
        known = self.flows.pop(sender, None)
        if known is None:
            if len(self.flows) >= MOST_FLOWS:
                self._forget(next(iter(self.flows)))
            made = self.target.begin()
            self.device.loop.watch(made, READ, lambda _: self._answer(sender, made))
        else:
            made = known[0]
        self.flows[sender] = (made, now)
        return made

    def _answer(self, sender: Any, flow: socket.socket) -> None:
        try:
            self.own.sendto(flow.recv(CHUNK), sender)
        except OSError:
            return
        self.flows[sender] = (flow, time.monotonic())

    def expire(self, now: float) -> None:
        """Forget the senders that were silent for long."""
        for sender in [s for s, (_, used) in self.flows.items() if now - used > FLOW_S]:
            self._forget(sender)

    def _forget(self, sender: Any) -> None:
        flow, _ = self.flows.pop(sender)
        self.device.loop.watch(flow, 0, self.ready)
        flow.close()

    def close(self) -> None:
        for sender in list(self.flows):
            self._forget(sender)
        self.device.loop.watch(self.own, 0, self.ready)
        self.own.close()


class Device:
    """A proxy device: its sockets, its connections, and the container it ends with."""

    def __init__(
        self, loop: Loop, request: dict[str, Any], fds: list[int], ended: Callable[[], None]
    ) -> None:
        self.loop, self.pidfd, self.kept = loop, fds[0], fds[:3]
        self.init: int = request["init"]
        self.connections: set[Connection] = set()
        namespace, root = (fds[1], fds[2]) if request["into_container"] else (-1, -1)
        self.streams: list[StreamListener] = []
        self.datagrams: list[DatagramListener] = []
        for fd, end in zip(fds[3:], request["connect"], strict=True):
            own, target = socket.socket(fileno=fd), Target(end, namespace, root)
            if own.type == socket.SOCK_DGRAM:
                self.datagrams.append(DatagramListener(self, own, target))
            else:
                own.setblocking(False)
                announce = bool(request["proxy_protocol"])
                self.streams.append(StreamListener(self, own, target, announce=announce))
        loop.watch(self.pidfd, READ, lambda _: ended())

    def came(self, connection: Connection) -> None:
        if connection.client.fileno() >= 0:
            self.connections.add(connection)
        if len(self.connections) >= MOST_CONNECTIONS:
            self.pause()

    def gone(self, connection: Connection) -> None:
        self.connections.discard(connection)
        for listener in self.streams:
            listener.resume()

    def pause(self) -> None:
        """Accept no more until a connection ends."""
        if self.connections:
            for listener in self.streams:
                self.loop.watch(listener.own, 0, listener.ready)

    def close(self) -> None:
        """End it with all its connections."""
        streams, self.streams = self.streams, []
        for listener in streams:
            listener.close()
        for datagrams in self.datagrams:
            datagrams.close()
        for connection in list(self.connections):
            connection.close()
        self.loop.watch(self.pidfd, 0, lambda _: None)
        for fd in self.kept:
            os.close(fd)


class Forwarder:
    """All devices by name, and the daemon's requests about them."""

    def __init__(self, control: socket.socket) -> None:
        self.loop, self.control = Loop(), control
        self.devices: dict[str, Device] = {}
        self.asking = 0
        self.loop.watch(control, READ, self.accept)

    def run(self) -> None:
        """Serve until nobody asks and there is nothing to carry."""
        while True:
            flowing = [d for device in self.devices.values() for d in device.datagrams if d.flows]
            self.loop.run_once(FLOW_S / 4 if flowing else None)
            now = time.monotonic()
            for listener in flowing:
                listener.expire(now)
            if not self.devices and not self.asking:
                return

    def accept(self, _: int) -> None:
        """A daemon connects; only root may."""
        asking, _address = self.control.accept()
        peer = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if peer[1] != os.geteuid():
            asking.close()
            return
        self.asking += 1
        self.loop.watch(asking, READ, lambda _: self.answer(asking))

    def answer(self, asking: socket.socket) -> None:
        """One request."""
        data, fds, _, _ = socket.recv_fds(asking, MESSAGE, MOST_FDS)
        if not data:
            self.loop.watch(asking, 0, self.accept)
            asking.close()
            self.asking -= 1
            return
        try:
            reply = self.serve(json.loads(data), fds)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            reply = {"error": str(error) or type(error).__name__}
        try:
            asking.send(json.dumps(reply).encode())
        except OSError:
            return  # the daemon is gone; its end of the socket is read next

    def serve(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        name = request.get("name", "")
        if request["do"] == "list":
            return {"devices": {name: device.init for name, device in self.devices.items()}}
        self.remove(name)
        if request["do"] == "add":
            self.devices[name] = Device(self.loop, request, fds, lambda: self.remove(name))
        return {}

    def remove(self, name: str) -> None:
        if name in self.devices:
            self.devices.pop(name).close()


HOME = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def main() -> None:
    """Serve the control socket that is passed as the descriptor named by the argument."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Forwarder(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
