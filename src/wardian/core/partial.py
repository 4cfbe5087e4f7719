"""Copies from other hosts that broke off: what has come whole is kept for the next try.

No list shows it, its name is free, and it goes with its time, with `lxc delete`, or when the name is used.
Only what the next try need not send again is kept: snapshots that are complete.
"""

import logging
from datetime import datetime, timedelta

from msgspec.structs import replace

from wardian.core import containers, places
from wardian.core.host import Host
from wardian.errors import WardianError
from wardian.model import server_keys
from wardian.model.container import PARTIAL, Container

log = logging.getLogger(__name__)


async def keep_or_discard(host: Host, container: Container) -> None:
    """Leave the snapshots of a container that was coming for the next try, if there are any; no more."""
    whole = [s for s in await host.records.snapshots.all(container.name) if not s.pending]
    if not whole or not await _lifetime(host):
        await containers.discard(host, container)
        return
    await host.storage.get(container.pool).delete(containers.volume(container.name))
    kept = replace(container, pending=PARTIAL, config={}, devices={}, profiles=[])
    await host.records.containers.replace(kept)
    host.runtime.forget(container.name)
    await places.settle(host, container.name)
    log.info('container "%s": %d snapshots are kept for the next try', container.name, len(whole))


async def _lifetime(host: Host) -> timedelta:
    hours = int(server_keys.value(await host.records.server.get(), server_keys.PARTIAL_EXPIRY))
    return timedelta(hours=hours)


async def _all(host: Host) -> list[Container]:
    return [c for c in await host.records.containers.all() if c.pending == PARTIAL]


async def ends(host: Host) -> list[datetime]:
    """When what is kept has had its time."""
    lifetime = await _lifetime(host)
    return [one.created_at + lifetime for one in await _all(host)]


async def expire(host: Host, now: datetime) -> None:
    """Remove what has had its time; a failure is logged."""
    lifetime = await _lifetime(host)
    for one in await _all(host):
        if one.created_at + lifetime > now:
            continue
        try:
            await containers.forget_partial(host, one.name)
        except WardianError as error:
            log.warning('container "%s": what came of a copy is not removed yet: %s', one.name, error)
