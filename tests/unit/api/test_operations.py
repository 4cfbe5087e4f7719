import asyncio
from typing import Any

import aiohttp
import pytest

from tests.unit.api.conftest import Caller
from wardian.core.host import Host
from wardian.core.operations import Operation


async def forever(_: Operation) -> None:
    await asyncio.Event().wait()


async def at_once(_: Operation) -> dict[str, Any]:
    return {"done": "yes"}


async def test_operations_are_listed_by_status(api: Caller, host: Host) -> None:
    assert await api.get("/1.0/operations") == {}
    running = host.operations.start("one", forever, resources={"containers": ["/1.0/containers/c1"]})
    ended = host.operations.start("two", at_once)
    await ended.finished.wait()
    assert await api.get("/1.0/operations") == {"running": [running.url], "success": [ended.url]}
    shown = await api.get("/1.0/operations?recursion=1")
    assert shown["running"][0]["description"] == "one"
    assert shown["running"][0]["resources"] == {"containers": ["/1.0/containers/c1"]}
    assert shown["success"][0]["metadata"] == {"done": "yes"}


async def test_wait_returns_the_operation_when_it_ends(api: Caller, host: Host) -> None:
    go = asyncio.Event()

    async def work(_: Operation) -> None:
        await go.wait()

    operation = host.operations.start("one", work)
    waiting = asyncio.create_task(api.get(f"{operation.url}/wait"))
    assert (await api.get(f"{operation.url}/wait?timeout=0"))["status"] == "Running"
    assert not waiting.done()
    go.set()
    ended = await waiting
    assert (ended["status"], ended["status_code"], ended["err"]) == ("Success", 200, "")


async def test_a_timeout_that_is_no_number_is_refused(api: Caller, host: Host) -> None:
    operation = host.operations.start("one", forever)
    reply = await api.ask("GET", f"{operation.url}/wait?timeout=soon")
    assert (reply.status, reply.error) == (400, 'argument "timeout": "soon" is not a number of seconds')


@pytest.mark.parametrize("path", ["", "/wait", "/websocket?secret=x"])
async def test_an_operation_that_is_unknown_is_not_found(api: Caller, path: str) -> None:
    assert (await api.ask("GET", f"/1.0/operations/1234{path}")).status == 404


async def test_cancel_stops_what_may_be_cancelled_and_nothing_else(api: Caller, host: Host) -> None:
    firm = host.operations.start("one", forever)
    soft = host.operations.start("two", forever, may_cancel=True)
    reply = await api.ask("DELETE", firm.url)
    assert (reply.status, reply.error) == (400, "This operation can't be cancelled")
    assert (await api.ask("DELETE", soft.url)).status == 200
    ended = await api.get(f"{soft.url}/wait")
    assert (ended["status"], ended["err"]) == ("Cancelled", "operation cancelled")
    reply = await api.ask("DELETE", soft.url)
    assert (reply.status, reply.error) == (400, "Only running operations can be cancelled")


async def echo(operation: Operation) -> dict[str, Any]:
    socket = await operation.sockets["0"]
    while (frame := await socket.receive()) is not None:
        await socket.send(frame)
    return {"broken": str(socket.broken)}


def start_echo(host: Host) -> tuple[Operation, str]:
    operation = host.operations.start("echo", echo, kind="websocket", sockets=("0",))
    return operation, operation.metadata["fds"]["0"]


async def test_a_guest_with_the_secret_gets_the_stream(guest: Caller, host: Host) -> None:
    operation, secret = start_echo(host)
    url = f"{guest.base}{operation.url}/websocket?secret={secret}"
    async with guest.session.ws_connect(url) as socket:
        await socket.send_bytes(b"\x00data")
        assert (await socket.receive()).data == b"\x00data"
        await socket.send_str("")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, "")
    await operation.finished.wait()
    assert operation.metadata == {"broken": "False"}


async def test_a_caller_who_vanishes_leaves_a_broken_stream(guest: Caller, host: Host) -> None:
    operation, secret = start_echo(host)
    async with aiohttp.ClientSession() as session:
        url = f"{guest.base}{operation.url}/websocket?secret={secret}"
        socket = await session.ws_connect(url)
        transport = socket._conn.transport if socket._conn is not None else None
        assert transport is not None
        transport.abort()
    await operation.finished.wait()
    assert operation.metadata == {"broken": "True"}


async def test_a_wrong_or_used_secret_is_refused_before_the_upgrade(guest: Caller, host: Host) -> None:
    operation, secret = start_echo(host)
    for wrong in ("x", "é", secret[:-1]):
        assert (await guest.ask("GET", f"{operation.url}/websocket?secret={wrong}")).status == 403
    url = f"{guest.base}{operation.url}/websocket?secret={secret}"
    async with guest.session.ws_connect(url):
        assert (await guest.ask("GET", f"{operation.url}/websocket?secret={secret}")).status == 403


async def test_only_running_websocket_operations_can_be_connected(api: Caller, host: Host) -> None:
    task = host.operations.start("one", forever)
    reply = await api.ask("GET", f"{task.url}/websocket?secret=x")
    assert (reply.status, reply.error) == (500, "Only websocket operations can be connected")
    operation, secret = start_echo(host)
    async with api.session.ws_connect(f"http://lxd{operation.url}/websocket?secret={secret}"):
        pass
    await operation.finished.wait()
    reply = await api.ask("GET", f"{operation.url}/websocket?secret={secret}")
    assert (reply.status, reply.error) == (500, "Only running operations can be connected")


async def test_secrets_are_told_to_nobody_but_the_one_who_began(api: Caller, host: Host) -> None:
    listener = host.events.subscribe()
    operation, secret = start_echo(host)
    shown = [await api.get(f"/1.0/operations{end}") for end in ("?recursion=1", f"/{operation.id}")]
    host.events.unsubscribe(listener)
    shown += [event async for event in listener]
    assert len(shown) >= 3
    assert secret not in str(shown)
