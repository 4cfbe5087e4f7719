"""What this host cannot give is told when it is configured, not at the next start."""

from tests.fakes import FakeDevice, FakeRuntime
from tests.unit.api.conftest import Caller
from tests.unit.api.test_profiles import ROOT, add_container
from wardian.core.host import Host

FOREIGN = {"raw.idmap": "both 1000 1000"}


async def test_ids_that_are_not_root_s_are_refused_by_every_way(host: Host, api: Caller) -> None:
    assert isinstance(host.runtime, FakeRuntime)
    host.runtime.foreign_ids.add(1000)
    await api.ask("POST", "/1.0/profiles", {"name": "p1"})
    await add_container(host, "c1", "p1")
    for verb, path, body in (
        ("PATCH", "/1.0/containers/c1", {"config": FOREIGN}),
        ("PATCH", "/1.0/containers/c1?dry-run=1", {"config": FOREIGN}),
        ("PATCH", "/1.0/profiles/p1", {"config": FOREIGN}),
        (
            "POST",
            "/1.0/containers",
            {"name": "c2", "source": {"type": "none"}, "config": FOREIGN, "profiles": []},
        ),
    ):
        reply = await api.ask(verb, path, body)
        assert (reply.status, "not root's to hand out" in reply.error) == (400, True), (path, reply)


async def test_a_map_that_was_right_does_not_hinder_other_changes(host: Host, api: Caller) -> None:
    assert isinstance(host.runtime, FakeRuntime)
    await add_container(host, "c1")
    await api.run("PUT", "/1.0/containers/c1", {"config": FOREIGN, "devices": {"root": ROOT}})
    host.runtime.foreign_ids.add(1000)  # somebody took the line out of /etc/subuid
    assert (await api.ask("PATCH", "/1.0/containers/c1", {"config": {"user.a": "b"}})).status == 200


async def test_only_devices_that_are_new_or_changed_are_looked_for(host: Host, api: Caller) -> None:
    node = {"type": "unix-char", "path": "/dev/z"}
    driver = host.devices["unix-char"]
    assert isinstance(driver, FakeDevice)
    await add_container(host, "c1")
    await api.ask("PATCH", "/1.0/containers/c1", {"devices": {"z": node}})
    await api.ask("PATCH", "/1.0/containers/c1", {"config": {"user.a": "b"}})
    assert driver.checked == ["z"]
    await api.ask("PATCH", "/1.0/containers/c1", {"devices": {"z": {**node, "uid": "1"}}})
    await api.ask("POST", "/1.0/profiles", {"name": "p1", "devices": {"y": node}})
    assert driver.checked == ["z", "z", "y"]
