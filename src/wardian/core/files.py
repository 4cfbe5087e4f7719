"""Files of containers (spec/rest-api.md section 10): where they are, and what may be asked for.

The work is done by a process inside the container (ports.Files); running and stopped look the same.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from wardian.core import containers, owners
from wardian.core.containers import volume
from wardian.core.host import Host
from wardian.errors import Busy, InvalidInput
from wardian.model.entries import MAXIMUM_ID
from wardian.ports.files import Inside, Place
from wardian.ports.storage import Storage

PATH_BYTES = 4096
HARMLESS = ("update",)
"""Actions that leave the files alone."""
TYPES = ("file", "directory", "symlink")


@contextlib.asynccontextmanager
async def inside(host: Host, name: str) -> AsyncIterator[Inside]:
    """A conversation with the files of a container; NotFound if there is no such container.

    An action that begins on a container that does not run ends the conversation.
    """
    container = await containers.get(host, name)
    if container.pending:
        raise Busy(f"Container is busy running a {container.pending} operation")
    merged = await containers.expanded(host, container)
    storage, of = host.storage.get(container.pool), volume(name)
    place = Place(
        name=name,
        started=host.running.get(name),
        rootfs=storage.path(of) / "rootfs",
        idmap=await containers.wanted_idmap(host, name, merged),
    )
    if place.started is not None:
        async with host.files.enter(place) as found:
            yield found
        return
    if held := host.operations.holding(name):
        raise Busy(f"Container is busy running a {held} operation")
    rewritten = bool(owners.on_disk(container).ranges)
    async with (
        _mounted(host, storage, place) as shifted,
        host.files.enter(replace(place, shifted=shifted or rewritten)) as found,
    ):
        yield found


@contextlib.asynccontextmanager
async def _mounted(host: Host, storage: Storage, place: Place) -> AsyncIterator[bool]:
    """Have the files of a container that does not run in place, mounted once for all who come.

    As for a start with its map: not every file system (overlay) can be shifted by a mount of it.
    """
    name, of = place.name, volume(place.name)
    async with host.once(f"mount the files of {name}"):
        if held := host.operations.holding(name):
            raise Busy(f"Container is busy running a {held} operation")
        users, shifted = host.files_in_use.get(name, (0, False))
        if not users:
            shifted = await storage.mount(of, place.idmap)
        host.files_in_use[name] = (users + 1, shifted)
    try:
        yield shifted
    finally:
        async with host.once(f"mount the files of {name}"):
            users, _ = host.files_in_use.get(name, (0, False))
            if users > 1 or (users and host.operations.holding(name)):
                host.files_in_use[name] = (users - 1, shifted)
            elif users:
                del host.files_in_use[name]
                await storage.unmount(of)


async def before_action(host: Host, name: str, action: str) -> None:
    """Free the files of a container that does not run, for an action that may replace or take them."""
    if name in host.running or action in HARMLESS:
        return
    await host.files.leave(name)
    async with host.once(f"mount the files of {name}"):
        if host.files_in_use.pop(name, None) is not None:  # whoever is on the way out finds nothing to do
            container = await containers.get(host, name)
            await host.storage.get(container.pool).unmount(volume(name))


def checked_path(text: str) -> str:
    """The path without the slash that it begins with; InvalidInput if it can be none."""
    if not text:
        raise InvalidInput("missing path argument")
    if "\0" in text or len(text.encode(errors="surrogateescape")) > PATH_BYTES:
        raise InvalidInput('argument "path" is not a path')
    return text.lstrip("/")


def checked_id(text: str, field: str) -> int | None:
    """A user or group id of a header; None if it is empty."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > MAXIMUM_ID:
        raise InvalidInput(f'header "{field}": "{text}" is not an id')
    return int(text)


def checked_mode(text: str) -> int | None:
    """A mode of a header, always octal; None if it is empty."""
    if not text:
        return None
    digits = text.removeprefix("0o")
    if not digits or len(digits) > 6 or set(digits) - set("01234567") or int(digits, 8) > 0o7777:
        raise InvalidInput(f'header "X-LXD-mode": "{text}" is not an octal mode')
    return int(digits, 8)
