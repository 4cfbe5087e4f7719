"""What callers with restrictions may use: every route, and what the collections tell them."""

from typing import Any

import pytest

from tests.unit.api.conftest import Caller
from wardian.api import auth, rights
from wardian.api.app import all_routes
from wardian.api.routes import Route
from wardian.core.host import Host
from wardian.errors import Forbidden, NotFound
from wardian.model.access import FULL, Access

SOME = Access(containers=("c1",))
LOOKS = Access(read_only=True)
BOTH = Access(read_only=True, containers=("c1",))
ROUTES = {f"{route.verb} {route.path}": route for route in all_routes() if "instances" not in route.path}
GUESTS = {name for name, route in ROUTES.items() if route.guest}
OWN = "/1.0/containers/{name}"
WITHIN = {
    "GET /",
    "GET /1.0",
    "GET /1.0/events",
    "GET /1.0/operations",
    "GET /1.0/operations/{id}",
    "GET /1.0/operations/{id}/wait",
    "DELETE /1.0/operations/{id}",
    "GET /1.0/containers",
    f"GET {OWN}",
    f"PUT {OWN}",
    *(f"{verb} {OWN}/state" for verb in ("GET", "PUT")),
    f"GET {OWN}/criu",
    f"POST {OWN}/exec",
    *(f"{verb} {OWN}/console" for verb in ("GET", "POST", "DELETE")),
    f"GET {OWN}/logs",
    *(f"{verb} {OWN}/logs/{{file}}" for verb in ("GET", "DELETE")),
    *(f"{verb} {OWN}/files" for verb in ("GET", "HEAD", "POST", "DELETE")),
    *(f"{verb} {OWN}/files/tree" for verb in ("GET", "POST")),
    f"GET {OWN}/metadata",
    f"GET {OWN}/metadata/templates",
    *(f"{verb} {OWN}/snapshots" for verb in ("GET", "POST")),
    *(f"{verb} {OWN}/snapshots/{{snapshot}}" for verb in ("GET", "PUT", "PATCH", "POST", "DELETE")),
    *(f"{verb} {OWN}/backups" for verb in ("GET", "POST")),
    *(f"{verb} {OWN}/backups/{{backup}}" for verb in ("GET", "DELETE")),
    f"GET {OWN}/backups/{{backup}}/export",
}
"""All that who may use some containers may use: a route that is added is not among them by itself."""
CONTENT = {
    f"GET {OWN}/console",
    f"GET {OWN}/files",
    f"HEAD {OWN}/files",
    f"GET {OWN}/files/tree",
    f"GET {OWN}/backups/{{backup}}/export",
    "GET /1.0/images/{fingerprint}/export",
}
"""What only looks like looking."""


def served(access: Access | None) -> set[str]:
    """The routes that serve somebody with this access (None: a guest) as somebody who is trusted."""
    caller = auth.Caller(trusted=access is not None, access=access or FULL)
    found = set()
    for name, route in ROUTES.items():
        container = "c1" if "{name}" in route.path and route.within else ""
        try:
            if rights.check(caller, route, container).trusted:
                found.add(name)
        except Forbidden:
            assert not (route.guest and route.verb == "GET")
    return found


def test_every_route_says_whom_it_serves() -> None:
    looking = {name for name in ROUTES if name.split()[0] in ("GET", "HEAD")} - CONTENT
    assert served(FULL) == set(ROUTES)
    assert served(None) == set()
    assert served(SOME) == WITHIN
    assert served(LOOKS) == looking
    assert served(BOTH) == WITHIN & looking


def test_another_container_is_not_there() -> None:
    route = Route("GET", OWN, handler=None, within=True)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match='container "c2" not found'):
        rights.check(auth.Caller(trusted=True, access=SOME), route, "c2")


