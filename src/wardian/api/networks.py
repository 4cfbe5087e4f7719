"""Routes of networks (spec/rest-api.md section 16; managed ones as in extension `network`)."""

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import networks
from wardian.core.host import Host
from wardian.core.networks import NetworkWrite


async def list_networks(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    names = await networks.names_of_all(host)
    if request.recursion:
        return replies.sync([await networks.render(host, name) for name in names])
    return replies.sync([networks.url(name) for name in names])


async def create(host: Host, request: Request) -> web.Response:
    """Make a managed bridge."""
    made = await networks.create(host, await request.decode(NetworkWrite))
    return replies.created(networks.url(made.name))


async def get(host: Host, request: Request) -> web.Response:
    """One network, with what keeps its traffic from flowing as `warnings`."""
    shown = await networks.render(host, request.path["name"], with_warnings=True)
    etag = replies.etag_of({"config": shown["config"], "description": shown["description"]})
    return replies.sync(shown, etag=etag)


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    name, wanted = request.path["name"], await request.decode(NetworkWrite)
    await networks.update(host, name, wanted, merge=merge, precondition=request.require_match)
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace the configuration."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def delete(host: Host, request: Request) -> web.Response:
    """Remove an unused managed bridge."""
    await networks.delete(host, request.path["name"])
    return replies.empty()


async def rename(host: Host, request: Request) -> web.Response:
    """Give it another name."""
    new = (await request.decode(NetworkWrite)).name
    await networks.rename(host, request.path["name"], new)
    return replies.created(networks.url(new))


async def state(host: Host, request: Request) -> web.Response:
    """Addresses, MTU and traffic of the interface."""
    return replies.sync(await networks.state(host, request.path["name"]))


async def leases(host: Host, request: Request) -> web.Response:
    """Its DHCP leases."""
    return replies.sync(await networks.leases(host, request.path["name"]))


ROUTES = [
    Route("GET", "/1.0/networks", list_networks),
    Route("POST", "/1.0/networks", create),
    Route("GET", "/1.0/networks/{name}", get),
    Route("PUT", "/1.0/networks/{name}", put),
    Route("PATCH", "/1.0/networks/{name}", patch),
    Route("DELETE", "/1.0/networks/{name}", delete),
    Route("POST", "/1.0/networks/{name}", rename),
    Route("GET", "/1.0/networks/{name}/state", state),
    Route("GET", "/1.0/networks/{name}/leases", leases),
]
