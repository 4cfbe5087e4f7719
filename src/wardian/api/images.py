"""Routes of images and their aliases (spec/rest-api.md sections 13 and 14)."""

import urllib.parse
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from aiohttp import BodyPartReader, MultipartReader, MultipartWriter, web

from wardian.api import bodies, replies
from wardian.api.routes import BODY_BYTES, Request, Route
from wardian.core import image_secrets, image_sources, image_upkeep, images, publish
from wardian.core.host import Host
from wardian.core.images import AliasWrite, ImageWrite, Import
from wardian.core.operations import Operation
from wardian.errors import AlreadyExists, InvalidInput, NotFound
from wardian.model import filters
from wardian.model import image as image_model
from wardian.model.container import Image
from wardian.model.requests import ImageCreate
from wardian.model.units import parse_bool
from wardian.ports.rootfs import ImageFiles

CHUNK = 1024 * 1024
PARTS = ("metadata", "rootfs")
"""The files of an image that has two."""


async def list_images(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1; guests see public images."""
    wanted = request.filter
    found = [i for i in await host.records.images.all() if request.trusted or i.public]
    aliases = await host.records.aliases.all() if request.recursion or wanted else []
    if wanted:
        found = [image for image in found if filters.fits(wanted, images.render(image, aliases))]
    if not request.recursion:
        return replies.sync([images.url(image.fingerprint) for image in found])
    return replies.sync([images.render(image, aliases) for image in found])


async def _image(host: Host, request: Request) -> Image:
    """The image of the path; absent and forbidden look the same to guests."""
    text = request.path["fingerprint"]
    image = await images.find(host, text, public_only=not request.trusted)
    if image is not None:
        return image
    if secret := request.query.get("secret"):
        image = await host.records.images.find(text)
        if image is not None and image_secrets.opens(host, image, secret):
            return image
    raise NotFound(f'image "{text}" not found')


async def get(host: Host, request: Request) -> web.Response:
    """One image."""
    image = await _image(host, request)
    shown = images.render(image, await host.records.aliases.all())
    return replies.sync(shown, etag=replies.etag_of(images.writable(image)))


async def create(host: Host, request: Request) -> web.Response:
    """Fetch or publish an image (JSON says from where), or take in an upload: one tarball, or two parts."""
    raw = request.raw
    if raw.content_type == "application/json":
        return replies.operation(await _create(host, await request.decode(ImageCreate)))
    about, aliases = _about(raw)
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(images.building(host))
        if raw.content_type.startswith("multipart/"):
            try:
                built, name = await _spool_parts(await raw.multipart(), folder)
            except ValueError as error:
                raise InvalidInput(f"Invalid multipart image: {error}") from error
        else:
            built, name = ImageFiles(folder / "meta", None), ""
            await _spool(raw.content.readany, built.metadata)
            if (wanted := _request_in(built.metadata)) is not None:
                return replies.operation(await _create(host, wanted))
        about = msgspec.structs.replace(about, filename=about.filename or name)
        return replies.operation(images.import_built(host, built, about, stack.pop_all().aclose, aliases))


async def _create(host: Host, wanted: ImageCreate) -> Operation:
    if wanted.source.type in publish.KINDS:
        return await publish.create(host, wanted)
    return image_sources.pull(host, wanted)


def _request_in(body: Path) -> ImageCreate | None:
    """The request in a body whose sender did not say that it is JSON; no archive begins like one."""
    with open(body, "rb") as file:
        head = file.read(BODY_BYTES + 1)
    return bodies.decode(head, ImageCreate) if head[:1] == b"{" and len(head) <= BODY_BYTES else None


def _about(raw: web.Request) -> tuple[Import, list[AliasWrite]]:
    properties: dict[str, str] = {}
    for text in raw.headers.getall("X-LXD-properties", []):
        properties |= dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    about = Import(
        filename=Path(raw.headers.get("X-LXD-filename", "")).name,
        public=_says_yes(raw, "X-LXD-public"),
        properties=properties,
        expected=raw.headers.get("X-LXD-fingerprint", ""),
    )
    listed = urllib.parse.parse_qsl(raw.headers.get("X-LXD-aliases", ""))
    return about, [AliasWrite(name=value) for name, value in listed if name == "alias"]


def _says_yes(raw: web.Request, header: str) -> bool:
    text = raw.headers.get(header, "")
    try:
        return bool(text) and parse_bool(text)
    except InvalidInput as error:
        raise InvalidInput(f'header "{header}": {error}') from error


async def _spool(read: Callable[[], Awaitable[bytes]], target: Path) -> None:
    with open(target, "xb") as file:
        while chunk := await read():
            file.write(chunk)


async def _spool_parts(reader: MultipartReader, folder: Path) -> tuple[ImageFiles, str]:
    built = ImageFiles(folder / "meta", folder / "root")
    filename = ""
    for name, target in (("metadata", built.metadata), ("rootfs", folder / "root")):
        part = await reader.next()
        if not isinstance(part, BodyPartReader) or part.name != name:
            raise InvalidInput("Invalid multipart image")
        filename = filename or Path(part.filename or "").name

        async def read(part: BodyPartReader = part) -> bytes:
            return bytes(await part.read_chunk(CHUNK))

        await _spool(read, target)
    return built, filename


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    image = await _image(host, request)
    wanted = await request.decode(ImageWrite)
    await images.update(host, image, wanted, merge=merge, precondition=request.require_match)
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace what can be written."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def delete(host: Host, request: Request) -> web.Response:
    """Begin to delete it."""
    return replies.operation(await images.delete(host, request.path["fingerprint"]))


async def refresh(host: Host, request: Request) -> web.Response:
    """Begin to replace it by the newest version from where it came."""
    return replies.operation(await image_upkeep.refresh(host, request.path["fingerprint"]))


async def secret(host: Host, request: Request) -> web.Response:
    """A secret with which a guest may fetch it once."""
    return replies.operation(image_secrets.issue(host, await _image(host, request)))


async def export(host: Host, request: Request) -> web.StreamResponse:
    """The image's file, or both files as multipart; with `part` one of both.

    One file goes on where it broke off, by Range; of two, each does, as a part.
    """
    image = await _image(host, request)
    place, part = images.files(host, image), request.query.get("part", "")
    metadata_name = f"{image.fingerprint}.{_extension(host, place.metadata)}"
    if place.rootfs is None:
        answer = await _send(request, place.metadata, metadata_name)
    elif part:
        if part not in PARTS:
            raise InvalidInput(f'"part" is {" or ".join(PARTS)}, not "{part}"')
        rootfs_name = f"{image.fingerprint}.{_extension(host, place.rootfs)}"
        answer = await (
            _send(request, place.metadata, f"meta-{metadata_name}")
            if part == PARTS[0]
            else _send(request, place.rootfs, rootfs_name)
        )
    else:
        answer = await _send_both(host, request, image, place.metadata, place.rootfs)
    if part != PARTS[0]:  # to its end: the last file of the image
        image_secrets.used(host, image, request.query.get("secret", ""))
    return answer


async def _send(request: Request, path: Path, name: str) -> web.StreamResponse:
    """Send a file, or the rest of it that is asked for."""
    answer = replies.file(path, Content_Disposition=f"inline;filename={name}")
    await answer.prepare(request.raw)
    return answer


async def _send_both(
    host: Host, request: Request, image: Image, metadata: Path, rootfs: Path
) -> web.StreamResponse:
    with (
        MultipartWriter("form-data") as writer,
        open(metadata, "rb") as meta,
        open(rootfs, "rb") as root,
    ):
        for file, name, filename in (
            (meta, PARTS[0], f"meta-{image.fingerprint}.{_extension(host, metadata)}"),
            (root, PARTS[1], f"{image.fingerprint}.{_extension(host, rootfs)}"),
        ):
            part = writer.append(file, {"Content-Type": "application/octet-stream"})
            part.set_content_disposition("form-data", name=name, filename=filename)
        response = web.StreamResponse(
            headers={"Content-Type": writer.content_type, "X-LXD-parts": ", ".join(PARTS)}
        )
        response.content_length = writer.size
        await response.prepare(request.raw)
        await writer.write(response)  # type: ignore[arg-type]
        await response.write_eof()
        return response


def _extension(host: Host, path: Path) -> str:
    return image_model.extension(host.rootfs.kind_of(path))


# --- aliases -----------------------------------------------------------------------------------


async def list_aliases(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    found = await host.records.aliases.all()
    if request.recursion:
        return replies.sync([images.alias_view(alias) for alias in found])
    return replies.sync([images.alias_url(alias.name) for alias in found])


async def create_alias(host: Host, request: Request) -> web.Response:
    """Add an alias."""
    wanted = await request.decode(AliasWrite)
    if wanted.name and await host.records.aliases.find(wanted.name) is not None:
        raise AlreadyExists(f'image alias "{wanted.name}" already exists')
    made = await images.create_alias(host, wanted)
    return replies.created(images.alias_url(made.name))


async def get_alias(host: Host, request: Request) -> web.Response:
    """One alias; guests see those of public images."""
    name = request.path["name"]
    alias = await host.records.aliases.find(name)
    target = await images.find(host, alias.target) if alias else None
    if alias is None or not (request.trusted or (target and target.public)):
        raise NotFound(f'image alias "{name}" not found')
    return replies.sync(images.alias_view(alias), etag=replies.etag_of(images.alias_writable(alias)))


async def _change_alias(host: Host, request: Request, *, merge: bool) -> web.Response:
    alias = await host.records.aliases.get(request.path["name"])
    wanted = await request.decode(AliasWrite)
    await images.update_alias(host, alias, wanted, merge=merge, precondition=request.require_match)
    return replies.empty()


async def put_alias(host: Host, request: Request) -> web.Response:
    """Point it elsewhere."""
    return await _change_alias(host, request, merge=False)


async def patch_alias(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change_alias(host, request, merge=True)


async def rename_alias(host: Host, request: Request) -> web.Response:
    """Give it another name."""
    new = (await request.decode(AliasWrite)).name
    alias = await host.records.aliases.get(request.path["name"])
    if await host.records.aliases.find(new) is not None:
        raise AlreadyExists(f'image alias "{new}" already exists')
    await images.rename_alias(host, alias, new)
    return replies.created(images.alias_url(new))


async def delete_alias(host: Host, request: Request) -> web.Response:
    """Remove it; the image stays."""
    alias = await host.records.aliases.get(request.path["name"])
    await host.records.aliases.delete(alias.name)
    return replies.empty()


_ALIAS = "/1.0/images/aliases/{name:.+}"

ROUTES = [
    Route("GET", "/1.0/images", list_images, guest=True),
    Route("POST", "/1.0/images", create),
    Route("GET", "/1.0/images/aliases", list_aliases),
    Route("POST", "/1.0/images/aliases", create_alias),
    Route("GET", _ALIAS, get_alias, guest=True),
    Route("PUT", _ALIAS, put_alias),
    Route("PATCH", _ALIAS, patch_alias),
    Route("POST", _ALIAS, rename_alias),
    Route("DELETE", _ALIAS, delete_alias),
    Route("GET", "/1.0/images/{fingerprint}", get, guest=True),
    Route("PUT", "/1.0/images/{fingerprint}", put),
    Route("PATCH", "/1.0/images/{fingerprint}", patch),
    Route("DELETE", "/1.0/images/{fingerprint}", delete),
    Route("POST", "/1.0/images/{fingerprint}/refresh", refresh),
    Route("POST", "/1.0/images/{fingerprint}/secret", secret),
    Route("GET", "/1.0/images/{fingerprint}/export", export, guest=True, content=True),
]
