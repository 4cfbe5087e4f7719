"""Routes of storage pools."""

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import pools
from wardian.core.host import Host
from wardian.core.pools import PoolWrite


async def list_pools(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    found = await host.records.pools.all()
    if request.recursion:
        return replies.sync([await pools.render(host, pool) for pool in found])
    return replies.sync([pools.url(pool.name) for pool in found])


async def create(host: Host, request: Request) -> web.Response:
    """Make a pool."""
    made = await pools.create(host, await request.decode(PoolWrite))
    return replies.created(pools.url(made.name))


async def get(host: Host, request: Request) -> web.Response:
    """One pool."""
    pool = await host.records.pools.get(request.path["name"])
    return replies.sync(await pools.render(host, pool), etag=replies.etag_of(pools.writable(pool)))


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    name, wanted = request.path["name"], await request.decode(PoolWrite)
    await pools.update(host, name, wanted, merge=merge, precondition=request.require_match)
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace the configuration."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def resources(host: Host, request: Request) -> web.Response:
    """How full it is."""
    pool = await host.records.pools.get(request.path["name"])
    space = await host.storage.get(pool.name).space()
    return replies.sync({"space": {"used": space.used, "total": space.total}})


async def delete(host: Host, request: Request) -> web.Response:
    """Remove an unused pool."""
    await pools.delete(host, request.path["name"])
    return replies.empty()


ROUTES = [
    Route("GET", "/1.0/storage-pools", list_pools),
    Route("POST", "/1.0/storage-pools", create),
    Route("GET", "/1.0/storage-pools/{name}", get),
    Route("GET", "/1.0/storage-pools/{name}/resources", resources),
    Route("PUT", "/1.0/storage-pools/{name}", put),
    Route("PATCH", "/1.0/storage-pools/{name}", patch),
    Route("DELETE", "/1.0/storage-pools/{name}", delete),
]
