import asyncio
from typing import Any

import pytest

from tests.unit.api.conftest import Caller
from wardian.core import server
from wardian.core.host import Host
from wardian.model.container import Pool


async def test_guests_see_the_short_form(guest: Caller) -> None:
    shown = await guest.get("/1.0")
    assert set(shown) == {"api_extensions", "api_status", "api_version", "auth", "public", "auth_methods"}
    assert (shown["auth"], shown["public"], shown["api_version"]) == ("untrusted", False, "1.0")


async def test_trusted_callers_see_where_the_server_runs(api: Caller, host: Host) -> None:
    host.storage.make(Pool(name="default", driver="dir"))
    await host.records.pools.insert(Pool(name="default", driver="dir"))
    await host.records.pools.insert(Pool(name="broken", driver="btrfs"))
    shown = await api.get("/1.0")
    environment = shown["environment"]
    assert (shown["auth"], shown["config"]) == ("trusted", {})
    assert environment["architectures"] == ["x86_64", "i686"]
    assert (environment["driver"], environment["driver_version"]) == ("lxc", "5.0.2")
    assert (environment["kernel"], environment["kernel_version"]) == ("Linux", "6.1")
    assert (environment["storage"], environment["storage_version"]) == ("dir", "1")


async def test_put_replaces_and_patch_merges_the_configuration(api: Caller) -> None:
    first = {"core.https_allowed_origin": "*", "core.https_allowed_headers": "Accept"}
    assert (await api.ask("PUT", "/1.0", {"config": first})).status == 200
    patch = {"config": {"core.https_allowed_methods": "GET", "core.https_allowed_headers": None}}
    assert (await api.ask("PATCH", "/1.0", patch)).status == 200
    merged = {"core.https_allowed_origin": "*", "core.https_allowed_methods": "GET"}
    assert (await api.get("/1.0"))["config"] == merged
    assert (await api.ask("PUT", "/1.0", {"config": {}})).status == 200
    assert (await api.get("/1.0"))["config"] == {}


async def test_a_value_equal_to_its_default_is_not_shown(api: Caller) -> None:
    config = {"images.auto_update_interval": "6", "images.remote_cache_expiry": "5"}
    await api.ask("PUT", "/1.0", {"config": config})
    assert (await api.get("/1.0"))["config"] == {"images.remote_cache_expiry": "5"}


WRONG: list[tuple[Any, str]] = [
    ({"core.nonsense": "1"}, "Bad server config key: 'core.nonsense'"),
    ({"core.proxy_http": 5}, "Invalid value type for 'core.proxy_http'"),
    ({"core.proxy_http": True}, "Invalid value type for 'core.proxy_http'"),
    ({"core.trust_password": False}, "Invalid value type for 'core.trust_password'"),
    ({"images.auto_update_cached": "x"}, 'key "images.auto_update_cached": Invalid value for a boolean: x'),
]


@pytest.mark.parametrize(("config", "message"), WRONG)
async def test_one_wrong_key_leaves_all_as_they_were(api: Caller, config: Any, message: str) -> None:
    await api.ask("PUT", "/1.0", {"config": {"core.https_allowed_origin": "*"}})
    for verb in ("PUT", "PATCH"):
        reply = await api.ask(verb, "/1.0", {"config": {"core.https_allowed_methods": "GET"} | config})
        assert (reply.status, reply.error) == (400, message)
    assert (await api.get("/1.0"))["config"] == {"core.https_allowed_origin": "*"}


async def test_the_trust_password_is_kept_as_a_hash_and_shown_as_true(api: Caller, host: Host) -> None:
    await api.ask("PATCH", "/1.0", {"config": {"core.trust_password": "sesame"}})
    kept = (await host.records.server.get())["core.trust_password"]
    assert len(bytes.fromhex(kept)) == 32 + 64
    assert (await api.get("/1.0"))["config"] == {"core.trust_password": True}
    # What was shown can be sent back and changes nothing; an empty one removes it.
    await api.ask("PUT", "/1.0", {"config": {"core.trust_password": True}})
    assert (await host.records.server.get())["core.trust_password"] == kept
    await api.ask("PUT", "/1.0", {"config": {"core.trust_password": ""}})
    assert await host.records.server.get() == {}


async def test_true_for_a_password_that_is_not_set_sets_none(api: Caller, host: Host) -> None:
    await api.ask("PUT", "/1.0", {"config": {"core.trust_password": True}})
    assert await host.records.server.get() == {}


async def test_if_match_refuses_a_configuration_that_was_changed_meanwhile(api: Caller) -> None:
    seen = (await api.ask("GET", "/1.0")).headers["ETag"]
    change = {"config": {"core.https_allowed_origin": "*"}}
    assert (await api.ask("PUT", "/1.0", change, headers={"If-Match": seen})).status == 200
    reply = await api.ask("PATCH", "/1.0", change, headers={"If-Match": seen})
    assert reply.status == 412


async def test_concurrent_patches_all_arrive(api: Caller, host: Host) -> None:
    changes = [("core.https_allowed_origin", "*"), ("core.https_allowed_methods", "GET")]
    changes += [("images.remote_cache_expiry", "1"), ("core.proxy_http", "http://proxy:3128")]
    replies = await asyncio.gather(
        *(api.ask("PATCH", "/1.0", {"config": {key: value}}) for key, value in changes)
    )
    assert [reply.status for reply in replies] == [200] * len(changes)
    assert await host.records.server.get() == dict(changes)


async def test_ready_is_answered_once_the_containers_that_are_due_are_started(
    api: Caller, host: Host
) -> None:
    host.started.clear()
    question = asyncio.create_task(api.ask("GET", "/internal/ready"))
    await api.get("/1.0")
    assert not question.done()
    host.started.set()
    assert (await question).status == 200


async def test_setup_mode_is_left_once_and_holds_up_changes_of_state(api: Caller, host: Host) -> None:
    host.opened.clear()
    start = asyncio.create_task(api.ask("PUT", "/1.0/containers/none/state", {"action": "start"}))
    await api.get("/1.0")
    assert not start.done()
    assert (await api.ask("PUT", "/internal/ready")).status == 200
    assert (await start).status == 404
    again = await api.ask("PUT", "/internal/ready")
    assert (again.status, again.error) == (500, "The server isn't currently in setup mode")


async def test_shutdown_ends_the_daemon_even_before_it_is_ready(api: Caller, host: Host) -> None:
    stopped = asyncio.Event()
    host.stop = stopped.set
    host.ready.clear()
    assert (await api.ask("PUT", "/internal/shutdown")).status == 200
    await stopped.wait()
    assert host.going_down


def test_no_extension_is_announced_twice() -> None:
    assert len(set(server.EXTENSIONS)) == len(server.EXTENSIONS)
