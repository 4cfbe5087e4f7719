"""Where images come from: the store, image servers, a URL, or a distribution's own packages.

What is to be downloaded is decided first, as a `Plan`; then it is fetched, verified file by file, and
taken in. Two who want the same image at once get it by one download.
"""

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from wardian import __version__
from wardian.core import image_hosts, images
from wardian.core.host import Host
from wardian.core.image_downloads import Part, Plan, Shortcut, download_files
from wardian.core.images import AliasWrite, Import
from wardian.core.operations import Operation
from wardian.errors import HostFailed, InvalidInput, NotFound
from wardian.model import architectures, bootstrap, proxies, server_keys, simplestreams
from wardian.model.container import Image, ImageSource
from wardian.model.requests import ContainerSource, ImageCreate, ImageSourceRequest
from wardian.model.units import is_true
from wardian.ports.downloads import Expected, Via
from wardian.ports.rootfs import ImageFiles

log = logging.getLogger(__name__)

BOOTSTRAP, DIRECT, HOST, STREAMS = "bootstrap", "direct", "lxd", "simplestreams"
FRESH_S = 3600.0
"""How long a server's lists count as fresh (spec/rest-api.md section 23)."""
RECENT_S = 30.0
"""Lists that are older are asked for again before an image counts as unknown."""

T = TypeVar("T")

_SHA256 = re.compile(r"[0-9a-f]{64}")


# --- what is asked for -------------------------------------------------------------------------


def _origin(source: ContainerSource | ImageSourceRequest) -> ImageSource | None:
    """The place outside that is meant, or None for the store; InvalidInput if it is none."""
    protocol = source.protocol
    address = source.server
    if isinstance(source, ImageSourceRequest) and source.type == "url":
        protocol, address = DIRECT, source.url
    if not protocol and not address:
        return None
    alias = source.alias or source.fingerprint
    if protocol == BOOTSTRAP:
        return ImageSource(server="", protocol=BOOTSTRAP, alias=alias or "default")
    protocol = protocol or HOST
    if protocol not in (STREAMS, DIRECT, HOST):
        raise InvalidInput(
            f'field "source.protocol": "{protocol}" is unknown; use "{STREAMS}", "{HOST}", "{DIRECT}" '
            f'or "{BOOTSTRAP}"'
        )
    if source.mode not in ("", "pull"):
        raise InvalidInput(f'field "source.mode": "{source.mode}" is not available; use "pull"')
    if source.secret and protocol != HOST:
        raise InvalidInput(f'field "source.secret": protocol "{protocol}" has no secrets')
    if isinstance(source, ContainerSource) and source.properties:
        raise InvalidInput("Property match is only supported for local images")
    server = simplestreams.check_server(address)
    if protocol != DIRECT and not alias:
        raise InvalidInput('field "source.alias": name an image of the server, by alias or fingerprint')
    return ImageSource(
        server=server,
        protocol=protocol,
        alias="" if protocol == DIRECT else alias,
        certificate=source.certificate,
    )


async def check(host: Host, source: ContainerSource) -> None:
    """Refuse, before any work, a source that cannot be had as far as that is known here."""
    origin = _origin(source)
    if origin is None:
        await images.local(host, source)
    elif origin.protocol == BOOTSTRAP:
        _suite(host, origin.alias)


async def ensure(host: Host, source: ContainerSource, operation: Operation) -> Image:
    """The image that a container is made from, fetched or built first if need be; marked as used."""
    origin = _origin(source)
    if origin is None:
        return await images.used(host, await images.local(host, source))
    config = await host.records.server.get()
    found = await _kept(host, origin, config)
    if found is None:
        update_cached = is_true(server_keys.value(config, server_keys.AUTO_UPDATE_CACHED))
        about = Import(cached=True, auto_update=update_cached)
        found = await fetch(host, origin, about, operation, source.secret)
    return await images.used(host, found)


async def _kept(host: Host, origin: ImageSource, config: Mapping[str, str]) -> Image | None:
    """The image in the store that is meant for certain, so that no server needs to be asked.

    That is one named by its fingerprint, and one that came by this alias and is kept up to date.
    """
    if _SHA256.fullmatch(origin.alias):
        return await host.records.images.find(origin.alias)
    if int(server_keys.value(config, server_keys.AUTO_UPDATE_INTERVAL)) <= 0:
        return None
    found = await _of_origin(host, origin)
    return found if found is not None and found.auto_update else None


async def _of_origin(host: Host, origin: ImageSource) -> Image | None:
    same = [image for image in await host.records.images.all() if image.update_source == origin]
    return max(same, key=lambda image: image.created_at, default=None)


