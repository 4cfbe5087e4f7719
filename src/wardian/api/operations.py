"""Routes of operations (spec/rest-api.md section 17)."""

from collections import defaultdict
from typing import Any

from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.api.sockets import WebSocket
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import Forbidden, InvalidInput, NotFound, WardianError


async def list_operations(host: Host, request: Request) -> web.Response:
    """All operations, grouped by lower-case status; without the secrets of their streams."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for operation in host.operations.all():
        if not request.access.sees_resources(operation.resources):
            continue
        shown = operation.render(metadata=False) if request.recursion else operation.url
        groups[operation.status.lower()].append(shown)
    return replies.sync(groups)


async def get_operation(host: Host, request: Request) -> web.Response:
    """One operation; the secrets went to whoever started it and are not shown again."""
    return replies.sync(_operation(host, request).render(metadata=False))


def _operation(host: Host, request: Request) -> Operation:
    """The one that the path names; NotFound, too, if the caller may know nothing of it."""
    found = host.operations.get(request.path["id"])
    if not request.access.sees_resources(found.resources):
        raise NotFound(f'operation "{found.id}" not found')
    return found


async def wait(host: Host, request: Request) -> web.Response:
    """The operation once it has ended, or when `timeout` seconds are over (-1: never)."""
    text = request.query.get("timeout", "-1")
    try:
        timeout_s = float(text)
    except ValueError:
        raise InvalidInput(f'argument "timeout": "{text}" is not a number of seconds') from None
    id = _operation(host, request).id
    operation = await host.operations.wait(id, timeout_s if timeout_s >= 0 else None)
    return replies.sync(operation.render(metadata=False))


async def cancel(host: Host, request: Request) -> web.Response:
    """Ask an operation to stop."""
    host.operations.cancel(_operation(host, request).id)
    return replies.empty()


async def connect(host: Host, request: Request) -> web.StreamResponse:
    """Attach a websocket to the stream whose secret the caller has."""
    try:
        operation, secret = _stream(host, request)
    except WardianError:
        if request.trusted:
            raise
        raise Forbidden() from None  # guests do not learn which operations there are
    socket = await WebSocket.accept(request.raw)
    await operation.connect(secret, socket)
    await socket.close()
    return socket.response


def _stream(host: Host, request: Request) -> tuple[Operation, str]:
    operation = host.operations.get(request.path["id"])
    secret = request.query.get("secret", "")
    if not secret:
        raise WardianError("missing secret")
    if operation.kind != "websocket":
        raise WardianError("Only websocket operations can be connected")
    if operation.status != "Running":
        raise WardianError("Only running operations can be connected")
    operation.check_secret(secret)
    return operation, secret


ROUTES = [
    Route("GET", "/1.0/operations", list_operations, within=True),
    Route("GET", "/1.0/operations/{id}", get_operation, within=True),
    Route("DELETE", "/1.0/operations/{id}", cancel, within=True),
    Route("GET", "/1.0/operations/{id}/wait", wait, within=True),
    Route("GET", "/1.0/operations/{id}/websocket", connect, guest=True),
]
