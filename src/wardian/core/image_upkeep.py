"""Keeping the store of images current: updates from where they came, and the end of unused ones."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from wardian.core import image_sources, images
from wardian.core.host import Host
from wardian.core.images import Import
from wardian.core.operations import Operation
from wardian.errors import InvalidInput, NotFound, StaleRevision, WardianError
from wardian.model import server_keys
from wardian.model.container import Image

log = logging.getLogger(__name__)

HOUR_S = 3600.0
PRUNE_S = 24 * HOUR_S
UPDATED_PROTOCOLS = (image_sources.STREAMS, image_sources.DIRECT, image_sources.HOST)


# --- updates -----------------------------------------------------------------------------------


async def refresh(host: Host, text: str) -> Operation:
    """Begin to fetch a newer version of an image; the operation's metadata says whether there was one."""
    image = await images.get(host, text)
    if image.update_source is None or image.update_source.protocol not in UPDATED_PROTOCOLS:
        raise InvalidInput(f'image "{image.fingerprint[:12]}" has no source that it could be refreshed from')

    async def work(operation: Operation) -> dict[str, Any]:
        new = await update(host, image, operation)
        return {"refreshed": new is not None, "fingerprint": (new or image).fingerprint}

    resources = {"images": [images.url(image.fingerprint)]}
    return host.operations.start("Refreshing image", work, resources=resources, may_cancel=True)


async def update(host: Host, image: Image, operation: Operation) -> Image | None:
    """Put the newest version in the place of an image, under its aliases; None if it is the newest.

    The new one is complete before the old one goes: after a crash at any point the next run finishes.
    """
    assert image.update_source is not None
    async with host.once(f"update {image.fingerprint}"):
        present = await host.records.images.find(image.fingerprint)
        if present is None:
            return None
        found = await image_sources.plan(host, image.update_source, fresh_s=0)
        if found.fingerprint == image.fingerprint:
            return None
        about = Import(public=present.public, cached=present.cached, auto_update=present.auto_update)
        new = await image_sources.download(host, found, about, operation)
        if present.last_used_at is not None:
            used_at = present.last_used_at
            new = await host.records.images.change(
                new.fingerprint, lambda i: i if i.last_used_at else replace(i, last_used_at=used_at)
            )
        await images.move_aliases(host, present.fingerprint, new.fingerprint)
        if host.images_in_use[present.fingerprint]:
            log.info('image "%s" is in use; it goes at the next update', present.fingerprint[:12])
        else:
            await images.remove(host, present)
        host.events.lifecycle("image-refreshed", images.url(new.fingerprint))
        return new


async def update_all(host: Host) -> None:
    """Update every image that is to be kept current. Failures are logged, the others still get theirs."""
    config = await host.records.server.get()
    if int(server_keys.value(config, server_keys.AUTO_UPDATE_INTERVAL)) <= 0:
        return
    for image in await host.records.images.all():
        origin = image.update_source
        if not image.auto_update or origin is None or origin.protocol not in UPDATED_PROTOCOLS:
            continue

        async def work(operation: Operation, image: Image = image) -> None:
            await update(host, image, operation)

        resources = {"images": [images.url(image.fingerprint)]}
        operation = host.operations.start("Updating image", work, resources=resources, may_cancel=True)
        await operation.finished.wait()
        if operation.err:
            log.warning('cannot update image "%s": %s', image.fingerprint[:12], operation.err)


# --- the end of what nobody uses ---------------------------------------------------------------


async def prune(host: Host) -> None:
    """Remove cached images that no container was made from for as many days as configured."""
    days = int(server_keys.value(await host.records.server.get(), server_keys.REMOTE_CACHE_EXPIRY))
    if days <= 0:
        return
    oldest = datetime.now(UTC) - timedelta(days=min(days, 36500))
    for image in await host.records.images.all():
        if image.cached and (image.last_used_at or image.uploaded_at) < oldest:
            await _expire(host, image)


async def _expire(host: Host, image: Image) -> None:
    if host.images_in_use[image.fingerprint]:
        return
    try:
        await images.remove(host, image)
    except (StaleRevision, NotFound):
        return  # somebody uses it just now, or has removed it
    except WardianError as error:
        log.warning('cannot remove image "%s": %s', image.fingerprint[:12], error)
        return
    log.info('image "%s" was not used for long and is removed', image.fingerprint[:12])


# --- when ---------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def upkeep(host: Host) -> AsyncIterator[None]:
    """Both, at once and from time to time, and whenever the key that says how often is changed."""
    changed = {key: asyncio.Event() for key in (server_keys.REMOTE_CACHE_EXPIRY, _INTERVAL)}
    tasks = [
        asyncio.create_task(_note_changes(host, changed), name="image settings"),
        asyncio.create_task(
            _repeat(host, prune, changed[server_keys.REMOTE_CACHE_EXPIRY], _daily), name="image expiry"
        ),
        asyncio.create_task(_repeat(host, update_all, changed[_INTERVAL], _interval), name="image updates"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


_INTERVAL = server_keys.AUTO_UPDATE_INTERVAL


async def _note_changes(host: Host, changed: dict[str, asyncio.Event]) -> None:
    listener = host.events.subscribe(("lifecycle",))
    try:
        before = await host.records.server.get()
        async for event in listener:
            if event["metadata"]["action"] != "config-updated":
                continue
            now = await host.records.server.get()
            for key, noted in changed.items():
                if server_keys.value(now, key) != server_keys.value(before, key):
                    noted.set()
            before = now
    finally:
        host.events.unsubscribe(listener)


async def _repeat(
    host: Host,
    work: Callable[[Host], Awaitable[None]],
    changed: asyncio.Event,
    pause: Callable[[Host], Awaitable[float | None]],
) -> None:
    await host.opened.wait()
    while True:
        changed.clear()
        try:
            await work(host)
        except WardianError as error:
            log.error("upkeep of images: %s", error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), await pause(host))


async def _daily(_: Host) -> float:
    return PRUNE_S


async def _interval(host: Host) -> float | None:
    """Seconds between updates; None: until the key changes."""
    hours = int(server_keys.value(await host.records.server.get(), _INTERVAL))
    return min(hours, 24 * 365) * HOUR_S if hours > 0 else None
