import asyncio
from typing import Any

import pytest

from tests.unit.api.conftest import Caller
from wardian.api import app, server
from wardian.core.host import Host
from wardian.errors import HostFailed


async def test_the_root_lists_the_versions_and_is_open_to_all(api: Caller, guest: Caller) -> None:
    assert await api.get("/") == ["/1.0"]
    assert await guest.get("/") == ["/1.0"]


async def test_a_sync_answer_has_the_whole_envelope(api: Caller) -> None:
    reply = await api.ask("GET", "/")
    assert reply.headers["Content-Type"].startswith("application/json")
    assert reply.body == {
        "type": "sync",
        "status": "Success",
        "status_code": 200,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": ["/1.0"],
    }


@pytest.mark.parametrize("path", ["/nothing", "/1.0/", "/2.0", "/1.0/nothing", "/1.0/containers/c1/nothing"])
async def test_an_unknown_path_is_not_found(api: Caller, path: str) -> None:
    reply = await api.ask("GET", path)
    assert (reply.status, reply.body) == (404, {"type": "error", "error": "not found", "error_code": 404})
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("verb", "path"), [("DELETE", "/1.0"), ("PUT", "/1.0/profiles"), ("PATCH", "/"), ("POST", "/1.0/events")]
)
async def test_a_verb_that_a_path_does_not_have_is_not_implemented(
    api: Caller, verb: str, path: str
) -> None:
    reply = await api.ask(verb, path)
    assert (reply.status, reply.error) == (501, "not implemented")


async def test_a_verb_that_nothing_has_is_not_found(api: Caller) -> None:
    assert (await api.ask("PROPFIND", "/1.0")).status == 404


def test_every_route_of_containers_is_there_for_instances_too() -> None:
    routes = {(route.verb, route.path): route.handler for route in app.all_routes()}
    of_containers = {key: h for key, h in routes.items() if key[1].startswith("/1.0/containers")}
    assert of_containers
    for (verb, path), handler in of_containers.items():
        assert routes[(verb, path.replace("containers", "instances"))] is handler


OPEN_TO_GUESTS = {
    "/",
    "/1.0",
    "/1.0/images",
    "/1.0/images/{fingerprint}",
    "/1.0/images/{fingerprint}/export",
    "/1.0/images/aliases/{name:.+}",
    "/1.0/operations/{id}/websocket",
}


def test_guests_may_read_what_the_specification_opens_to_them_and_ask_to_be_trusted() -> None:
    reading = {("GET", path) for path in OPEN_TO_GUESTS}
    assert {(r.verb, r.path) for r in app.all_routes() if r.guest} == reading | {
        ("POST", "/1.0/certificates")
    }


@pytest.mark.parametrize(
    ("verb", "path"),
    sorted({(r.verb, r.path) for r in app.all_routes() if not r.guest} | {("DELETE", "/1.0"), ("PUT", "/")}),
)
async def test_everything_else_is_forbidden_to_guests(guest: Caller, verb: str, path: str) -> None:
    reply = await guest.ask(verb, path.replace("{", "").replace("}", "").replace(":.+", ""))
    assert reply.status == 403
    assert verb == "HEAD" or reply.error == "not authorized"


async def test_options_answers_any_path_with_the_configured_headers_only(api: Caller, guest: Caller) -> None:
    config = {"core.https_allowed_origin": "https://a.example", "core.https_allowed_methods": "GET, PUT"}
    assert (await api.ask("PUT", "/1.0", {"config": config})).status == 200
    for caller, path in ((api, "/1.0/containers"), (guest, "/nothing")):
        reply = await caller.ask("OPTIONS", path, headers={"Origin": "https://a.example"})
        assert (reply.status, reply.body) == (200, {})
        assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert reply.headers["Access-Control-Allow-Methods"] == "GET, PUT"
        assert "Access-Control-Allow-Headers" not in reply.headers
    assert "Access-Control-Allow-Origin" not in (await api.ask("GET", "/1.0")).headers
    errors = await api.ask("GET", "/nothing", headers={"Origin": "https://a.example"})
    assert errors.headers["Access-Control-Allow-Origin"] == "https://a.example"


async def test_changes_wait_for_the_end_of_start_up_and_reading_does_not(api: Caller, host: Host) -> None:
    host.ready.clear()
    assert await api.get("/1.0/profiles") == []
    change = asyncio.create_task(api.ask("POST", "/1.0/profiles", {"name": "p1"}))
    await api.get("/1.0/profiles")
    assert not change.done()
    host.ready.set()
    assert (await change).status == 201


async def test_an_unexpected_failure_is_one_line_for_the_caller_and_a_trace_in_the_log(
    api: Caller, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("wardian.core.server.guest_view", fail)
    reply = await api.ask("GET", "/1.0")
    assert (reply.status, reply.error) == (500, "internal error: ZeroDivisionError: oops")
    assert [record.message for record in caplog.records] == ["GET /1.0 failed"]
    assert server.get.__name__ in caplog.text


async def test_a_failure_of_the_host_is_told_with_its_own_text(
    api: Caller, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Host) -> None:
        raise HostFailed('disk "sda" is gone')

    monkeypatch.setattr("wardian.core.profiles.every", fail)
    reply = await api.ask("GET", "/1.0/profiles")
    assert (reply.status, reply.error) == (500, 'disk "sda" is gone')
