"""Routes of what a container keeps of its image: metadata.yaml and the templates."""

from typing import Any

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import metadata
from wardian.core.host import Host
from wardian.errors import InvalidInput

PATH = "/1.0/containers/{name}/metadata"


async def get(host: Host, request: Request) -> web.Response:
    """The content of metadata.yaml."""
    found = await metadata.get(host, request.path["name"])
    return replies.sync(found, etag=replies.etag_of(found))


async def put(host: Host, request: Request) -> web.Response:
    """Replace it."""
    content = await request.decode(dict[str, Any])
    await metadata.put(host, request.path["name"], content, request.require_match)
    return replies.empty()


async def templates(host: Host, request: Request) -> web.Response:
    """Names of the templates, or with `path` the text of one."""
    name, file = request.path["name"], request.query.get("path")
    if file is None:
        return replies.sync(await metadata.templates(host, name))
    return web.Response(body=await metadata.template(host, name, file))


async def write(host: Host, request: Request) -> web.Response:
    """Make or replace a template: the body is its text."""
    await metadata.write_template(host, request.path["name"], _file(request), await request.body())
    return replies.empty()


async def remove(host: Host, request: Request) -> web.Response:
    """Remove a template."""
    await metadata.remove_template(host, request.path["name"], _file(request))
    return replies.empty()


def _file(request: Request) -> str:
    if not (file := request.query.get("path", "")):
        raise InvalidInput('argument "path" is missing: the name of the template')
    return file


ROUTES = [
    Route("GET", PATH, get, within=True),
    Route("PUT", PATH, put),
    Route("GET", PATH + "/templates", templates, within=True),
    Route("POST", PATH + "/templates", write),
    Route("PUT", PATH + "/templates", write),
    Route("DELETE", PATH + "/templates", remove),
]
