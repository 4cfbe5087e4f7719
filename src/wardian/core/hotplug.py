"""What follows the host: devices that containers get and lose as it does, and how CPUs are shared out.

Which devices these are says `model.devices.follows_host`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from wardian.core import containers, device_plugs, limits
from wardian.core.host import Host
from wardian.errors import NotFound, WardianError
from wardian.ports.network import HostPart

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def following(host: Host) -> AsyncIterator[None]:
    """Have running containers follow the devices of the host, within this block."""
    follower = _Follower(host)
    host.hotplug.open()
    task = asyncio.create_task(follower.run(), name="follow devices of the host")
    try:
        yield
    finally:
        host.hotplug.close()
        await follower.stop(task)


class _Follower:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._due: set[str] = set()
        """Containers that will be looked at as soon as nothing else acts on them."""

    async def run(self) -> None:
        await self._host.ready.wait()
        changed: frozenset[HostPart] = frozenset({"devices"})
        while True:
            if "devices" in changed:
                self._refresh_all()
            if "cpus" in changed:
                limits.host_changed(self._host)
            changed = await self._host.hotplug.next_change()

    def _refresh_all(self) -> None:
        for name in list(self._host.running):
            if name not in self._due:
                self._due.add(name)
                task = asyncio.create_task(self._refresh(name), name=f"devices of {name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def stop(self, task: asyncio.Task[None]) -> None:
        tasks = [task, *self._tasks]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self, name: str) -> None:
        host = self._host
        try:
            if not await device_plugs.any_follows_host(host, name):
                return
            async with host.operations.lock(name, "update", wait=True):
                self._due.discard(name)
                started = host.running.get(name)
                if started is None:
                    return
                container = await containers.get(host, name)
                wanted = (await containers.expanded(host, container)).plugged
                await device_plugs.refresh(host, started, container, wanted)
        except NotFound:
            return
        except WardianError as error:
            log.error('container "%s" cannot follow the devices of the host: %s', name, error)
        finally:
            self._due.discard(name)
