"""A start: what is chosen for it is what is remembered."""

from msgspec.structs import replace

from tests.fakes import FakeDevice
from tests.unit.api.test_profiles import ROOT, add_container
from wardian.core import containers, starts
from wardian.core.host import Host

NIC = {"type": "nic", "nictype": "p2p"}


async def test_the_address_and_names_of_a_nic_are_chosen_once(host: Host) -> None:
    driver = host.devices["nic"]
    assert isinstance(driver, FakeDevice)
    await add_container(host, "c1")
    bare = await host.records.containers.get("c1")
    await host.records.containers.replace(replace(bare, devices={"root": ROOT, "eth0": NIC}))
    volume = containers.volume("c1")
    await host.storage.get("default").create(volume)
    host.storage.get("default").path(volume).mkdir(parents=True, exist_ok=True)
    await starts.start(host, "c1")
    kept = (await host.records.containers.get("c1")).config
    assert driver.volatile.keys() == {"hwaddr", "host_name", "name"}
    assert {key: kept[f"volatile.eth0.{key}"] for key in driver.volatile} == driver.volatile
