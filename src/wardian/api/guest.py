"""The API inside containers, at /dev/lxd/sock: bare JSON and text, no envelopes (spec/rest-api.md 21).

A container can ask as much as it likes: its requests are answered one after another, with a pause.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from wardian.api.sockets import WebSocket
from wardian.core import guest, guest_doors
from wardian.core.events import Listener
from wardian.core.host import Host
from wardian.errors import InvalidInput, NotFound, NotImplementedHere, WardianError
from wardian.linux import peers

log = logging.getLogger(__name__)

PAUSE_S = 0.002
"""Between two answers to one container: so a flood of requests takes a part of the daemon's time only."""
LISTENERS = 8
"""Event websockets of one container."""
CONFIG = "/1.0/config"

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def answerer(host: Host, name: str) -> Answer:
    """What answers the requests on the socket of a container."""
    turn = asyncio.Lock()
    listening: set[Listener] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with turn:
                _identify(host, name, request)
                reply = await _reply(host, name, request)
                await asyncio.sleep(PAUSE_S)
            return reply if reply is not None else await _events(host, name, request, listening)
        except WardianError as failure:
            return web.Response(text=f"{failure}\n", status=failure.status)
        except ConnectionError:
            raise
        except Exception:
            log.exception('container "%s": %s on /dev/lxd failed', name, request.path)
            return web.Response(text="internal error\n", status=500)

    return answer


def _identify(host: Host, name: str, request: web.BaseRequest) -> None:
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    if sock is None:
        raise ConnectionResetError
    guest.admit(host, name, *peers.credentials(sock))


async def _reply(host: Host, name: str, request: web.BaseRequest) -> web.Response | None:
    """The answer; None for the events, which take their time."""
    path = request.path.rstrip("/") or "/"
    if request.method not in ("GET", "HEAD"):
        raise NotImplementedHere()
    if path == "/":
        return _json(["/1.0"])
    if path == "/1.0":
        return _json({"api_version": "1.0"})
    if path == CONFIG:
        return _json([f"{CONFIG}/{key}" for key in await guest.config(host, name)])
    if path.startswith(f"{CONFIG}/"):
        return _text(await guest.value(host, name, path.removeprefix(f"{CONFIG}/")))
    if path == "/1.0/meta-data":
        return _text(await guest.meta_data(host, name))
    if path == "/1.0/events":
        return None
    raise NotFound("not found")


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _text(content: str) -> web.Response:
    return web.Response(body=content.encode(), content_type="application/octet-stream")


async def _events(
    host: Host, name: str, request: web.BaseRequest, listening: set[Listener]
) -> web.StreamResponse:
    """One text frame per change of the asked types."""
    types = [kind for kind in request.query.get("type", "").split(",") if kind] or list(guest_doors.TYPES)
    for kind in types:
        if kind not in guest_doors.TYPES:
            raise InvalidInput(
                f'argument "type": "{kind[:40]}" is not one of {", ".join(guest_doors.TYPES)}'
            )
    if len(listening) >= LISTENERS:
        raise InvalidInput(f"{LISTENERS} connections listen for events already")
    events = guest_doors.events_of(host, name)
    listener = events.subscribe(types)
    listening.add(listener)
    try:
        socket = await WebSocket.accept(request)
        async with asyncio.TaskGroup() as tasks:

            async def notice_the_end() -> None:
                while await socket.receive() is not None:
                    pass
                events.unsubscribe(listener)

            reader = tasks.create_task(notice_the_end(), name="guest events reader")
            async for event in listener:
                await socket.send(msgspec.json.encode(event).decode())
            reader.cancel()
        await socket.close()
    finally:
        listening.discard(listener)
        events.unsubscribe(listener)
    return socket.response
