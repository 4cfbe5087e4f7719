"""Images: taken in, found, unpacked once per pool, given out, deleted.

Nothing enters `images/` but whole and checked: a new image is put together in a folder of its own
below `images/` (`.build-...`), renamed into place, and its record is written last.
"""

import asyncio
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from wardian.core.events import shown_time
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.core.undo import Undo
from wardian.errors import (
    AlreadyExists,
    HostFailed,
    InvalidInput,
    NotFound,
    OutOfSpace,
    StaleRevision,
    WardianError,
)
from wardian.model import image as image_model
from wardian.model import names
from wardian.model.container import Alias, Image, ImageSource
from wardian.model.idmap import IdMap
from wardian.model.requests import ContainerSource
from wardian.ports.rootfs import ImageFiles, Packed
from wardian.ports.storage import Storage, Volume

log = logging.getLogger(__name__)

BUILD = ".build-"
ROOTFS = ".rootfs"
FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
HASH_CHUNK = 1024 * 1024


class ImageWrite(Struct, forbid_unknown_fields=True):
    """The body of PUT and PATCH on an image. None: left out."""

    public: bool | None = None
    auto_update: bool | None = None
    properties: dict[str, str] | None = None
    expires_at: str | None = None
    profiles: list[str] | None = None
    # Read-only fields that a client sends back as it got them:
    aliases: Any = None
    architecture: Any = None
    cached: Any = None
    created_at: Any = None
    filename: Any = None
    fingerprint: Any = None
    last_used_at: Any = None
    size: Any = None
    type: Any = None
    update_source: Any = None
    uploaded_at: Any = None


class AliasWrite(Struct, forbid_unknown_fields=True):
    """The body of POST, PUT and PATCH on aliases."""

    name: str = ""
    target: str | None = None
    description: str | None = None
    type: str = ""


class Import(Struct, frozen=True, kw_only=True):
    """What a caller says of an image that is taken in."""

    filename: str = ""
    public: bool = False
    auto_update: bool = False
    cached: bool = False
    properties: dict[str, str] = {}
    expected: str = ""
    """Fingerprint that the image must have; empty: any."""
    source: ImageSource | None = None
    expires_at: datetime | None = None
    """What counts where the image's own metadata says nothing."""


def url(fingerprint: str) -> str:
    """The address of an image in the API."""
    return f"/1.0/images/{fingerprint}"


def files(host: Host, image: Image) -> ImageFiles:
    """The files of an image in the store."""
    base = host.paths.images / image.fingerprint
    return ImageFiles(base, base.with_name(f"{image.fingerprint}{ROOTFS}") if image.split else None)


# --- finding -----------------------------------------------------------------------------------


async def find(host: Host, text: str, *, public_only: bool = False) -> Image | None:
    """The image of a fingerprint or unique prefix of one; None if there is none.

    public_only: as if there were no others, so that a guest learns nothing of them.
    """
    if not FINGERPRINT.fullmatch(text):
        return None
    found = [i for i in await host.records.images.all() if i.fingerprint.startswith(text)]
    found = [image for image in found if image.public or not public_only]
    if len(found) > 1 and all(image.fingerprint != text for image in found):
        raise WardianError("Partial fingerprint matches more than one image")
    return found[0] if found else None


async def get(host: Host, text: str) -> Image:
    """The image of a fingerprint or unique prefix; NotFound otherwise."""
    image = await find(host, text)
    if image is None:
        raise NotFound(f'image "{text}" not found')
    return image


async def local(host: Host, source: ContainerSource) -> Image:
    """The image of the store that a container is asked to be made from."""
    if source.fingerprint:
        return await get(host, source.fingerprint)
    if source.alias:
        alias = await host.records.aliases.find(source.alias)
        if alias is None:
            raise NotFound(f'image "{source.alias}" not found; `lxc image list` shows what there is')
        return await get(host, alias.target)
    if source.properties:
        wanted = source.properties.items()
        found = [i for i in await host.records.images.all() if wanted <= i.properties.items()]
        if not found:
            raise InvalidInput("No matching image could be found")
        return max(found, key=lambda image: image.created_at)
    raise InvalidInput("Must specify one of alias, fingerprint or properties for init from image")


