"""Storage pools: made, opened at start-up, listed, deleted."""

import logging
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from wardian.core import volumes
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.undo import Undo
from wardian.errors import AlreadyExists, InvalidInput, NotFound, WardianError
from wardian.model import names, pool_keys
from wardian.model.container import Pool
from wardian.model.units import parse_size
from wardian.ports.storage import Storage

log = logging.getLogger(__name__)

DEFAULT = "default"


class PoolWrite(Struct, forbid_unknown_fields=True):
    """The body of POST, PUT and PATCH."""

    name: str = ""
    driver: str = ""
    description: str | None = None
    config: dict[str, str | None] | None = None
    used_by: list[str] | None = None
    status: str | None = None
    locations: list[str] | None = None


def url(name: str) -> str:
    """The address of a pool in the API."""
    return f"/1.0/storage-pools/{name}"


async def default_name(host: Host) -> str:
    """The pool of containers whose root disk names none: `default`, else the first there is."""
    pools = await host.records.pools.all()
    if not pools or any(pool.name == DEFAULT for pool in pools):
        return DEFAULT
    return pools[0].name


async def ensure_default(host: Host) -> None:
    """Make a pool if there is none: plain folders, so that a daemon works before any set-up."""
    async with host.once("make the first storage pool"):
        if await host.records.pools.all():
            return
        log.warning('no storage pool yet: making "%s" of plain folders; `lxd init` offers better', DEFAULT)
        await create(host, PoolWrite(name=DEFAULT, driver="dir"))


async def open_all(host: Host) -> None:
    """Make every pool usable, and rid it of what interrupted calls left behind."""
    for pool in await host.records.pools.all():
        try:
            storage = host.storage.make(pool)
            if pool.pending:
                await _settle(host, storage, pool)
                continue
            await storage.open()
            await storage.sweep()
        except WardianError as error:
            log.error('storage pool "%s" cannot be used: %s', pool.name, error)


async def create(host: Host, request: PoolWrite) -> Pool:
    """Make a pool; all or nothing."""
    names.check_pool(request.name)
    if await host.records.pools.find(request.name) is not None:
        raise AlreadyExists(f'storage pool "{request.name}" already exists')
    if request.driver not in host.storage.kinds():
        known = ", ".join(host.storage.kinds())
        raise InvalidInput(
            f'storage driver "{request.driver}" is not available on this host (there is: {known})'
        )
    config = {key: value for key, value in (request.config or {}).items() if value}
    pool_keys.check(request.driver, config)
    pool = Pool(
        name=request.name,
        driver=request.driver,
        description=request.description or "",
        config=config,
        pending="create",
    )
    async with Undo() as undo:
        await host.records.pools.insert(pool)
        undo.on_failure(host.records.pools.delete, pool.name)
        storage = host.storage.make(pool)
        undo.on_failure(host.storage.drop, pool.name)
        await storage.create_pool()
        undo.on_failure(storage.delete_pool)
        pool = replace(pool, pending="")
        await host.records.pools.replace(pool)
        undo.keep()
    host.events.lifecycle("storage-pool-created", url(pool.name))
    return pool


async def update(
    host: Host, name: str, request: PoolWrite, *, merge: bool, precondition: Precondition = no_precondition
) -> None:
    """Replace (or with `merge` change) configuration and description; a larger `size` counts at once."""
    async with host.once(f"update storage pool {name}"):
        before = await host.records.pools.get(name)
        precondition(writable(before))
        wanted = {**(before.config if merge else {}), **(request.config or {})}
        config = {key: value for key, value in wanted.items() if value}
        if not merge and "source" in before.config:
            config.setdefault("source", before.config["source"])
        pool_keys.check_change(before.driver, before.config, config)
        description = before.description if request.description is None else request.description
        if config.get("size", "") != before.config.get("size", ""):
            await host.storage.get(name).grow(parse_size(config.get("size", "0")))
        after = replace(before, config=config, description=description)
        await host.records.pools.replace(after)
        if pool_keys.for_new_volumes(before.config) != pool_keys.for_new_volumes(config):
            host.storage.make(after)
    host.events.lifecycle("storage-pool-updated", url(name))


def writable(pool: Pool) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {"config": pool.config, "description": pool.description}


async def used_by(host: Host, name: str) -> list[str]:
    """URLs of what is in the pool."""
    found = [f"/1.0/containers/{c.name}" for c in await host.records.containers.all() if c.pool == name]
    with suppress(NotFound):  # a pool that could not be opened
        for volume in await host.storage.get(name).volumes():
            if volume.kind == "image":
                found.append(f"/1.0/images/{volume.name}")
    found += [volumes.url(volume) for volume in await volumes.every(host, name)]
    for profile in await host.records.profiles.all():
        if any(device.get("pool") == name for device in profile.devices.values()):
            found.append(f"/1.0/profiles/{quote(profile.name)}")
    return found


async def render(host: Host, pool: Pool) -> dict[str, Any]:
    """The object of the API."""
    return {
        "name": pool.name,
        "driver": pool.driver,
        "description": pool.description,
        "config": pool.config,
        "status": "Pending" if pool.pending else "Created",
        "used_by": await used_by(host, pool.name),
    }


async def delete(host: Host, name: str) -> None:
    """Remove a pool that no container and no profile needs; image volumes in it go with it."""
    pool = await host.records.pools.get(name)
    users = [user for user in await used_by(host, name) if "/images/" not in user]
    if users:
        raise InvalidInput(f'storage pool "{name}" is in use by {", ".join(users)}')
    async with Undo() as undo:
        await host.records.pools.replace(replace(pool, pending="delete"))
        undo.on_failure(host.records.pools.replace, pool)
        storage = host.storage.get(name)
        for volume in await storage.volumes():
            await storage.delete(volume)
        await _remove(host, storage, pool)
        undo.keep()
    host.events.lifecycle("storage-pool-deleted", url(name))


async def _settle(host: Host, storage: Storage, pool: Pool) -> None:
    """Finish a removal, take a creation back: what else is in its folder is not ours to remove."""
    log.warning('storage pool "%s": %s was interrupted, cleaning up', pool.name, pool.pending)
    if pool.pending == "delete":
        for volume in await storage.volumes():
            await storage.delete(volume)
    await _remove(host, storage, pool)


async def _remove(host: Host, storage: Storage, pool: Pool) -> None:
    """What the pool is made of, with what interrupted calls left in it, then its record."""
    await storage.sweep()
    await storage.delete_pool()
    await host.records.pools.delete(pool.name)
    host.storage.drop(pool.name)
