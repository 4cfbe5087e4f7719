"""Whether a caller may use a route, by what its certificate may do (model.access).

One place for all routes: each says of itself whom it serves (api.routes.Route), and one that says nothing
serves no caller with restrictions but who may look.
"""

from dataclasses import replace

from wardian.api.auth import Caller
from wardian.api.routes import Route
from wardian.errors import Forbidden, NotFound
from wardian.model.access import Access

LOOKING = ("GET", "HEAD")


def check(caller: Caller, route: Route, container: str) -> Caller:
    """The caller as the route is to see it; Forbidden, or NotFound for a container that it knows nothing of.

    container: the one that the path names, or "". Where a restriction is in the way, what guests
    may look at is shown as to any guest.
    """
    if not caller.trusted:
        if not route.guest:
            raise Forbidden()
        return caller
    refusal = _refusal(caller.access, route)
    if refusal is not None:
        if not (route.guest and route.verb in LOOKING):
            raise refusal
        return replace(caller, trusted=False)
    if container and not caller.access.reaches(container):
        raise NotFound(f'container "{container}" not found')
    return caller


def _refusal(access: Access, route: Route) -> Forbidden | None:
    if access.read_only and (route.verb not in LOOKING or route.content):
        return Forbidden(
            "not authorized: this client may only look at what is here, and not into containers"
        )
    if access.containers is not None and not route.within:
        return Forbidden(
            f"not authorized: this client may only use the containers {access.describe()} as they are set up"
        )
    return None
