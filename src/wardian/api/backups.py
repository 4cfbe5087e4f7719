"""Routes of containers as one file: /1.0/containers/NAME/backups, and reading one in."""

from contextlib import AsyncExitStack

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import backups, containers, images
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.model.container import Backup
from wardian.model.requests import BackupCreate


async def restore(host: Host, request: Request) -> Operation:
    """Take in an upload, then begin to make a container of it."""
    headers = request.raw.headers
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(images.building(host, host.paths.backups))
        with open(folder / "file", "xb") as file:
            while chunk := await request.raw.content.readany():
                file.write(chunk)
        name, pool = headers.get("X-LXD-name", ""), headers.get("X-LXD-pool", "")
        return backups.restore(host, folder / "file", name, pool, stack.pop_all().aclose)


async def list_backups(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    container = await containers.get(host, request.path["name"])
    found = await backups.every(host, container.name)
    if request.recursion:
        return replies.sync([backups.render(one) for one in found])
    return replies.sync([f"{request.prefix}/{container.name}/backups/{one.own_name}" for one in found])


async def create(host: Host, request: Request) -> web.Response:
    """Begin to make one."""
    wanted = await request.decode(BackupCreate)
    return replies.operation(await backups.create(host, request.path["name"], wanted))


async def _backup(host: Host, request: Request) -> Backup:
    return await backups.get(host, request.path["name"], request.path["backup"])


async def get(host: Host, request: Request) -> web.Response:
    """One backup."""
    return replies.sync(backups.render(await _backup(host, request)))


async def delete(host: Host, request: Request) -> web.Response:
    """Begin to delete it."""
    return replies.operation(await backups.delete(host, await _backup(host, request)))


async def export(host: Host, request: Request) -> web.StreamResponse:
    """The file; parts of it, too (Range), so that a fetch that broke can go on."""
    return replies.file(backups.path(host, await _backup(host, request)))


PATH = "/1.0/containers/{name}/backups"
ONE = PATH + "/{backup}"

ROUTES = [
    Route("GET", PATH, list_backups, within=True),
    Route("POST", PATH, create, within=True),
    Route("GET", ONE, get, within=True),
    Route("DELETE", ONE, delete, within=True),
    Route("GET", ONE + "/export", export, content=True, within=True),
]
