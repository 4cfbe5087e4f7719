"""Routes of profiles (spec/rest-api.md section 15)."""

import msgspec
from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import profiles
from wardian.core.host import Host
from wardian.core.profiles import ProfileWrite


class Rename(msgspec.Struct, forbid_unknown_fields=True):
    """POST on one profile."""

    name: str


async def list_profiles(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    found = await profiles.every(host)
    if request.recursion:
        return replies.sync([await profiles.render(host, profile) for profile in found])
    return replies.sync([profiles.url(profile.name) for profile in found])


async def create(host: Host, request: Request) -> web.Response:
    """Add a profile."""
    made = await profiles.create(host, await request.decode(ProfileWrite))
    return replies.created(profiles.url(made.name))


async def get(host: Host, request: Request) -> web.Response:
    """One profile."""
    profile = await profiles.get(host, request.path["name"])
    etag = replies.etag_of(profiles.writable(profile))
    return replies.sync(await profiles.render(host, profile), etag=etag)


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    wanted = await request.decode(ProfileWrite)
    name = request.path["name"]
    if request.is_dry_run:
        return replies.sync(await profiles.preview(host, name, wanted, merge=merge))
    return replies.sync(
        await profiles.update(host, name, wanted, merge=merge, precondition=request.require_match)
    )


async def put(host: Host, request: Request) -> web.Response:
    """Replace a profile's content."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def rename(host: Host, request: Request) -> web.Response:
    """Give it another name."""
    new = (await request.decode(Rename)).name
    await profiles.rename(host, request.path["name"], new)
    return replies.created(profiles.url(new))


async def delete(host: Host, request: Request) -> web.Response:
    """Remove it."""
    await profiles.delete(host, request.path["name"])
    return replies.empty()


ROUTES = [
    Route("GET", "/1.0/profiles", list_profiles),
    Route("POST", "/1.0/profiles", create),
    Route("GET", "/1.0/profiles/{name}", get),
    Route("PUT", "/1.0/profiles/{name}", put),
    Route("PATCH", "/1.0/profiles/{name}", patch),
    Route("POST", "/1.0/profiles/{name}", rename),
    Route("DELETE", "/1.0/profiles/{name}", delete),
]
