"""Routes of the server itself, and those that only the `lxd` command uses."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import autostart, server
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import WardianError


class ServerUpdate(msgspec.Struct, forbid_unknown_fields=True):
    """PUT and PATCH /1.0."""

    config: dict[str, Any]
    # Read-only fields that a client sends back as it got them:
    api_extensions: Any = None
    api_status: Any = None
    api_version: Any = None
    auth: Any = None
    auth_methods: Any = None
    environment: Any = None
    public: Any = None


async def versions(host: Host, request: Request) -> web.Response:
    """The versions of the API."""
    return replies.sync(["/1.0"])


async def get(host: Host, request: Request) -> web.Response:
    """The server; guests get the short form."""
    if not request.trusted:
        return replies.sync(server.guest_view(trusted=False))
    etag = replies.etag_of(await server.writable(host))
    view = await server.view(host)
    if request.access.containers is not None:
        view["config"] = {}
    return replies.sync(view, etag=etag)


async def resources(host: Host, request: Request) -> web.Response:
    """The hardware of the host."""
    return replies.sync(await server.resources(host))


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    wanted = await request.decode(ServerUpdate)
    await server.update(host, wanted.config, merge=merge, precondition=request.require_match)
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace the configuration."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some keys."""
    return await _change(host, request, merge=True)


async def ready(host: Host, request: Request) -> web.Response:
    """Answered once start-up is complete and the containers that are due have been started."""
    await host.started.wait()
    return replies.empty()


async def leave_setup(host: Host, request: Request) -> web.Response:
    """Leave setup mode; answered like `ready`."""
    if host.opened.is_set():
        raise WardianError("The server isn't currently in setup mode")
    host.opened.set()
    return await ready(host, request)


async def shutdown(host: Host, request: Request) -> web.Response:
    """Stop all containers, then the daemon; answered when the containers have stopped."""

    async def work(_: Operation) -> None:
        await autostart.stop_all(host)

    operation = host.operations.start("Shutting down", work)
    await operation.finished.wait()
    asyncio.get_running_loop().call_soon(host.stop)
    return replies.empty()


ROUTES = [
    Route("GET", "/", versions, guest=True, within=True),
    Route("GET", "/1.0", get, guest=True, within=True),
    Route("PUT", "/1.0", put),
    Route("PATCH", "/1.0", patch),
    Route("GET", "/1.0/resources", resources),
    Route("GET", "/internal/ready", ready),
    Route("PUT", "/internal/ready", leave_setup),
    Route("PUT", "/internal/shutdown", shutdown, early=True),
]
