"""Snapshots that the daemon takes and deletes by itself: snapshots.schedule, .keep, .expiry.

It sleeps until the next one is due, and is woken when something changes that could make it earlier.
What was due while the daemon did not run is not made up for.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from wardian.core import backups, containers, partial, snapshots
from wardian.core.host import Host
from wardian.errors import Busy, WardianError
from wardian.model import keys, schedule
from wardian.model import snapshots as rules
from wardian.model.container import Config, Container, Snapshot

log = logging.getLogger(__name__)

LONGEST_S = 3600.0
"""It looks at the clock this often, because somebody may set that."""
RETRY_S = 60.0
"""When it comes back to a container that was busy."""
NEWS = (
    *("container-created", "container-updated", "container-renamed", "profile-updated"),
    *("container-snapshot-created", "container-snapshot-updated", "container-snapshot-restored"),
    "container-backup-created",
)


@contextlib.asynccontextmanager
async def running(host: Host) -> AsyncIterator[None]:
    """Take and delete what is due while the block runs."""
    woken = asyncio.Event()
    tasks = [
        asyncio.create_task(_listen(host, woken), name="snapshot settings"),
        asyncio.create_task(_follow(host, woken), name="snapshot schedule"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _listen(host: Host, woken: asyncio.Event) -> None:
    listener = host.events.subscribe(("lifecycle",))
    try:
        async for event in listener:
            if event["metadata"]["action"] in NEWS:
                woken.set()
    finally:
        host.events.unsubscribe(listener)


async def _follow(host: Host, woken: asyncio.Event) -> None:
    await host.opened.wait()
    looked = datetime.now()
    late: set[str] = set()
    while True:
        woken.clear()
        now = datetime.now()
        try:
            was_busy = await expire(host, datetime.now(UTC))
            await backups.expire(host, datetime.now(UTC))
            await partial.expire(host, datetime.now(UTC))
            late = await take_due(host, looked, now, late)
            pause_s = RETRY_S if late or was_busy else await _seconds_left(host, now)
        except WardianError as error:
            log.error("scheduled snapshots: %s", error)
            pause_s = RETRY_S
        looked = now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), pause_s)


async def _seconds_left(host: Host, now: datetime) -> float:
    """How long until something is due, LONGEST_S at most."""
    due = [LONGEST_S]
    for _, config in await _scheduled(host):
        due.append((schedule.next_run(config["snapshots.schedule"], now) - now).total_seconds())
    this_moment = datetime.now(UTC)
    ends = [snapshot.expires_at for snapshot in await host.records.snapshots.all()]
    ends += [packed.expires_at for packed in await host.records.backups.all()]
    ends += await partial.ends(host)
    due += [(end - this_moment).total_seconds() for end in ends if end is not None]
    return max(0.0, min(due))


async def _scheduled(host: Host) -> list[tuple[Container, Config]]:
    """Containers that have a schedule, each with its merged configuration."""
    profiles = {profile.name: profile for profile in await host.records.profiles.all()}
    found = []
    for container in await containers.every(host):
        known = [profiles[name] for name in container.profiles if name in profiles]
        config = containers.merged(container, known).config
        if config.get("snapshots.schedule"):
            found.append((container, config))
    return found


# --- take --------------------------------------------------------------------------------------


async def take_due(host: Host, after: datetime, now: datetime, late: set[str]) -> set[str]:
    """Take what is due after the one moment and until the other; names of those that were busy.

    late: names of those that were busy the last time.
    """
    busy = set()
    for container, config in await _scheduled(host):
        is_wanted = container.name in host.running or keys.is_on(config, "snapshots.schedule.stopped")
        is_due = container.name in late or schedule.next_run(config["snapshots.schedule"], after) <= now
        if not (is_wanted and is_due):
            continue
        try:
            await _take(host, container.name, config)
        except Busy:
            busy.add(container.name)
        except WardianError as error:
            log.error('container "%s": no scheduled snapshot: %s', container.name, error)
    return busy


async def _take(host: Host, name: str, config: Config) -> None:
    moment = datetime.now(UTC)
    duration = config.get("snapshots.expiry", "")
    async with host.operations.lock(name, "snapshot"):
        container = await containers.get(host, name)
        made = await snapshots.take(
            host,
            container,
            await snapshots.next_name(host, container),
            expires_at=rules.expires_at(duration, moment) if duration else None,
            scheduled=True,
        )
    log.info('container "%s": scheduled snapshot "%s" taken', name, made.own_name)
    if rule := config.get("snapshots.keep"):
        await _prune(host, name, rule)


async def _prune(host: Host, name: str, rule: str) -> None:
    """Delete those of the scheduled snapshots that the rule does not keep."""
    taken = [s for s in await snapshots.every(host, name) if s.scheduled]
    times = {snapshot.name: snapshot.created_at.astimezone() for snapshot in taken}
    kept = rules.kept(times.values(), rule)
    for snapshot in taken:
        if times[snapshot.name] not in kept:
            await _delete(host, snapshot)


# --- delete ------------------------------------------------------------------------------------


async def expire(host: Host, now: datetime) -> bool:
    """Delete the snapshots whose time has come; whether one was busy."""
    was_busy = False
    for snapshot in await host.records.snapshots.all():
        if snapshot.expires_at is not None and snapshot.expires_at <= now and not snapshot.pending:
            was_busy |= not await _delete(host, snapshot)
    return was_busy


async def _delete(host: Host, snapshot: Snapshot) -> bool:
    """False if it could not be deleted now; a failure is logged."""
    try:
        async with host.operations.lock(snapshot.name, "delete"):
            await snapshots.remove(host, await snapshots.get(host, snapshot.container, snapshot.own_name))
    except WardianError as error:
        log.warning('snapshot "%s" is not deleted yet: %s', snapshot.name, error)
        return False
    log.info('snapshot "%s" had its time and is deleted', snapshot.name)
    return True
