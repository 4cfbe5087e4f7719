import asyncio

import aiohttp
import pytest

from tests.unit.api.conftest import Caller
from wardian.core.events import Listener
from wardian.core.host import Host


async def test_a_listener_hears_of_all_types_in_order(api: Caller, host: Host) -> None:
    async with api.session.ws_connect("http://lxd/1.0/events") as socket:
        for number in range(20):
            host.events.lifecycle("container-started", f"/1.0/containers/c{number}")
        heard = [await socket.receive_json() for _ in range(20)]
    assert [event["metadata"]["source"] for event in heard] == [f"/1.0/containers/c{n}" for n in range(20)]
    assert {event["type"] for event in heard} == {"lifecycle"}
    assert heard[0]["timestamp"].endswith("Z")


async def test_a_listener_hears_only_of_the_types_that_it_asks_for(api: Caller, host: Host) -> None:
    async with api.session.ws_connect("http://lxd/1.0/events?type=operation,logging") as socket:
        host.events.lifecycle("container-started", "/1.0/containers/c1")
        host.events.send("logging", {"message": "hello"})
        assert (await socket.receive_json())["metadata"] == {"message": "hello"}


async def test_an_unknown_type_is_refused(api: Caller) -> None:
    reply = await api.ask("GET", "/1.0/events?type=weather")
    assert (reply.status, "weather" in reply.error) == (400, True)


async def test_the_stream_ends_when_the_daemon_goes_down(api: Caller, host: Host) -> None:
    async with api.session.ws_connect("http://lxd/1.0/events") as socket:
        host.events.close()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_listener_that_hangs_up_is_forgotten(
    api: Caller, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = asyncio.Queue[Listener]()
    monkeypatch.setattr(host.events, "unsubscribe", forgotten.put_nowait)
    async with api.session.ws_connect("http://lxd/1.0/events"):
        (listener,) = host.events._listeners
    assert await forgotten.get() is listener
    listener.close()


async def test_a_request_without_an_upgrade_is_told_that_this_is_a_websocket(api: Caller) -> None:
    reply = await api.ask("GET", "/1.0/events")
    assert (reply.status, "websocket" in reply.error) == (400, True)


async def test_each_request_is_in_the_log_without_the_secrets_of_its_query(
    api: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "wardian")
    await api.ask("GET", "/1.0/operations/x/websocket?secret=hush")
    assert "GET /1.0/operations/x/websocket" in caplog.messages
    assert "hush" not in caplog.text
