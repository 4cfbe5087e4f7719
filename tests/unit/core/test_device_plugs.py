"""Devices of running containers: a change is made as a whole or not at all, whatever fails when."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.fakes import FakeDevice, Faults
from wardian.core import device_plugs
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import HostFailed
from wardian.model.container import Container, Devices, Pool
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan
from wardian.ports.runtime import DeviceContext, Started

STARTED = Started("c1", monitor_pid=1000, init_pid=1001)
IDMAP = IdMap.contiguous(1_000_000, 65536)
CONTAINER = Container(name="c1", architecture="x86_64", created_at=datetime.now(UTC), pool="default")
ROOT = {"type": "disk", "path": "/", "pool": "default"}


def disk(path: str, **options: str) -> dict[str, str]:
    return {"type": "disk", "path": path, "source": "/srv", **options}


class Machine(FakeDevice):
    """Knows what is prepared and attached; steps fail as told, when taken, not when taken back."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.prepared: set[str] = set()
        self.attached: dict[str, str] = {}
        self.missing: set[str] = set()

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        return DevicePlan(name if name not in self.missing else f"no {name}")

    async def prepare(self, plan: DevicePlan) -> None:
        await super().prepare(plan)
        self.prepared.add(plan.device)

    async def release(self, plan: DevicePlan) -> None:
        self.prepared.discard(plan.device)

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        await super().attach(plan, started)
        assert plan.device in self.prepared
        self.attached[plan.device] = "attached"

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        await super().detach(plan, started)
        self.attached.pop(plan.device, None)

    async def change(self, old: DevicePlan, new: DevicePlan, started: Started) -> None:
        await super().change(old, new, started)


@pytest.fixture
async def machine(host: Host, faults: Faults) -> Machine:
    """The container c1 runs with the disks `a` and `b`."""
    made = Machine(faults)
    assert isinstance(host.devices, dict)
    host.devices["disk"] = made
    host.storage.make(Pool(name="default", driver="dir"))
    await host.records.containers.insert(CONTAINER)
    plugs = device_plugs.plan_all(host, CONTAINER, BEFORE, IDMAP)
    await device_plugs.prepare(host, "c1", plugs, IDMAP)
    made.attached = dict.fromkeys(("root", "a", "b"), "attached")
    host.running["c1"] = STARTED
    faults.steps.clear()
    return made


BEFORE: Devices = {"root": ROOT, "a": disk("/a"), "b": disk("/b")}
AFTER: Devices = {
    "root": ROOT,
    "b": disk("/b", **{"limits.read": "1MB"}),
    "c": disk("/b/c"),
    "d": disk("/d"),
}


async def follow(host: Host, wanted: Devices) -> None:
    async with Undo() as undo:
        await device_plugs.follow(host, STARTED, CONTAINER, wanted, undo)
        undo.keep()


async def names(host: Host) -> set[str]:
    plugs = await host.records.plugs.get("c1")
    assert all(plug.settled for plug in plugs.now.values())
    return set(plugs.now)


async def test_a_change_is_made_in_order(host: Host, machine: Machine, faults: Faults) -> None:
    await follow(host, AFTER)
    assert set(machine.attached) == await names(host) == {"root", "b", "c", "d"}
    acted = [step for step in faults.steps if step.split()[0] in ("attach", "detach", "change")]
    assert acted == ["detach a", "change b", "attach c", "attach d"]
    assert (await host.records.plugs.get("c1")).at_start.keys() == BEFORE.keys()


async def test_whatever_fails_nothing_has_changed(host: Host, machine: Machine, faults: Faults) -> None:
    await follow(host, AFTER)
    count = len(faults.steps)
    await follow(host, BEFORE)
    for number in range(count):
        faults.steps.clear()
        faults.fail_at = number
        with pytest.raises(HostFailed, match="told to fail"):
            await follow(host, AFTER)
        faults.fail_at = None
        assert set(machine.attached) == await names(host) == set(BEFORE), f"step {number} failed"
        assert machine.prepared == set(BEFORE), f"step {number} failed"


async def test_after_a_reboot_the_present_devices_are_given_back(host: Host, machine: Machine) -> None:
    await follow(host, AFTER)
    machine.attached = dict.fromkeys(BEFORE, "by the runtime")
    await device_plugs.rebooted(host, STARTED)
    assert set(machine.attached) == await names(host) == set(AFTER)


async def test_what_was_cut_short_is_taken_away(host: Host, machine: Machine) -> None:
    plugs = await host.records.plugs.get("c1")
    cut = {**plugs.now, "a": replace(plugs.now["a"], settled=False)}
    await host.records.plugs.put(replace(plugs, now=cut))
    await device_plugs.settle(host, STARTED)
    assert await names(host) == {"root", "b"}
    await follow(host, BEFORE)
    assert set(machine.attached) == await names(host) == set(BEFORE)


async def test_what_follows_the_host_is_planned_anew(host: Host, machine: Machine) -> None:
    assert isinstance(host.devices, dict)
    host.devices["usb"] = machine
    wanted = {**BEFORE, "u": {"type": "usb"}}
    await follow(host, wanted)
    assert await device_plugs.any_follows_host(host, "c1")
    machine.missing.add("u")
    await device_plugs.refresh(host, STARTED, CONTAINER, wanted)
    assert set(machine.attached) == {*BEFORE, "no u"}
    assert await names(host) == set(wanted)


async def test_a_device_that_cannot_be_replaced_stays(
    host: Host, machine: Machine, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(host.devices, dict)
    host.devices["usb"] = machine
    wanted = {**BEFORE, "u": {"type": "usb"}, "v": {"type": "usb"}}
    await follow(host, wanted)
    machine.missing = {"u"}
    faults.steps.clear()
    await device_plugs.refresh(host, STARTED, CONTAINER, wanted)
    count = 1 + next(n for n in range(len(faults.steps) - 1, 0, -1) if faults.steps[n] == "attach no u")
    for number in range(count):
        machine.missing = set()
        await device_plugs.refresh(host, STARTED, CONTAINER, wanted)
        machine.missing = {"u", "v"}
        faults.steps.clear()
        faults.fail_at = number
        await device_plugs.refresh(host, STARTED, CONTAINER, wanted)
        faults.fail_at = None
        assert "told to fail" in caplog.text
        caplog.clear()
        found = set(machine.attached) - set(BEFORE)
        assert found in ({"u", "no v"}, {"no u", "v"}), f"step {number} failed"  # the other one follows
        assert await names(host) == set(wanted)


async def test_the_end_of_a_container_releases_all(host: Host, machine: Machine, tmp_path: Path) -> None:
    await follow(host, AFTER)
    await device_plugs.release(host, "c1")
    assert machine.prepared == set()
    assert await host.records.plugs.find("c1") is None
