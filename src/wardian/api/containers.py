"""Routes of containers, their state, logs and commands (spec/rest-api.md sections 7-9, 11)."""

import re

from aiohttp import web

from wardian.api import backups, replies
from wardian.api.routes import Request, Route
from wardian.core import (
    console,
    containers,
    copies,
    exec,
    lifecycle,
    memory,
    migration_sink,
    migration_source,
    pool_moves,
    renames,
    snapshots,
    state,
    updates,
)
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import Forbidden, InvalidInput, NotFound
from wardian.model import filters, names
from wardian.model.requests import (
    ConsoleRequest,
    ContainerCreate,
    ContainerPost,
    ContainerUpdate,
    ExecRequest,
    StateChange,
)

LOG_FILE = re.compile(
    r"(lxc|console)\.log(\.old|\.1)?|lxc\.conf|(migration|snapshot)_[\w.:+-]+\.log|exec_[\da-f-]+\.std(out|err)"
)
BEGINNINGS = {"copy": copies.create, "migration": migration_sink.receive}
"""By the type of the source, where it is not made from an image or from nothing."""
KEPT_LOGS = ("lxc.log", "lxc.conf")
SAID_INSIDE = ("console", "exec_")
"""How the names of logs begin that have what programs in the container said."""


async def list_containers(host: Host, request: Request) -> web.Response:
    """URLs, objects (recursion=1) or full objects (recursion=2, `fields` limits the parts)."""
    wanted = request.filter
    if request.recursion == 0 and not wanted:
        every = [c.name for c in await containers.every(host) if request.access.reaches(c.name)]
        return replies.sync([f"{request.prefix}/{name}" for name in every])
    asked = frozenset(request.query.get("fields", "").split(",")) - {""}
    if unknown := asked - state.FIELDS:
        raise InvalidInput(f'argument "fields": unknown part "{sorted(unknown)[0]}"')
    found = await state.listing(host, request.recursion, asked or state.FIELDS)
    shown = [one for one in found if request.access.reaches(one["name"]) and filters.fits(wanted, one)]
    if request.recursion == 0:
        return replies.sync([f"{request.prefix}/{one['name']}" for one in shown])
    return replies.sync(shown)


async def create(host: Host, request: Request) -> web.Response:
    """Begin to create a container: from an image, nothing, another one here or elsewhere, or from a file."""
    if request.raw.headers.get("Content-Type") == "application/octet-stream":
        return replies.operation(await backups.restore(host, request))
    wanted = await request.decode(ContainerCreate)
    begin = BEGINNINGS.get(wanted.source.type, containers.create)
    return replies.operation(await begin(host, wanted))


async def get(host: Host, request: Request) -> web.Response:
    """The container's object; with recursion=1 the full one, with sources=1 where each part comes from."""
    container = await containers.get(host, request.path["name"])
    merged = await containers.expanded(host, container)
    shown = state.render(host, container, merged)
    if request.recursion:
        shown |= await state.extras(host, container, merged)
    if request.query.get("sources") == "1":
        shown["expanded_sources"] = await containers.sources(host, container)
    return replies.sync(shown, etag=replies.etag_of(containers.writable(container)))


