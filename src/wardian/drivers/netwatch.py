"""The AddressWatch port: addresses of containers from events, at no cost per listing.

For each container two netlink sockets are made inside its network namespace and stay there: one
is subscribed to changes and read by the event loop, the other answers questions about counters.
Entering a namespace concerns one thread only; a thread of our own does it.
"""

import asyncio
import errno
import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from wardian.linux import netlink, syscalls
from wardian.ports.network import Counters, Interface

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 1.0


@dataclass
class _Watched:
    events: socket.socket
    questions: socket.socket
    links: dict[int, netlink.Link] = field(default_factory=dict)
    addresses: set[netlink.Address] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        self.events.close()
        self.questions.close()


class NetWatch:
    """Follows the network namespaces of containers."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netns")

    async def watch(self, name: str, pid: int) -> None:
        """See ports.AddressWatch."""
        self.forget(name)
        loop = asyncio.get_running_loop()
        events, questions = await loop.run_in_executor(self._thread, _sockets_in, pid)
        watched = _Watched(events, questions)
        self._watched[name] = watched
        loop.add_reader(events, self._read, watched)
        self._fill(watched)

    def forget(self, name: str) -> None:
        """See ports.AddressWatch."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched.events)
            watched.close()
            watched.changed.set()

    def interfaces(self, name: str) -> list[Interface]:
        """See ports.AddressWatch."""
        watched = self._watched.get(name)
        if watched is None:
            return []
        shown = [_interface(link, watched.addresses) for link in watched.links.values()]
        return sorted(shown, key=lambda interface: interface.name)

    def counters(self, name: str) -> dict[str, Counters]:
        """See ports.AddressWatch."""
        watched = self._watched.get(name)
        if watched is None:
            return {}
        found = {}
        for payload in netlink.dump(netlink.GETLINK, watched.questions):
            link = netlink.link(payload)
            if link is not None:
                packets_in, packets_out, bytes_in, bytes_out = link.counters
                found[link.name] = Counters(bytes_in, bytes_out, packets_in, packets_out)
        return found

    async def wait_change(self, name: str) -> None:
        """See ports.AddressWatch."""
        watched = self._watched.get(name)
        if watched is not None:
            await watched.changed.wait()

    def _fill(self, watched: _Watched) -> None:
        """Read everything anew: at first, and after the kernel had to drop events."""
        watched.links.clear()
        watched.addresses.clear()
        for payload in netlink.dump(netlink.GETLINK, watched.questions):
            self._apply(watched, netlink.NEWLINK, payload)
        for payload in netlink.dump(netlink.GETADDR, watched.questions):
            self._apply(watched, netlink.NEWADDR, payload)

    def _read(self, watched: _Watched) -> None:
        try:
            data = watched.events.recv(netlink.RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._fill(watched)
            return
        for kind, payload in netlink.messages(data):
            self._apply(watched, kind, payload)
        watched.changed.set()
        watched.changed = asyncio.Event()

    def _apply(self, watched: _Watched, kind: int, payload: bytes) -> None:
        if kind in (netlink.NEWLINK, netlink.DELLINK) and (link := netlink.link(payload)):
            if kind == netlink.NEWLINK:
                watched.links[link.index] = link
            else:
                watched.links.pop(link.index, None)
                watched.addresses = {a for a in watched.addresses if a.index != link.index}
        elif kind in (netlink.NEWADDR, netlink.DELADDR) and (address := netlink.address(payload)):
            if kind == netlink.NEWADDR:
                watched.addresses.add(address)
            else:
                watched.addresses.discard(address)


def _interface(link: netlink.Link, addresses: set[netlink.Address]) -> Interface:
    own = sorted(address for address in addresses if address.index == link.index)
    return Interface(
        name=link.name,
        index=link.index,
        hwaddr=link.hwaddr,
        mtu=link.mtu,
        up=link.up,
        kind=link.kind,
        link=link.peer,
        addresses=tuple((a.family, a.address, a.length, a.scope) for a in own),
    )


def _sockets_in(pid: int) -> tuple[socket.socket, socket.socket]:
    """Two sockets in the network namespace of a process; the calling thread comes back from there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(there, syscalls.CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            events = netlink.open_socket(netlink.GROUPS)
            questions = netlink.open_socket()
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)
    events.setblocking(False)
    questions.settimeout(ANSWER_WITHIN_S)
    return events, questions
