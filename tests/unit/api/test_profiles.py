import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes import Faults
from tests.unit.api.conftest import Caller
from wardian.core.host import Host
from wardian.model.container import Container, Pool

ROOT = {"type": "disk", "path": "/", "pool": "default"}


async def add_container(host: Host, name: str, *profiles: str, **config: str) -> None:
    if await host.records.pools.find("default") is None:
        await host.records.pools.insert(Pool(name="default", driver="dir"))
        host.storage.make(Pool(name="default", driver="dir"))
    await host.records.containers.insert(
        Container(
            name=name,
            architecture="x86_64",
            created_at=datetime.now(UTC),
            pool="default",
            profiles=list(profiles),
            devices={"root": ROOT},
            config=config,
        )
    )


async def test_a_profile_is_made_listed_shown_and_deleted(api: Caller) -> None:
    body = {"name": "web", "description": "d", "config": {"limits.cpu": "2"}, "devices": {"root": ROOT}}
    reply = await api.ask("POST", "/1.0/profiles", body)
    assert (reply.status, reply.headers["Location"], reply.metadata) == (201, "/1.0/profiles/web", None)
    assert await api.get("/1.0/profiles") == ["/1.0/profiles/web"]
    assert await api.get("/1.0/profiles?recursion=1") == [body | {"used_by": []}]
    assert await api.get("/1.0/profiles/web") == body | {"used_by": []}
    assert (await api.ask("DELETE", "/1.0/profiles/web")).status == 200
    reply = await api.ask("GET", "/1.0/profiles/web")
    assert (reply.status, reply.error) == (404, 'profile "web" not found')


WRONG: list[tuple[Any, str]] = [
    ({}, "No name provided"),
    ({"name": "a/b"}, "Profile names may not contain slashes"),
    ({"name": ".."}, "Invalid profile name '..'"),
    ({"name": "taken"}, "The profile already exists"),
    (
        {"name": "p", "config": {"volatile.x.hwaddr": "y"}},
        "volatile.x.hwaddr: Volatile keys can only be set on containers.",
    ),
    (
        {"name": "p", "config": {"limits.cpu": 2}},
        'field "config.limits.cpu": expected string or null, got int',
    ),
    ({"name": "p", "confg": {}}, 'unknown field "confg"'),
]


@pytest.mark.parametrize(("body", "message"), WRONG)
async def test_a_wrong_profile_is_refused(api: Caller, body: Any, message: str) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "taken"})
    reply = await api.ask("POST", "/1.0/profiles", body)
    assert (reply.status, reply.error) == (400, message)
    assert await api.get("/1.0/profiles") == ["/1.0/profiles/taken"]


async def test_put_replaces_and_patch_merges(api: Caller) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p", "description": "d", "config": {"user.a": "1"}})
    patch = {"config": {"user.b": "2", "user.a": None}, "devices": {"root": ROOT}}
    assert (await api.ask("PATCH", "/1.0/profiles/p", patch)).status == 200
    shown = await api.get("/1.0/profiles/p")
    assert (shown["description"], shown["config"], shown["devices"]) == (
        "d",
        {"user.b": "2"},
        {"root": ROOT},
    )
    assert (await api.ask("PUT", "/1.0/profiles/p", {"description": "e"})).status == 200
    shown = await api.get("/1.0/profiles/p")
    assert (shown["description"], shown["config"], shown["devices"]) == ("e", {}, {})


async def test_what_get_shows_can_be_put_back(api: Caller) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p", "config": {"user.a": "1"}})
    before = await api.ask("GET", "/1.0/profiles/p")
    tag = {"If-Match": before.headers["ETag"]}
    assert (await api.ask("PUT", "/1.0/profiles/p", before.metadata, headers=tag)).status == 200
    assert (await api.ask("GET", "/1.0/profiles/p")).body == before.body


async def test_of_two_editors_of_one_version_the_second_is_refused(api: Caller) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p"})
    tag = {"If-Match": (await api.ask("GET", "/1.0/profiles/p")).headers["ETag"]}
    edits = [api.ask("PUT", "/1.0/profiles/p", {"description": text}, headers=tag) for text in "ab"]
    assert sorted(reply.status for reply in await asyncio.gather(*edits)) == [200, 412]