def pull(host: Host, request: ImageCreate) -> Operation:
    """Begin to fetch an image into the store. InvalidInput if it cannot be fetched as asked."""
    if request.source.type not in ("image", "url"):
        raise HostFailed("Invalid images JSON")  # with status 500, as specified
    origin = _origin(request.source)
    if origin is None:
        raise InvalidInput('field "source.server" is missing')
    if origin.protocol == BOOTSTRAP:
        _suite(host, origin.alias)
    about = Import(
        filename=request.filename,
        public=request.public,
        auto_update=request.auto_update,
        properties=request.properties or {},
    )

    async def work(operation: Operation) -> dict[str, Any]:
        image = await fetch(host, origin, about, operation, request.source.secret)
        for alias in request.aliases or []:
            wanted = AliasWrite(name=alias.name, target=image.fingerprint, description=alias.description)
            await images.create_alias(host, wanted)
        return {"fingerprint": image.fingerprint, "size": str(image.size)}

    return host.operations.start("Downloading image", work, may_cancel=True)


def _wanted_for_good(image: Image, about: Import) -> Image:
    """An image that was there already, now that somebody asked for it by itself: it is no cache any more."""
    return replace(
        image,
        cached=False,
        public=image.public or about.public,
        auto_update=(image.auto_update and not image.cached) or about.auto_update,
        properties={**image.properties, **about.properties},
        update_source=about.source or image.update_source,
    )


# --- deciding ----------------------------------------------------------------------------------


async def via(host: Host, certificate: str = "") -> Via:
    """How servers are reached now: the proxies of the configuration or the environment."""
    return Via(proxies.configured(await host.records.server.get(), os.environ), certificate)


async def plan(host: Host, origin: ImageSource, *, fresh_s: float = FRESH_S, secret: str = "") -> Plan:
    """What is to be downloaded for a place outside now.

    fresh_s: how old the server's lists may be. secret: opens a private image of another host, once.
    """
    how = await via(host, origin.certificate)
    if origin.protocol == HOST:
        return await _host_plan(host, origin, how, secret)
    if origin.protocol == STREAMS:
        return await _stream_plan(host, origin, how, fresh_s)
    if origin.protocol == DIRECT:
        return await _direct_plan(host, origin, how)
    raise InvalidInput(f'images of protocol "{origin.protocol}" are not downloaded')


async def _stream_plan(host: Host, origin: ImageSource, how: Via, fresh_s: float) -> Plan:
    try:
        catalogue = await read_catalogue(host, origin.server, how, fresh_s)
        offer, by_alias = catalogue.find(origin.alias)
    except NotFound:
        if fresh_s <= RECENT_S:
            raise
        catalogue = await read_catalogue(host, origin.server, how, RECENT_S)
        offer, by_alias = catalogue.find(origin.alias)
    parts = tuple(
        Part(simplestreams.url_of(origin.server, file.path), Expected(file.sha256, file.size))
        for file in offer.files
    )
    return Plan(
        fingerprint=offer.fingerprint,
        parts=parts,
        via=how,
        filename=offer.filename,
        source=origin if by_alias else None,
        properties=offer.properties,
        expires_at=offer.expires_at,
        shortcut=await _shortcut(host, origin.server, offer),
    )


async def _shortcut(host: Host, server: str, offer: simplestreams.Offer) -> Shortcut | None:
    """The smallest of the differences to an image that is here, if this host can apply them."""
    if not offer.deltas or not host.rootfs.can_patch():
        return None
    for delta in sorted(offer.deltas, key=lambda delta: delta.file.size):
        base = await host.records.images.find(delta.base)
        if base is not None and base.split:
            url = simplestreams.url_of(server, delta.file.path)
            return Shortcut(base, Part(url, Expected(delta.file.sha256, delta.file.size)))
    return None


async def read_catalogue(host: Host, server: str, how: Via, fresh_s: float) -> simplestreams.Catalogue:
    """All that an image server offers."""

    async def document(path: str, read: Callable[[bytes], list[T]], limit: int) -> list[T]:
        url = simplestreams.url_of(server, path)
        return await host.downloads.document(url, how, read, limit=limit, fresh_s=fresh_s)

    offers: list[simplestreams.Offer] = []
    for path in await document(
        simplestreams.INDEX_PATH, simplestreams.parse_index, simplestreams.INDEX_BYTES
    ):
        offers += await document(path, simplestreams.parse_products, simplestreams.PRODUCTS_BYTES)
    native = host.machine.architectures[0]
    return await asyncio.to_thread(simplestreams.Catalogue, server, offers, native)


