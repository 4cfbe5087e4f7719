"""Logs of containers do not grow for ever: what is old goes, at start-up and once a day."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from wardian.core.host import Host

log = logging.getLogger(__name__)

DAY_S = 24 * 3600.0


@contextlib.asynccontextmanager
async def running(host: Host) -> AsyncIterator[None]:
    """See to it within this block."""
    task = asyncio.create_task(_daily(host), name="log expiry")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _daily(host: Host) -> None:
    await host.ready.wait()
    while True:
        known = {container.name for container in await host.records.containers.all()}
        try:
            await asyncio.to_thread(host.runtime.expire_logs, known, set(host.running))
        except OSError as error:
            log.error("cannot remove old logs: %s", error)
        await asyncio.sleep(DAY_S)