# --- taking in ---------------------------------------------------------------------------------


@asynccontextmanager
async def building(host: Host, where: Path | None = None) -> AsyncIterator[Path]:
    """A fresh folder in the store (or `where`); gone afterwards, with what is left in it."""
    store = where or host.paths.images
    folder = store / f"{BUILD}{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    except OSError as error:
        if error.errno in (28, 122):
            raise OutOfSpace(f'no space left in "{store}"; free some, then retry') from error
        raise HostFailed(f'cannot write to "{store}": {error.strerror}') from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def take_in(host: Host, built: ImageFiles, about: Import, known: Packed | None = None) -> Image:
    """Add the image in these files (of a `building` folder) to the store, after checking it.

    known: what we have hashed and counted while we wrote it.
    """
    fingerprint, size = (known.sha256, known.size) if known else await asyncio.to_thread(_digest, built)
    if about.expected and about.expected != fingerprint:
        raise InvalidInput(f"fingerprints don't match, got {fingerprint} expected {about.expected}")
    if await host.records.images.find(fingerprint) is not None:
        raise AlreadyExists(f"Image with same fingerprint already exists: {fingerprint}")
    metadata = image_model.parse_metadata(await host.rootfs.read_metadata(built, host.idmap or IdMap()))
    if built.rootfs is not None:
        host.rootfs.kind_of(built.rootfs)
    image = Image(
        fingerprint=fingerprint,
        filename=about.filename or fingerprint,
        size=size,
        architecture=metadata.architecture,
        created_at=metadata.created_at,
        uploaded_at=datetime.now(UTC),
        split=built.rootfs is not None,
        expires_at=metadata.expires_at or about.expires_at,
        properties={**metadata.properties, **about.properties},
        public=about.public,
        cached=about.cached,
        auto_update=about.auto_update,
        update_source=about.source,
    )
    place = files(host, image)
    async with Undo() as undo:
        for source, target in ((built.rootfs, place.rootfs), (built.metadata, place.metadata)):
            if source is not None and target is not None:
                os.rename(source, target)
                undo.on_failure(target.unlink, True)
        await host.records.images.insert(image)
        undo.keep()
    host.events.lifecycle("image-created", url(fingerprint))
    return image


def _digest(image: ImageFiles) -> tuple[str, int]:
    """(fingerprint, size): sha256 of the metadata file's bytes followed by the root file system's."""
    digest, size = hashlib.sha256(), 0
    for path in (image.metadata, image.rootfs):
        if path is None:
            continue
        with open(path, "rb") as file:
            while chunk := file.read(HASH_CHUNK):
                digest.update(chunk)
                size += len(chunk)
            os.fsync(file.fileno())
    return digest.hexdigest(), size


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    return _digest(ImageFiles(path, None))[0]


def import_built(
    host: Host, built: ImageFiles, about: Import, done: Callable[[], Any], aliases: list[AliasWrite]
) -> Operation:
    """Begin to take in files that were uploaded; `done` releases their folder."""

    async def work(_: Operation) -> dict[str, Any]:
        try:
            image = await take_in(host, built, about)
        finally:
            await done()
        for alias in aliases:
            await create_alias(host, replace(alias, target=image.fingerprint))
        return {"fingerprint": image.fingerprint, "size": str(image.size)}

    return host.operations.start("Importing image", work)


# --- for containers ----------------------------------------------------------------------------


async def used(host: Host, image: Image) -> Image:
    """The image, marked as used now; NotFound if it is gone meanwhile."""
    now = datetime.now(UTC)
    return await host.records.images.change(image.fingerprint, lambda i: replace(i, last_used_at=now))


