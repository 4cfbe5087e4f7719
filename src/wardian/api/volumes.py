"""Routes of custom volumes, below their storage pool."""

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import volume_moves, volume_snapshots, volumes
from wardian.core.host import Host
from wardian.core.volumes import VolumeWrite
from wardian.errors import InvalidInput
from wardian.model.container import CustomVolume

POOL = "/1.0/storage-pools/{pool}/volumes"
ONE = f"{POOL}/custom/{{name}}"


async def list_volumes(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    return await _listed(host, request, await volumes.every(host, request.path["pool"]))


async def _listed(host: Host, request: Request, found: list[CustomVolume]) -> web.Response:
    if request.recursion:
        return replies.sync([await volumes.render(host, volume) for volume in found])
    return replies.sync([volumes.url(volume) for volume in found])


async def create(host: Host, request: Request) -> web.Response:
    """Make a volume: an empty one at once, a copy in the background."""
    wanted = await request.decode(VolumeWrite)
    if wanted.source is not None:
        return replies.operation(await volume_moves.copy(host, request.path["pool"], wanted))
    made = await volumes.create(host, request.path["pool"], wanted)
    return replies.created(volumes.url(made))


async def _found(host: Host, request: Request) -> CustomVolume:
    name, snapshot = request.path["name"], request.path.get("snapshot")
    return await volumes.get(host, request.path["pool"], f"{name}/{snapshot}" if snapshot else name)


async def get(host: Host, request: Request) -> web.Response:
    """One volume or snapshot."""
    found = await _found(host, request)
    return replies.sync(await volumes.render(host, found), etag=replies.etag_of(volumes.writable(found)))


async def state(host: Host, request: Request) -> web.Response:
    """What it takes, where the pool can tell."""
    used = await volumes.usage(host, await _found(host, request))
    return replies.sync({"usage": None if used is None else {"used": used}})


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    found = await _found(host, request)
    wanted = await request.decode(VolumeWrite)
    await volumes.update(
        host, found.pool, found.own_name, wanted, merge=merge, precondition=request.require_match
    )
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace the configuration, or restore a snapshot."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def rename(host: Host, request: Request) -> web.Response:
    """Another name at once, or another pool in the background."""
    found, wanted = await _found(host, request), await request.decode(VolumeWrite)
    if wanted.pool not in ("", found.pool):
        new = wanted.name or found.own_name
        return replies.operation(await volume_moves.move(host, found.pool, found.own_name, wanted.pool, new))
    return replies.created(volumes.url(await volumes.rename(host, found.pool, found.own_name, wanted.name)))


async def delete(host: Host, request: Request) -> web.Response:
    """Remove an unused volume."""
    found = await _found(host, request)
    await volumes.delete(host, found.pool, found.own_name)
    return replies.empty()


async def list_snapshots(host: Host, request: Request) -> web.Response:
    """Its snapshots, oldest first."""
    return await _listed(host, request, await volumes.snapshots(host, await _found(host, request)))


async def take_snapshot(host: Host, request: Request) -> web.Response:
    """Keep it as it is now, in the background."""
    found, wanted = await _found(host, request), await request.decode(VolumeWrite)
    return replies.operation(await volume_snapshots.begin(host, found, wanted.name))


async def _change_snapshot(host: Host, request: Request, *, merge: bool) -> web.Response:
    found, wanted = await _found(host, request), await request.decode(VolumeWrite)
    request.require_match(volumes.writable(found))
    return replies.operation(volume_snapshots.begin_change(host, found, wanted, merge=merge))


async def put_snapshot(host: Host, request: Request) -> web.Response:
    """Replace what is said of it, in the background as later clients expect."""
    return await _change_snapshot(host, request, merge=False)


async def patch_snapshot(host: Host, request: Request) -> web.Response:
    """Change it, if it is given."""
    return await _change_snapshot(host, request, merge=True)


async def rename_snapshot(host: Host, request: Request) -> web.Response:
    """Another name in its volume, in the background."""
    found, wanted = await _found(host, request), await request.decode(VolumeWrite)
    if wanted.pool not in ("", found.pool):
        raise InvalidInput("a snapshot stays in the storage pool of its volume")
    return replies.operation(await volume_snapshots.begin_rename(host, found, wanted.name))


async def delete_snapshot(host: Host, request: Request) -> web.Response:
    """Remove it, in the background."""
    return replies.operation(volume_snapshots.begin_delete(host, await _found(host, request)))


ROUTES = [
    Route("GET", POOL, list_volumes),
    Route("POST", POOL, create),
    Route("GET", f"{POOL}/custom", list_volumes),
    Route("POST", f"{POOL}/custom", create),
    Route("GET", ONE, get),
    Route("PUT", ONE, put),
    Route("PATCH", ONE, patch),
    Route("POST", ONE, rename),
    Route("DELETE", ONE, delete),
    Route("GET", f"{ONE}/state", state),
    Route("GET", f"{ONE}/snapshots", list_snapshots),
    Route("POST", f"{ONE}/snapshots", take_snapshot),
    Route("GET", f"{ONE}/snapshots/{{snapshot}}", get),
    Route("PUT", f"{ONE}/snapshots/{{snapshot}}", put_snapshot),
    Route("PATCH", f"{ONE}/snapshots/{{snapshot}}", patch_snapshot),
    Route("POST", f"{ONE}/snapshots/{{snapshot}}", rename_snapshot),
    Route("DELETE", f"{ONE}/snapshots/{{snapshot}}", delete_snapshot),
]
