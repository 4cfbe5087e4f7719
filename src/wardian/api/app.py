"""The application: all routes, who may use them, and failures as envelopes.

To add a noun: write `api/NOUN.py` with ROUTES and name it in MODULES.
"""

import functools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from wardian.api import (
    auth,
    backups,
    certificates,
    containers,
    conversations,
    events,
    files,
    images,
    metadata,
    networks,
    operations,
    pools,
    profiles,
    replies,
    rights,
    server,
    snapshots,
    volumes,
)
from wardian.api.conversations import Crowd
from wardian.api.routes import Request, Route
from wardian.core.host import Host
from wardian.core.server import allowed_origins
from wardian.errors import NotFound, NotImplementedHere, WardianError, unforeseen

log = logging.getLogger(__name__)

MODULES = (
    server,
    operations,
    events,
    containers,
    files,
    snapshots,
    backups,
    images,
    profiles,
    metadata,
    networks,
    pools,
    volumes,
    certificates,
)
VERBS = ("GET", "PUT", "POST", "DELETE", "PATCH")
"""Of these a path says that it lacks them; of all others, that there is nothing."""

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


def all_routes() -> list[Route]:
    """Every route; those of containers also under the name that later clients use."""
    routes = [route for module in MODULES for route in module.ROUTES]
    renamed = [
        replace(route, path=route.path.replace("/1.0/containers", "/1.0/instances", 1))
        for route in routes
        if route.path.startswith("/1.0/containers")
    ]
    return routes + renamed


def make_app(host: Host, crowd: Crowd | None = None) -> web.Application:
    """The REST API of this host. crowd: the connections from the network, if there can be any."""
    endpoint = functools.partial(_endpoint, host, crowd or Crowd())
    app = web.Application(client_max_size=0)  # no bound here: whoever reads a body bounds it
    verbs_of: dict[str, set[str]] = defaultdict(set)
    for route in all_routes():
        app.router.add_route(route.verb, route.path, endpoint(route))
        verbs_of[route.path].add(route.verb)
    for path, taken in verbs_of.items():
        for verb in VERBS:
            if verb not in taken:
                app.router.add_route(verb, path, endpoint(Route(verb, path, _no_such_verb, early=True)))
    anything = "/{anything:.*}"
    for verb, handler, guest in (("OPTIONS", _options, True), ("*", _no_such_path, False)):
        app.router.add_route(verb, anything, endpoint(Route(verb, anything, handler, guest, early=True)))

    async def add_allowed_origins(request: web.Request, response: web.StreamResponse) -> None:
        if "Origin" in request.headers:
            response.headers.update(await allowed_origins(host))

    app.on_response_prepare.append(add_allowed_origins)
    return app


def _endpoint(host: Host, crowd: Crowd, route: Route) -> Endpoint:
    async def answer(raw: web.Request) -> web.StreamResponse:
        conversation = conversations.of(raw)
        try:
            with conversations.answering(conversation):
                caller = await auth.identify(host, crowd, raw, conversation)
                log.debug("%s %s", raw.method, raw.path)  # without the query, which can hold a secret
                named = raw.match_info.get("name", "") if route.within else ""
                request = Request(raw, rights.check(caller, route, named))
                if not (route.early or route.verb == "GET"):
                    await host.ready.wait()
                return await route.handler(host, request)
        except WardianError as failure:
            return replies.error(failure)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as failure:
            log.exception("%s %s failed", raw.method, raw.path)
            return replies.error(unforeseen(failure))

    return answer


async def _options(host: Host, request: Request) -> web.Response:
    """What a browser asks before it lets a page of another origin through: the headers say it."""
    return web.Response()


async def _no_such_path(host: Host, request: Request) -> web.Response:
    raise NotFound()


async def _no_such_verb(host: Host, request: Request) -> web.Response:
    raise NotImplementedHere()
