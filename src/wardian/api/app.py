"""The application: all routes, who may use them, and failures as envelopes.

To add a noun: write `api/NOUN.py` with ROUTES and name it in MODULES.
"""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from wardian.api import (
    auth,
    containers,
    events,
    images,
    networks,
    operations,
    pools,
    profiles,
    replies,
    server,
)
from wardian.api.routes import Request, Route
from wardian.core.host import Host
from wardian.errors import Forbidden, NotFound, NotImplementedHere, WardianError

log = logging.getLogger(__name__)

MODULES = (server, operations, events, containers, images, profiles, networks, pools)
VERBS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD")

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


def all_routes() -> list[Route]:
    """Every route; those of containers also under the name that later clients use."""
    routes = [route for module in MODULES for route in module.ROUTES]
    renamed = [
        Route(r.verb, r.path.replace("/1.0/containers", "/1.0/instances", 1), r.handler, r.guest, r.waits)
        for r in routes
        if r.path.startswith("/1.0/containers")
    ]
    return routes + renamed


def make_app(host: Host) -> web.Application:
    """The REST API of this host."""
    app = web.Application(client_max_size=0)
    paths: set[str] = set()
    for route in all_routes():
        app.router.add_route(route.verb, route.path, _endpoint(host, route))
        paths.add(route.path)
    taken = {(route.verb, route.path) for route in all_routes()}
    for path in paths:
        for verb in VERBS:
            if (verb, path) not in taken:
                app.router.add_route(verb, path, _endpoint(host, Route(verb, path, _no_such_verb)))
    app.router.add_route("*", "/{anything:.*}", _endpoint(host, Route("*", "", _no_such_path, guest=True)))
    return app


def _endpoint(host: Host, route: Route) -> Endpoint:
    async def answer(raw: web.Request) -> web.StreamResponse:
        try:
            request = Request(raw, trusted=auth.is_trusted(raw))
            if not (request.trusted or route.guest):
                raise Forbidden()
            if route.waits:
                await host.ready.wait()
            return await route.handler(host, request)
        except WardianError as failure:
            return replies.error(failure)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as failure:
            log.exception("%s %s failed", raw.method, raw.path)
            return replies.error(WardianError(f"internal error: {type(failure).__name__}: {failure}"))

    return answer


async def _no_such_path(host: Host, request: Request) -> web.Response:
    raise NotFound()


async def _no_such_verb(host: Host, request: Request) -> web.Response:
    raise NotImplementedHere()
