"""The events websocket (spec/rest-api.md section 18)."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from wardian.api.routes import Request, Route
from wardian.api.sockets import WebSocket
from wardian.core import events
from wardian.core.host import Host
from wardian.errors import InvalidInput
from wardian.model.access import Access


async def listen(host: Host, request: Request) -> web.StreamResponse:
    """One text frame per event of the asked types, until either side goes."""
    types = [kind for kind in request.query.get("type", "").split(",") if kind] or list(events.TYPES)
    for kind in types:
        if kind not in events.TYPES:
            raise InvalidInput(f'argument "type": "{kind}" is not one of {", ".join(events.TYPES)}')
    listener = host.events.subscribe(types)
    try:
        socket = await WebSocket.accept(request.raw)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_notice_the_end(host, socket, listener), name="events reader")
            async for event in listener:
                if not _is_for(request.access, event):
                    continue
                await socket.send(msgspec.json.encode(event).decode())
            reader.cancel()
        await socket.close()
    finally:
        host.events.unsubscribe(listener)
    return socket.response


def _is_for(access: Access, event: dict[str, Any]) -> bool:
    """Whether the caller may hear of it: who may use only some containers hears of these alone."""
    if access.containers is None:
        return True
    told = event["metadata"]
    if event["type"] == "operation":
        return access.sees_resources(told["resources"])
    return event["type"] == "lifecycle" and access.sees_source(told["source"])


async def _notice_the_end(host: Host, socket: WebSocket, listener: events.Listener) -> None:
    """End the listener when the peer closes; what it says before is of no interest."""
    while await socket.receive() is not None:
        pass
    host.events.unsubscribe(listener)


ROUTES = [Route("GET", "/1.0/events", listen, within=True)]