@contextmanager
def in_use(host: Host, image: Image) -> Iterator[None]:
    """The image is not cleaned away while the block runs."""
    host.images_in_use[image.fingerprint] += 1
    try:
        yield
    finally:
        host.images_in_use[image.fingerprint] -= 1
        host.images_in_use += Counter()  # drops the ones that are zero


async def ensure_volume(host: Host, storage: Storage, image: Image, operation: Operation) -> Volume:
    """The image unpacked in the pool, done once; containers are copies of it."""
    volume = Volume("image", image.fingerprint)
    async with host.once(f"unpack {image.fingerprint} {storage.path(volume)}"):
        if volume in await storage.volumes():
            return volume
        unpacked = Volume("image", f"{image.fingerprint}{UNFINISHED}")
        async with Undo() as undo:
            await storage.delete(unpacked)
            await storage.create(unpacked)
            undo.on_failure(storage.delete, unpacked)
            meter = Meter(operation, "unpack", image.size)
            try:
                await host.rootfs.unpack(
                    files(host, image), storage.path(unpacked), host.idmap or IdMap(), meter
                )
            except InvalidInput as error:
                raise InvalidInput(f'image "{image.fingerprint[:12]}": {error}') from error
            await storage.unmount(unpacked)
            await storage.rename(unpacked, volume)
            undo.keep()
    return volume


UNFINISHED = ".unfinished"
"""Ends the name of an image volume that is being filled."""


async def sweep(host: Host) -> None:
    """Remove what interrupted work left behind, and files and volumes that no record names."""
    await host.downloads.sweep()
    for path in host.paths.images.glob(f"{BUILD}*"):
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
    known = {image.fingerprint for image in await host.records.images.all()}
    for path in host.paths.images.iterdir():
        if FINGERPRINT.fullmatch(path.name.removesuffix(ROOTFS)) and path.name[:64] not in known:
            path.unlink()
    for pool in await host.records.pools.all():
        storage = host.storage.get(pool.name)
        for volume in await storage.volumes():
            if volume.kind == "image" and volume.name not in known:
                await storage.delete(volume)


# --- what callers see and change ---------------------------------------------------------------


def render(image: Image, aliases: list[Alias]) -> dict[str, Any]:
    """The object of the API (spec/rest-api.md section 13.1)."""
    shown: dict[str, Any] = {
        "fingerprint": image.fingerprint,
        "filename": image.filename,
        "size": image.size,
        "architecture": image.architecture,
        "public": image.public,
        "auto_update": image.auto_update,
        "cached": image.cached,
        "properties": image.properties,
        "type": "container",
        "aliases": [
            {"name": a.name, "description": a.description} for a in aliases if a.target == image.fingerprint
        ],
        "created_at": shown_time(image.created_at),
        "expires_at": shown_time(image.expires_at),
        "last_used_at": shown_time(image.last_used_at),
        "uploaded_at": shown_time(image.uploaded_at),
    }
    origin = image.update_source
    if origin is not None:
        shown["update_source"] = {
            "alias": origin.alias,
            "certificate": origin.certificate,
            "protocol": origin.protocol,
            "server": origin.server,
        }
    return shown


def writable(image: Image) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {"auto_update": image.auto_update, "properties": image.properties, "public": image.public}


async def update(
    host: Host,
    image: Image,
    request: ImageWrite,
    *,
    merge: bool,
    precondition: Precondition = no_precondition,
) -> None:
    """Replace (or with `merge` change) what can be written of an image."""

    def changed(now: Image) -> Image:
        precondition(writable(now))
        properties = {**(now.properties if merge else {}), **(request.properties or {})}
        public = now.public if request.public is None and merge else bool(request.public)
        auto = now.auto_update if request.auto_update is None and merge else bool(request.auto_update)
        kept = {key: value for key, value in properties.items() if value != ""}
        return replace(now, public=public, auto_update=auto, properties=kept)

    await host.records.images.change(image.fingerprint, changed)
    host.events.lifecycle("image-updated", url(image.fingerprint))