async def put(host: Host, request: Request) -> web.Response:
    """Begin to replace the configuration or restore a snapshot; with dry-run=1 tell what that would do."""
    change = await request.decode(ContainerUpdate)
    if not (request.access.is_full or (change.restore and not request.is_dry_run)):
        raise Forbidden("not authorized: this client may not change how containers are set up")
    if request.is_dry_run:
        return replies.sync(
            {request.path["name"]: await updates.preview(host, request.path["name"], change)}
        )
    return replies.operation(await _update(host, request, change))


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of the configuration, at once; with dry-run=1 not at all. What it does is told."""
    name, change = request.path["name"], await request.decode(ContainerUpdate)
    if change.restore:
        raise InvalidInput('field "restore": a snapshot is restored by PUT')
    if request.is_dry_run:
        return replies.sync({name: await updates.preview(host, name, change, merge=True)})
    done = await updates.update(host, name, change, merge=True, precondition=request.require_match)
    return replies.sync({name: done})


async def _update(host: Host, request: Request, change: ContainerUpdate) -> Operation:
    container = await containers.get(host, request.path["name"])
    request.require_match(containers.writable(container))

    async def work(_: Operation) -> None:
        if change.restore:
            await snapshots.restore(
                host,
                container.name,
                change.restore,
                stateful=change.stateful or False,
                may_change=request.access.is_full,
            )
        else:
            await updates.update(host, container.name, change, precondition=request.require_match)

    description = "Restoring snapshot" if change.restore else "Updating container"
    return host.operations.start(description, work, resources=containers.resources(container.name))


async def post(host: Host, request: Request) -> web.Response:
    """Begin to rename it, to move it to another storage pool, or to send it to another host."""
    wanted = await request.decode(ContainerPost)
    if wanted.pool:
        name = request.path["name"]
        return replies.operation(await pool_moves.move(host, name, wanted.pool, wanted.name))
    if wanted.migration:
        return replies.operation(await migration_source.send(host, request.path["name"], "", wanted))
    return replies.operation(await renames.begin(host, request.path["name"], wanted.name))


async def delete(host: Host, request: Request) -> web.Response:
    """Begin to delete a stopped container."""
    return replies.operation(await containers.delete(host, request.path["name"]))


async def get_state(host: Host, request: Request) -> web.Response:
    """What the container does and uses now."""
    container = await containers.get(host, request.path["name"])
    return replies.sync(await state.state(host, container, await containers.expanded(host, container)))


async def get_criu(host: Host, request: Request) -> web.Response:
    """Whether its memory can be saved now, and what is in the way."""
    return replies.sync(await memory.describe(host, await containers.get(host, request.path["name"])))


async def put_state(host: Host, request: Request) -> web.Response:
    """Begin to start, stop, restart, freeze or unfreeze it; not in setup mode."""
    change = await request.decode(StateChange)
    await host.opened.wait()
    return replies.operation(await lifecycle.change_state(host, request.path["name"], change))


async def execute(host: Host, request: Request) -> web.Response:
    """Begin to run a command in it."""
    return replies.operation(
        await exec.execute(host, request.path["name"], await request.decode(ExecRequest))
    )


async def attach_console(host: Host, request: Request) -> web.Response:
    """Begin to connect its console with websockets."""
    return replies.operation(
        await console.attach(host, request.path["name"], await request.decode(ConsoleRequest))
    )


async def get_console(host: Host, request: Request) -> web.StreamResponse:
    """What its console has shown."""
    return replies.file(await console.log(host, request.path["name"]))


async def clear_console(host: Host, request: Request) -> web.Response:
    """Forget what its console has shown."""
    await console.clear(host, request.path["name"])
    return replies.empty()


async def list_logs(host: Host, request: Request) -> web.Response:
    """URLs of the log files; also of a container that is gone or could not be created."""
    name = request.path["name"]
    names.check_container(name)
    try:
        found = sorted(path.name for path in host.runtime.log_folder(name).iterdir())
    except FileNotFoundError:
        raise NotFound(f'container "{name}" has no logs') from None
    return replies.sync([f"{request.prefix}/{name}/logs/{f}" for f in found if LOG_FILE.fullmatch(f)])


async def get_log(host: Host, request: Request) -> web.StreamResponse:
    """A log file as it is; what was said in the container not for who may only look."""
    name, file = _log_of(request)
    if request.access.read_only and file.startswith(SAID_INSIDE):
        raise Forbidden("not authorized: this client may not see what is said in containers")
    path = host.runtime.log_folder(name) / file
    if not path.is_file():
        raise NotFound(f'container "{name}" has no log file "{file}"')
    return replies.file(path)


async def delete_log(host: Host, request: Request) -> web.Response:
    """Remove a log file that is not in use."""
    name, file = _log_of(request)
    if file in KEPT_LOGS:
        raise InvalidInput("lxc.log and lxc.conf may not be deleted")
    try:
        (host.runtime.log_folder(name) / file).unlink()
    except FileNotFoundError:
        raise NotFound(f'container "{name}" has no log file "{file}"') from None
    return replies.empty()


def _log_of(request: Request) -> tuple[str, str]:
    name, file = request.path["name"], request.path["file"]
    names.check_container(name)
    if not LOG_FILE.fullmatch(file):
        raise InvalidInput(f"log file name {file} not valid")
    return name, file


ROUTES = [
    Route("GET", "/1.0/containers", list_containers, within=True),
    Route("POST", "/1.0/containers", create),
    Route("GET", "/1.0/containers/{name}", get, within=True),
    Route("PUT", "/1.0/containers/{name}", put, within=True),
    Route("PATCH", "/1.0/containers/{name}", patch),
    Route("POST", "/1.0/containers/{name}", post),
    Route("DELETE", "/1.0/containers/{name}", delete),
    Route("GET", "/1.0/containers/{name}/state", get_state, within=True),
    Route("PUT", "/1.0/containers/{name}/state", put_state, within=True),
    Route("GET", "/1.0/containers/{name}/criu", get_criu, within=True),
    Route("POST", "/1.0/containers/{name}/exec", execute, within=True),
    Route("GET", "/1.0/containers/{name}/console", get_console, content=True, within=True),
    Route("POST", "/1.0/containers/{name}/console", attach_console, within=True),
    Route("DELETE", "/1.0/containers/{name}/console", clear_console, within=True),
    Route("GET", "/1.0/containers/{name}/logs", list_logs, within=True),
    Route("GET", "/1.0/containers/{name}/logs/{file}", get_log, within=True),
    Route("DELETE", "/1.0/containers/{name}/logs/{file}", delete_log, within=True),
]