async def _host_plan(host: Host, origin: ImageSource, how: Via, secret: str) -> Plan:
    offer = await image_hosts.find(host.downloads, origin, how, secret)
    return Plan(
        fingerprint=offer.image.fingerprint,
        parts=(),
        via=how,
        filename=offer.image.fingerprint,
        source=origin if offer.by_alias and offer.image.public else None,
        properties=offer.image.properties or {},
        bundle=offer.url,
        bundle_size=offer.image.size,
    )


async def _direct_plan(host: Host, origin: ImageSource, how: Via) -> Plan:
    """The image that a URL stands for: its headers say which file and which sha256."""
    numbers = ", ".join(str(architectures.find(name).number) for name in host.machine.architectures)
    request = {"LXD-Server-Architectures": numbers, "LXD-Server-Version": __version__}
    answer = await host.downloads.headers(origin.server, how, request)
    fingerprint, url = answer.get("lxd-image-hash", "").lower(), answer.get("lxd-image-url", "")
    if not fingerprint:
        raise InvalidInput("Missing LXD-Image-Hash header")
    if not url:
        raise InvalidInput("Missing LXD-Image-URL header")
    if not _SHA256.fullmatch(fingerprint):
        raise InvalidInput(f'"{origin.server}": header LXD-Image-Hash is not a sha256')
    part = Part(simplestreams.check_server(url), Expected(fingerprint, None))
    return Plan(fingerprint, (part,), how, filename=fingerprint, source=origin, properties={})


# --- fetching ----------------------------------------------------------------------------------


async def fetch(
    host: Host, origin: ImageSource, about: Import, operation: Operation, secret: str = ""
) -> Image:
    """The image of a place outside, in the store by then. about: how it is recorded if it is new.

    Without a network an image that came from there before is good enough for a container.
    """
    if origin.protocol == BOOTSTRAP:
        return await _build(host, origin, about, operation)
    operation.progress("download", "looking for the image")
    try:
        found = await plan(host, origin, secret=secret)
    except HostFailed as error:
        before = await _of_origin(host, origin) if about.cached else None
        if before is None:
            raise
        log.warning('%s; using image "%s" that came from there', error, before.fingerprint[:12])
        return before
    return await download(host, found, about, operation)


async def download(host: Host, found: Plan, about: Import, operation: Operation) -> Image:
    """Take in the image of a plan, unless it is there. Nothing that is not verified enters the store."""
    if found.source is None and about.auto_update and not about.cached:
        raise InvalidInput(
            'field "auto_update": a fingerprint always means the same image; name the image by an alias'
        )
    about = replace(about, source=found.source, auto_update=about.auto_update and found.source is not None)
    async with host.once(f"download {found.fingerprint}"):
        present = await host.records.images.find(found.fingerprint)
        if present is not None:
            change = partial(_wanted_for_good, about=about)
            return present if about.cached else await host.records.images.change(found.fingerprint, change)
        about = replace(
            about,
            filename=about.filename or found.filename,
            properties={**found.properties, **about.properties},
            expected=found.fingerprint,
            expires_at=found.expires_at,
        )
        async with images.building(host) as folder:
            built = await download_files(host, found, folder, operation)
            operation.progress("download", "verifying")
            return await images.take_in(host, built, about)


# --- from packages -----------------------------------------------------------------------------


def _suite(host: Host, alias: str) -> tuple[str, str]:
    found = bootstrap.resolve(alias, host.machine.architectures[0])
    if found is None:
        raise NotFound(f'image "{alias}" not found on debian:; it has {", ".join(bootstrap.SUITES)}')
    return found


async def _build(host: Host, origin: ImageSource, about: Import, operation: Operation) -> Image:
    suite, architecture = _suite(host, origin.alias)
    origin = replace(origin, alias=f"{suite}/{architecture}")

    def progress(text: str) -> None:
        operation.progress("bootstrap", f"building Debian {suite}: {text}")

    async with host.once(f"bootstrap {origin.alias}"):
        found = await _of_origin(host, origin)
        if found is not None:
            return found
        how = await via(host)
        async with images.building(host) as folder:
            built = ImageFiles(folder / "meta", folder / "root")
            await host.rootfs.bootstrap(suite, architecture, built, how.proxies, progress)
            name = about.filename or f"debian-{suite}-{architecture}.tar.zst"
            about = replace(about, filename=name, source=origin, auto_update=False)
            return await images.take_in(host, built, about)