async def delete(host: Host, text: str) -> Operation:
    """Begin to delete an image with its aliases, volumes and files; containers made from it stay."""
    image = await get(host, text)

    async def work(_: Operation) -> None:
        await remove(host, await get(host, image.fingerprint))

    return host.operations.start("Deleting image", work, resources={"images": [url(image.fingerprint)]})


async def remove(host: Host, image: Image) -> None:
    """Delete the image as it was read: StaleRevision if somebody has changed (used) it since.

    The records go first and together: a crash leaves files and volumes, which the sweep removes.
    """
    table = host.records.images
    revision = await table.revision(image.fingerprint)
    if await table.get(image.fingerprint) != image:
        raise StaleRevision(f'image "{image.fingerprint}" has been changed meanwhile; retry')
    batch = host.records.batch().delete(table, image.fingerprint, revision=revision)
    for alias in await host.records.aliases.all():
        if alias.target == image.fingerprint:
            batch.delete(
                host.records.aliases, alias.name, revision=await host.records.aliases.revision(alias.name)
            )
    await batch.commit()
    for pool in await host.records.pools.all():
        await host.storage.get(pool.name).delete(Volume("image", image.fingerprint))
    place = files(host, image)
    place.metadata.unlink(missing_ok=True)
    if place.rootfs is not None:
        place.rootfs.unlink(missing_ok=True)
    host.events.lifecycle("image-deleted", url(image.fingerprint))


# --- aliases -----------------------------------------------------------------------------------


async def create_alias(host: Host, request: AliasWrite) -> Alias:
    """Add a name for an image."""
    if not request.name or not request.target:
        raise InvalidInput("name and target are required")
    names.check_alias(request.name)
    target = await get(host, request.target)
    alias = Alias(name=request.name, target=target.fingerprint, description=request.description or "")
    await host.records.aliases.insert(alias)
    host.events.lifecycle("image-alias-created", alias_url(alias.name))
    return alias


async def update_alias(
    host: Host,
    alias: Alias,
    request: AliasWrite,
    *,
    merge: bool,
    precondition: Precondition = no_precondition,
) -> None:
    """Point the name at another image, or describe it anew."""
    wanted = alias.target if request.target is None and merge else request.target
    if not wanted:
        raise InvalidInput("The target field is required")
    target = await get(host, wanted)

    def changed(now: Alias) -> Alias:
        precondition(alias_writable(now))
        text = now.description if request.description is None and merge else request.description or ""
        kept = now.target if request.target is None and merge else target.fingerprint
        return replace(now, target=kept, description=text)

    await host.records.aliases.change(alias.name, changed)


def alias_url(name: str) -> str:
    """The address of an alias in the API."""
    return f"/1.0/images/aliases/{quote(name)}"


def alias_writable(alias: Alias) -> dict[str, str]:
    """The part of an alias that PUT replaces; the ETag is made from it."""
    return {"target": alias.target, "description": alias.description}


async def rename_alias(host: Host, alias: Alias, new: str) -> None:
    """Give the alias another name."""
    names.check_alias(new)
    batch = host.records.batch().insert(host.records.aliases, replace(alias, name=new))
    batch.delete(host.records.aliases, alias.name, revision=await host.records.aliases.revision(alias.name))
    await batch.commit()


async def move_aliases(host: Host, old: str, new: str) -> None:
    """Let all aliases of one image name another, all of them or none."""
    table, batch = host.records.aliases, host.records.batch()
    for alias in await table.all():
        if alias.target == old:
            batch.replace(table, replace(alias, target=new), revision=await table.revision(alias.name))
    await batch.commit()


def alias_view(alias: Alias) -> Mapping[str, str]:
    """The object of the API."""
    return {
        "name": alias.name,
        "target": alias.target,
        "description": alias.description,
        "type": "container",
    }
