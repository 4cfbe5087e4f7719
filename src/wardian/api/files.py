"""Files of containers, one by one and as whole trees (spec/rest-api.md section 10)."""

import os
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import files
from wardian.core.host import Host
from wardian.errors import InvalidInput
from wardian.ports.files import FileInfo, FileWrite

LINK_BYTES = 4096
SOCKET_BUFFER = 1 << 20
TREE_TYPE = "application/octet-stream"
UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\]')


async def get(host: Host, request: Request) -> web.StreamResponse:
    """A file's content, the names in a directory, or where a link leads.

    On /1.0/containers links are followed, as in 2.0; on /1.0/instances they are shown, as later
    clients expect, which walk trees by this.
    """
    path = files.checked_path(request.query.get("path", ""))
    follow = request.prefix == "/1.0/containers"
    async with files.inside(host, request.path["name"]) as inside:
        if request.raw.method == "HEAD":
            info = await inside.look(path, follow=follow)
            size = {"Content-Length": str(info.size)} if info.kind == "file" else {}
            return web.Response(headers={**_headers(info, path), **size})
        info, content = await inside.read(path, follow=follow)
        if info.kind == "directory":
            response = replies.sync(list(info.names))
            response.headers.update(_headers(info, path))
            return response
        if info.kind == "symlink":
            body = os.fsencode(info.target)
            return web.Response(body=body, headers=_headers(info, path), content_type=TREE_TYPE)
        streamed = web.StreamResponse(headers={**_headers(info, path), "Content-Type": TREE_TYPE})
        streamed.content_length = info.size
        return await _stream(request, streamed, content)


def _headers(info: FileInfo, path: str) -> dict[str, str]:
    name = UNSAFE.sub("_", os.path.basename(path.rstrip("/")))
    return {
        "X-LXD-uid": str(info.uid),
        "X-LXD-gid": str(info.gid),
        "X-LXD-mode": f"{info.mode:04o}",
        "X-LXD-type": info.kind,
        "Content-Disposition": f"inline;filename={quote(name, errors='surrogateescape')}",
    }


async def _stream(
    request: Request, response: web.StreamResponse, content: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send what comes. If that fails, the connection is cut: only so the other side can tell."""
    try:
        await response.prepare(request.raw)
        async for piece in content:
            await response.write(piece)
        await response.write_eof()
    except ConnectionError:  # the caller has hung up
        return response
    except BaseException:
        if request.raw.transport is not None:
            request.raw.transport.abort()
        raise
    return response


async def post(host: Host, request: Request) -> web.Response:
    """Make or replace a file, directory or link."""
    path = files.checked_path(request.query.get("path", ""))
    headers = request.raw.headers
    kind = headers.get("X-LXD-type") or "file"
    how = headers.get("X-LXD-write") or "overwrite"
    if kind not in files.TYPES:
        raise InvalidInput(f'header "X-LXD-type": "{kind}" is not one of {", ".join(files.TYPES)}')
    if how not in ("overwrite", "append"):
        raise InvalidInput(f'header "X-LXD-write": "{how}" is not one of overwrite, append')
    wanted = FileWrite(
        kind=kind,  # type: ignore[arg-type]
        uid=files.checked_id(headers.get("X-LXD-uid", ""), "X-LXD-uid"),
        gid=files.checked_id(headers.get("X-LXD-gid", ""), "X-LXD-gid"),
        mode=files.checked_mode(headers.get("X-LXD-mode", "")),
        target=await _target(request) if kind == "symlink" else "",
        append=how == "append",
    )
    async with files.inside(host, request.path["name"]) as inside:
        await inside.write(path, wanted, _body(request))
    return replies.empty()


async def _target(request: Request) -> str:
    text = os.fsdecode(await request.body())
    if not text or "\0" in text or len(text) > LINK_BYTES:
        raise InvalidInput("the body is not the target of a link")
    return text


async def _body(request: Request) -> AsyncIterator[bytes]:
    content = request.raw.content
    try:
        while piece := await content.readany():
            yield piece
    except (ConnectionError, web.RequestPayloadError) as error:
        raise InvalidInput(f"the body was cut: {error}") from error


async def delete(host: Host, request: Request) -> web.Response:
    """Remove a file, a link or an empty directory."""
    path = files.checked_path(request.query.get("path", ""))
    async with files.inside(host, request.path["name"]) as inside:
        await inside.delete(path)
    return replies.empty()


async def get_tree(host: Host, request: Request) -> web.StreamResponse:
    """A directory and all in it, as a stream of model.entries."""
    path = files.checked_path(request.query.get("path", ""))
    async with files.inside(host, request.path["name"]) as inside:
        content = await inside.read_tree(path)
        response = web.StreamResponse(headers={"Content-Type": TREE_TYPE})
        response.enable_chunked_encoding()
        return await _stream(request, response, content)


async def post_tree(host: Host, request: Request) -> web.Response:
    """Put such a stream below a directory; `parents=1` makes that first."""
    path = files.checked_path(request.query.get("path", ""))
    ids = {field: files.checked_id(request.query.get(field, ""), field) for field in ("uid", "gid")}
    async with files.inside(host, request.path["name"]) as inside:
        count = await inside.write_tree(
            path,
            _body(request),
            parents=request.query.get("parents") == "1",
            owner={field: value for field, value in ids.items() if value is not None},
        )
    return replies.sync({"entries": count})


ROUTES = [
    Route("GET", "/1.0/containers/{name}/files", get, content=True, within=True),
    Route("HEAD", "/1.0/containers/{name}/files", get, content=True, within=True),
    Route("POST", "/1.0/containers/{name}/files", post, within=True),
    Route("DELETE", "/1.0/containers/{name}/files", delete, within=True),
    Route("GET", "/1.0/containers/{name}/files/tree", get_tree, content=True, within=True),
    Route("POST", "/1.0/containers/{name}/files/tree", post_tree, within=True),
]
