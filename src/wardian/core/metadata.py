"""What a container keeps of its image: metadata.yaml and templates (extension `container_edit_metadata`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from wardian.core import containers, publish
from wardian.core.containers import volume
from wardian.core.host import Host, Precondition, no_precondition
from wardian.errors import HostFailed, InvalidInput, NotFound
from wardian.linux import files
from wardian.model import image as image_model

FILE = "metadata.yaml"
FOLDER = "templates"


@contextlib.asynccontextmanager
async def _folder(host: Host, name: str, *, change: bool = False) -> AsyncIterator[Path]:
    """The folder of the container's volume; to `change` it, while nothing else happens to it."""
    if name in host.running and not change:
        container = await containers.get(host, name)
        yield host.storage.get(container.pool).path(volume(name))
        return
    async with host.operations.lock(name, "metadata"):
        container = await containers.get(host, name)
        if name in host.running:
            yield host.storage.get(container.pool).path(volume(name))
            return
        async with publish.mounted(host, container.pool, volume(name)) as folder:
            yield folder


async def get(host: Host, name: str) -> dict[str, Any]:
    """The content of metadata.yaml; empty if the container has none."""
    async with _folder(host, name) as folder:
        return _read(folder)


def _read(folder: Path) -> dict[str, Any]:
    text = files.read_inside(folder, FILE, limit=image_model.METADATA_BYTES)
    found = image_model.bounded_yaml(text) if text else {}
    return found if isinstance(found, dict) else {}


async def put(
    host: Host, name: str, content: dict[str, Any], precondition: Precondition = no_precondition
) -> None:
    """Replace it; what templates it names counts from the next start on."""
    text = image_model.yaml_of(content)
    image_model.parse_metadata(text)
    async with _folder(host, name, change=True) as folder:
        precondition(_read(folder))
        await _write(folder, FILE, text)
    host.events.lifecycle("container-metadata-updated", containers.url(name))


async def _write(folder: Path, name: str, content: bytes) -> None:
    try:
        await asyncio.to_thread(files.write_inside, folder, name, content)
    except OSError as error:
        raise HostFailed(f'cannot write "{name}" of the container: {error.strerror}') from error


async def templates(host: Host, name: str) -> list[str]:
    """Names of the templates, sorted."""
    async with _folder(host, name) as folder:
        return files.names_inside(folder, FOLDER)


async def template(host: Host, name: str, file: str) -> bytes:
    """The text of a template; NotFound if there is none of that name."""
    _check(file)
    async with _folder(host, name) as folder:
        found = files.read_inside(folder, f"{FOLDER}/{file}", limit=image_model.METADATA_BYTES)
    if found is None:
        raise NotFound(f'container "{name}" has no template "{file}"')
    return found


async def write_template(host: Host, name: str, file: str, content: bytes) -> None:
    """Make a template, or replace it."""
    _check(file)
    if len(content) > image_model.METADATA_BYTES:
        raise InvalidInput(f'template "{file}" is larger than 1 MiB')
    async with _folder(host, name, change=True) as folder:
        await _write(folder, f"{FOLDER}/{file}", content)


async def remove_template(host: Host, name: str, file: str) -> None:
    """Remove a template; NotFound if there is none of that name."""
    _check(file)
    async with _folder(host, name, change=True) as folder:
        try:
            files.remove_inside(folder, f"{FOLDER}/{file}")
        except OSError:
            raise NotFound(f'container "{name}" has no template "{file}"') from None


def _check(file: str) -> None:
    if not image_model.is_template_name(file):
        raise InvalidInput(f'"{file}" is not the name of a template: it is a plain file name')