async def test_a_profile_tells_who_uses_it_and_stays_while_it_is_used(api: Caller, host: Host) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p"})
    await add_container(host, "c1", "p")
    assert (await api.get("/1.0/profiles/p"))["used_by"] == ["/1.0/containers/c1"]
    reply = await api.ask("DELETE", "/1.0/profiles/p")
    assert (reply.status, reply.error) == (400, "Profile is currently in use")
    assert await host.records.profiles.find("p") is not None


async def test_a_change_that_breaks_a_container_is_refused_and_leaves_the_profile(
    api: Caller, host: Host
) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p", "config": {"user.a": "1"}})
    await add_container(host, "c1", "p")
    isolated = {"security.idmap.isolated": "true", "security.idmap.size": "99999999"}
    reply = await api.ask("PATCH", "/1.0/profiles/p", {"config": isolated})
    assert reply.status == 400
    assert reply.error == (
        'profile "p" would break container "c1": Not enough uid/gid available for the container.'
    )
    assert (await api.get("/1.0/profiles/p"))["config"] == {"user.a": "1"}


async def test_a_container_that_is_broken_anyway_does_not_hold_a_profile_back(
    api: Caller, host: Host
) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "p"})
    await add_container(host, "c1", "p", "gone")
    await api.ask("POST", "/1.0/profiles", {"name": "q"})
    await add_container(host, "c2", "q")
    assert (await api.ask("PATCH", "/1.0/profiles/q", {"config": {"user.a": "1"}})).status == 200


async def test_containers_follow_when_their_profile_gets_another_name(api: Caller, host: Host) -> None:
    for name in ("a", "b"):
        await api.ask("POST", "/1.0/profiles", {"name": name, "config": {"user.a": name}})
    await add_container(host, "c1", "b", "a")
    await add_container(host, "c2", "b")
    reply = await api.ask("POST", "/1.0/profiles/a", {"name": "z"})
    assert (reply.status, reply.headers["Location"]) == (201, "/1.0/profiles/z")
    assert (await host.records.containers.get("c1")).profiles == ["b", "z"]
    assert (await host.records.containers.get("c2")).profiles == ["b"]
    assert [profile.name for profile in await host.records.profiles.all()] == ["b", "z"]
    assert (await host.records.profiles.get("z")).config == {"user.a": "a"}


async def test_a_name_that_is_taken_is_refused(api: Caller) -> None:
    for name in ("a", "b"):
        await api.ask("POST", "/1.0/profiles", {"name": name})
    reply = await api.ask("POST", "/1.0/profiles/a", {"name": "b"})
    assert (reply.status, reply.error) == (409, 'profile "b" already exists')
    assert await api.get("/1.0/profiles") == ["/1.0/profiles/a", "/1.0/profiles/b"]


async def test_a_profile_is_not_renamed_while_an_action_holds_one_of_its_containers(
    api: Caller, host: Host
) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "a"})
    await add_container(host, "c1", "a")
    async with host.operations.lock("c1", "start"):
        reply = await api.ask("POST", "/1.0/profiles/a", {"name": "z"})
    assert (reply.status, reply.error) == (400, "Container is busy running a start operation")
    assert await api.get("/1.0/profiles") == ["/1.0/profiles/a"]


async def test_a_rename_that_fails_changes_nothing(api: Caller, host: Host, faults: Faults) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "a"})
    await add_container(host, "c1", "a")
    faults.fail_at = len(faults.steps)
    assert (await api.ask("POST", "/1.0/profiles/a", {"name": "z"})).status == 500
    assert (await host.records.containers.get("c1")).profiles == ["a"]
    assert await api.get("/1.0/profiles") == ["/1.0/profiles/a"]


async def test_the_default_profile_keeps_its_name_and_stays(api: Caller) -> None:
    await api.ask("POST", "/1.0/profiles", {"name": "default"})
    assert (await api.ask("POST", "/1.0/profiles/default", {"name": "x"})).status == 400
    assert (await api.ask("DELETE", "/1.0/profiles/default")).status == 400