@pytest.fixture
def as_one_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every caller from now on have these rights."""

    def become(access: Access) -> None:
        async def identify(*_: Any) -> auth.Caller:
            return auth.Caller(trusted=True, local=True, access=access)

        monkeypatch.setattr(auth, "identify", identify)

    return become


async def test_the_collections_tell_of_ones_own_alone(api: Caller, host: Host, as_one_with: Any) -> None:
    for name in ("c1", "c2"):
        done = await api.run(
            "POST", "/1.0/containers", {"name": name, "profiles": [], "source": {"type": "none"}}
        )
        assert done["status"] == "Success", done
    as_one_with(SOME)
    assert await api.get("/1.0/containers") == ["/1.0/containers/c1"]
    assert [one["name"] for one in await api.get("/1.0/containers?recursion=2")] == ["c1"]
    assert await api.get("/1.0/instances?filter=name eq c2") == []
    assert (await api.get("/1.0"))["config"] == {}
    (shown,) = (await api.get("/1.0/operations?recursion=1"))["success"]
    assert shown["resources"]["containers"] == ["/1.0/containers/c1"]
    for operation in host.operations.all():
        mine = operation.resources == shown["resources"]
        assert (await api.ask("GET", operation.url)).status == (200 if mine else 404)
        assert (await api.ask("GET", f"{operation.url}/wait")).status == (200 if mine else 404)
        assert (await api.ask("DELETE", operation.url)).status == (400 if mine else 404)
    assert (await api.ask("GET", "/1.0/containers/c1")).status == 200
    absent, hidden = [await api.ask("GET", f"/1.0/containers/{name}") for name in ("c3", "c2")]
    assert (absent.status, absent.error.replace("c3", "c2")) == (hidden.status, hidden.error)
    assert await api.get("/1.0/images") == []
    for verb, path in (("GET", "/1.0/profiles"), ("POST", "/1.0/containers"), ("DELETE", OWN)):
        reply = await api.ask(verb, path.format(name="c1"), {} if verb == "POST" else None)
        assert reply.status == 403 and "the containers c1 as they are set up" in reply.error


async def test_how_a_container_is_set_up_stays_as_it_is(api: Caller, host: Host, as_one_with: Any) -> None:
    await api.run("POST", "/1.0/containers", {"name": "c1", "profiles": [], "source": {"type": "none"}})
    await api.run("POST", "/1.0/containers/c1/snapshots", {"name": "s0"})
    as_one_with(SOME)
    url = "/1.0/containers/c1"
    changes = [
        ("PUT", {"config": {"security.privileged": "true"}}),
        ("PUT?dry-run=1", {"restore": "s0"}),
        ("PATCH", {"config": {"user.x": "1"}}),
        ("POST", {"name": "c9"}),
    ]
    for verb, body in changes:
        verb, _, query = verb.partition("?")
        assert (await api.ask(verb, f"{url}?{query}", body)).status == 403
    migration = {"name": "c1/s0", "migration": True}
    assert (await api.ask("POST", f"{url}/snapshots/s0", migration)).status == 403
    assert (await api.run("PUT", url, {"restore": "s0"}))["status"] == "Success"
    as_one_with(FULL)
    await api.ask("PATCH", url, {"config": {"limits.cpu": "1"}})
    as_one_with(SOME)
    done = await api.run("PUT", url, {"restore": "s0"})
    assert "has another configuration" in done["err"]
    assert (await host.records.containers.get("c1")).config["limits.cpu"] == "1"


async def test_events_of_others_are_not_heard(api: Caller, host: Host, as_one_with: Any) -> None:
    as_one_with(SOME)
    async with api.session.ws_connect(f"{api.base}/1.0/events") as socket:
        while not host.events._listeners:
            await host.records.containers.all()
        host.events.lifecycle("container-started", "/1.0/containers/c2")
        host.events.lifecycle("profile-created", "/1.0/profiles/c1")
        host.events.send("logging", {"message": "secret", "level": "info", "context": {}})
        host.operations.start("Other", _nothing, resources={"containers": ["/1.0/containers/c2"]})
        host.events.lifecycle("container-started", "/1.0/containers/c1")
        heard = await socket.receive_json()
    assert heard["metadata"]["source"] == "/1.0/containers/c1"


async def _nothing(_: Any) -> None:
    """Work that is done."""
