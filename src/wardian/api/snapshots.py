"""Routes of a container's snapshots (spec/rest-api.md section 12)."""

from urllib.parse import quote

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import containers, migration_source, snapshots
from wardian.core.host import Host
from wardian.errors import Forbidden, InvalidInput
from wardian.model.container import Snapshot
from wardian.model.requests import ContainerPost, SnapshotCreate, SnapshotUpdate


async def list_snapshots(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1, oldest first."""
    container = await containers.get(host, request.path["name"])
    found = await snapshots.every(host, container.name)
    if request.recursion:
        return replies.sync([await snapshots.render(host, snapshot) for snapshot in found])
    place = f"{request.prefix}/{container.name}/snapshots"
    return replies.sync([f"{place}/{quote(snapshot.own_name)}" for snapshot in found])


async def create(host: Host, request: Request) -> web.Response:
    """Begin to take one."""
    wanted = await request.decode(SnapshotCreate)
    return replies.operation(await snapshots.create(host, request.path["name"], wanted))


async def _snapshot(host: Host, request: Request) -> Snapshot:
    container = await containers.get(host, request.path["name"])
    return await snapshots.get(host, container.name, request.path["snapshot"])


async def get(host: Host, request: Request) -> web.Response:
    """One snapshot."""
    found = await _snapshot(host, request)
    return replies.sync(await snapshots.render(host, found), etag=replies.etag_of(snapshots.writable(found)))


async def put(host: Host, request: Request) -> web.Response:
    """Replace what can be written: when it expires."""
    return await _update(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _update(host, request, merge=True)


async def _update(host: Host, request: Request, *, merge: bool) -> web.Response:
    found = await _snapshot(host, request)
    wanted = await request.decode(SnapshotUpdate)
    await snapshots.update(host, found, wanted, merge=merge, precondition=request.require_match)
    return replies.empty()


async def post(host: Host, request: Request) -> web.Response:
    """Begin to rename it, or to send it to another host."""
    found = await _snapshot(host, request)
    wanted = await request.decode(ContainerPost)
    if wanted.migration and not request.access.is_full:
        raise Forbidden("not authorized: this client may not send snapshots to other hosts")
    if wanted.pool:
        raise InvalidInput("a snapshot stays in the storage pool of its container")
    if wanted.migration:
        begun = await migration_source.send(host, found.container, found.own_name, wanted)
        return replies.operation(begun)
    return replies.operation(await snapshots.rename(host, found, wanted.name))


async def delete(host: Host, request: Request) -> web.Response:
    """Begin to delete it."""
    return replies.operation(await snapshots.delete(host, await _snapshot(host, request)))


PATH = "/1.0/containers/{name}/snapshots"
ONE = PATH + "/{snapshot}"

ROUTES = [
    Route("GET", PATH, list_snapshots, within=True),
    Route("POST", PATH, create, within=True),
    Route("GET", ONE, get, within=True),
    Route("PUT", ONE, put, within=True),
    Route("PATCH", ONE, patch, within=True),
    Route("POST", ONE, post, within=True),
    Route("DELETE", ONE, delete, within=True),
]
