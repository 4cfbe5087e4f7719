"""The Hotplug port: tells when device nodes and CPUs of the host come or go."""

import asyncio
import logging
import socket
from collections.abc import Collection

from wardian.linux import uevents
from wardian.linux.uevents import Uevent
from wardian.ports.network import HostPart

log = logging.getLogger(__name__)

ACTIONS = ("add", "remove", "change")
CPU_ACTIONS = ("add", "remove", "online", "offline")
ALL: frozenset[HostPart] = frozenset({"devices", "cpus"})


def part(event: Uevent) -> HostPart | None:
    """What an event says came or went, if anything."""
    if event.subsystem == "cpu" and event.action in CPU_ACTIONS:
        return "cpus"
    return "devices" if event.node and event.action in ACTIONS else None


class KernelHotplug:
    """Listens to the kernel's uevents."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._parts: set[HostPart] = set()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """See ports.Hotplug."""
        self._socket = uevents.open_socket()
        asyncio.get_running_loop().add_reader(self._socket, self._read, self._socket)

    def close(self) -> None:
        """See ports.Hotplug."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def next_change(self) -> frozenset[HostPart]:
        """See ports.Hotplug."""
        await self._changed.wait()
        self._changed.clear()
        found = frozenset(self._parts)
        self._parts.clear()
        return found

    def _read(self, listening: socket.socket) -> None:
        try:
            events = uevents.receive(listening)
        except OSError as error:  # some were lost: look again at all
            log.warning("events of devices were lost: %s", error)
            self._note(ALL)
            return
        self._note({found for event in events if (found := part(event))})

    def _note(self, parts: Collection[HostPart]) -> None:
        self._parts |= set(parts)
        if self._parts:
            self._changed.set()
