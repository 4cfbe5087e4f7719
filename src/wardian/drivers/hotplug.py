"""The Hotplug port: tells when device nodes of the host come or go."""

import asyncio
import logging
import socket

from wardian.linux import uevents

log = logging.getLogger(__name__)

ACTIONS = ("add", "remove", "change")


class KernelHotplug:
    """Listens to the kernel's uevents."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
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

    async def next_change(self) -> None:
        """See ports.Hotplug."""
        await self._changed.wait()
        self._changed.clear()

    def _read(self, listening: socket.socket) -> None:
        try:
            events = uevents.receive(listening)
        except OSError as error:  # some were lost: look again at all
            log.warning("events of devices were lost: %s", error)
            self._changed.set()
            return
        if any(event.node and event.action in ACTIONS for event in events):
            self._changed.set()
