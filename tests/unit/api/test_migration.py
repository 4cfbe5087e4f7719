"""The shapes of migration in the API, as clients of LXD send and read them."""

from typing import Any

from tests.unit.api.conftest import Caller
from wardian.core import containers, pools
from wardian.core.host import Host
from wardian.core.pools import PoolWrite
from wardian.model.requests import ContainerCreate, ContainerSource

ASKED: dict[str, Any] = {
    "name": "",
    "migration": True,
    "live": False,
    "container_only": True,
    "instance_only": True,
    "target": None,
    "pool": "",
    "project": "",
    "allow_inconsistent": False,
    "config": None,
    "devices": None,
    "profiles": None,
}


async def with_container(host: Host) -> None:
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    wanted = ContainerCreate(source=ContainerSource(type="none"), name="c1", profiles=[])
    await (await containers.create(host, wanted)).finished.wait()


async def test_a_source_answers_with_the_secrets_of_two_streams(
    host: Host, api: Caller, guest: Caller
) -> None:
    await with_container(host)
    reply = await api.ask("POST", "/1.0/instances/c1", ASKED)
    assert reply.status == 202 and reply.metadata["class"] == "websocket"
    secrets = reply.metadata["metadata"]
    assert set(secrets) == {"control", "fs"}
    path = reply.body["operation"]
    assert (await api.get(path))["metadata"] is None
    for secret in ("", "wrong"):
        assert (await guest.ask("GET", f"{path}/websocket?secret={secret}")).status == 403
    assert (await api.ask("DELETE", path)).status == 200


async def test_what_a_source_cannot_do_is_said(host: Host, api: Caller) -> None:
    await with_container(host)
    for change, error in (
        ({"live": True}, "does not run"),
        ({"pool": "other"}, "pool"),
        ({"bandwidth": "quick"}, "quick"),
        ({"target": {"operation": "http://x"}}, "target.operation"),
        ({"target": {"operation": "https://x/1.0/operations/0a"}}, "Missing control secret"),
    ):
        reply = await api.ask("POST", "/1.0/containers/c1", ASKED | change)
        assert reply.status == 400 and error in reply.error, change
    assert (await api.ask("POST", "/1.0/containers/c2", ASKED)).status == 404
    assert (await api.ask("POST", "/1.0/containers/c1/snapshots/s", ASKED)).status == 404


async def test_a_target_waits_for_the_source_in_the_mode_push(host: Host, api: Caller) -> None:
    await with_container(host)
    wanted = {"name": "c2", "architecture": "x86_64", "profiles": [], "source": {"type": "migration"}}
    reply = await api.ask("POST", "/1.0/containers", wanted)
    assert reply.status == 501 and "source.mode" in reply.error
    push = wanted | {"source": {"type": "migration", "mode": "push"}}
    reply = await api.ask("POST", "/1.0/containers", push)
    assert reply.status == 202 and set(reply.metadata["metadata"]) == {"control", "fs"}
    assert reply.metadata["resources"]["containers"] == ["/1.0/containers/c2"]
    assert (await api.ask("GET", "/1.0/containers/c2")).status == 404
    await api.ask("DELETE", reply.body["operation"])
