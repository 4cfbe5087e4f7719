"""Owners of a container's files on disk: unshifted where mounts can show them mapped, else rewritten.

`volatile.last_state.idmap` says under which map the files are now; [] is unshifted. A map that has
changed is applied to a copy of the volume (`NAME.remap`, no name that a container can have). Only when
the copy is complete the record says `pending="remap"` and the new map; from there on the copy takes the
place of the volume, in a later life of the daemon if need be.
"""

import json

from msgspec.structs import replace

from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import InvalidInput
from wardian.model import idmap
from wardian.model.container import Container, Pending
from wardian.model.idmap import IdMap
from wardian.ports.storage import Volume

KEY = "volatile.last_state.idmap"
PENDING: Pending = "remap"
SUFFIX = ".remap"


def on_disk(container: Container) -> IdMap:
    """The map under which the container's files are; empty: unshifted."""
    return idmap.from_json(container.config.get(KEY) or "[]")


def recorded(container: Container, present: IdMap) -> Container:
    """The container, noting the map under which its files are."""
    text = json.dumps(present.to_json_objects(), separators=(",", ":"))
    return replace(container, config={**container.config, KEY: text})


async def due(host: Host, container: Container, wanted: IdMap) -> IdMap:
    """The map under which the files must be for the container to run with the wanted one."""
    folder = host.storage.get(container.pool).path(Volume("container", container.name))
    if not wanted.ranges or await host.rootfs.can_map(folder):
        return IdMap()
    return wanted


async def fill(host: Host, container: Container, wanted: IdMap) -> Container:
    """A container in the making, with the owners of its files as they are due."""
    target = await due(host, container, wanted)
    present = on_disk(container)
    if target != present:
        folder = host.storage.get(container.pool).path(Volume("container", container.name))
        await host.rootfs.shift_owners(folder / "rootfs", present, target)
    return recorded(container, target)


async def settle(host: Host, container: Container, wanted: IdMap, *, keep: bool) -> Container:
    """The stopped container, its files rewritten if they are not as due; the caller holds its lock.

    keep: they must not be (`security.protection.shift`): InvalidInput if they would have to.
    """
    target = await due(host, container, wanted)
    if target == on_disk(container):
        return container
    if keep:
        raise InvalidInput(
            f'the files of container "{container.name}" have other owners than its id map needs, and '
            '"security.protection.shift" keeps them; unset it, or go back to the former id map'
        )
    storage = host.storage.get(container.pool)
    copy = replacement(container.name)
    async with Undo() as undo:
        await storage.delete(copy)
        undo.on_failure(storage.delete, copy)
        await storage.copy(Volume("container", container.name), copy)
        await host.rootfs.shift_owners(storage.path(copy) / "rootfs", on_disk(container), target)
        await host.records.containers.change(
            container.name, lambda now: replace(recorded(now, target), pending=PENDING)
        )
        undo.keep()
    await finish(host, container)
    return recorded(container, target)


async def finish(host: Host, container: Container) -> None:
    """Put the complete copy in place of the volume, however far that was before."""
    storage, copy = host.storage.get(container.pool), replacement(container.name)
    if copy in await storage.volumes():
        await storage.delete(Volume("container", container.name))
        await storage.rename(copy, Volume("container", container.name))
    await host.records.containers.change(container.name, lambda now: replace(now, pending=""))


async def sweep(host: Host) -> None:
    """Remove copies that were not complete; called at start-up, once `finish` has had its turn."""
    needed = {replacement(c.name) for c in await host.records.containers.all() if c.pending == PENDING}
    for pool in await host.records.pools.all():
        storage = host.storage.get(pool.name)
        for volume in await storage.volumes():
            if volume.kind == "container" and volume.name.endswith(SUFFIX) and volume not in needed:
                await storage.delete(volume)


def replacement(name: str) -> Volume:
    """The volume that `finish` puts in place of that of the container; swept if nobody asks for it."""
    return Volume("container", f"{name}{SUFFIX}")
