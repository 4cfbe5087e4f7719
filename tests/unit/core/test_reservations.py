"""Addresses that DHCP keeps: what follows from the records, and who is refused."""

import ipaddress
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.fakes import FakeBridge
from wardian.core import reservations
from wardian.core.host import Host
from wardian.errors import HostFailed, InvalidInput
from wardian.model import nics
from wardian.model.container import Container, Network, Profile
from wardian.ports.network import Reservation
from wardian.ports.runtime import Started

GUARDED = {"security.ipv4_filtering": "true"}
NIC = {"type": "nic", "nictype": "bridged", "parent": "br0"}


def container(name: str, number: int, **options: str) -> Container:
    return Container(
        name=name,
        architecture="x86_64",
        created_at=datetime.now(UTC),
        pool="default",
        config={"volatile.eth0.hwaddr": f"00:16:3e:00:00:0{number}"},
        devices={"eth0": {**NIC, **options}} if options else {},
        profiles=[] if options else ["shared"],
    )


@pytest.fixture
async def network(host: Host) -> Network:
    made = Network(name="br0", config={"ipv4.address": "10.0.0.1/24", "ipv6.address": "none"})
    await host.records.networks.insert(made)
    return made


def kept(host: Host) -> list[Reservation]:
    assert isinstance(host.bridge, FakeBridge)
    return host.bridge.reserved.get("br0", [])


async def test_all_that_the_records_name_is_kept(host: Host, network: Network) -> None:
    for number, name in enumerate(("c1", "c2"), 1):
        await host.records.containers.insert(
            container(name, number, **{"ipv4.address": f"10.0.0.{number}0"})
        )
    await host.records.containers.insert(container("c3", 3))
    await reservations.settle_all(host)
    assert kept(host) == [
        Reservation("c1", "00:16:3e:00:00:01", ("10.0.0.10",)),
        Reservation("c2", "00:16:3e:00:00:02", ("10.0.0.20",)),
    ]
    gone = await host.records.containers.get("c1")
    await host.records.containers.delete("c1")
    await reservations.release(host, gone)
    assert [found.hostname for found in kept(host)] == ["c2"]
    assert isinstance(host.bridge, FakeBridge)
    assert host.bridge.given_back == [("br0", "00:16:3e:00:00:01")]


async def test_an_address_from_a_profile_counts(host: Host, network: Network) -> None:
    shared = Profile(name="shared", devices={"eth0": {**NIC, "ipv4.address": "10.0.0.9"}})
    await host.records.profiles.insert(shared)
    await host.records.containers.insert(container("c1", 1))
    await reservations.settle_all(host)
    assert [found.addresses for found in kept(host)] == [("10.0.0.9",)]


async def test_the_one_who_runs_has_it(host: Host, network: Network) -> None:
    rivals = [
        container(name, number, **{"ipv4.address": "10.0.0.9"}) for number, name in ((1, "a"), (2, "b"))
    ]
    for rival in rivals:
        await host.records.containers.insert(rival)
    host.running["b"] = Started("b", 0, 0)
    await reservations.settle_all(host)
    assert [found.hostname for found in kept(host)] == ["b"]
    with pytest.raises(InvalidInput, match='container "b" runs with the same address'):
        await reservations.settle(host, rivals[0], rivals[0].devices)
    del host.running["b"]
    await reservations.settle(host, rivals[0], rivals[0].devices)
    assert [found.hostname for found in kept(host)] == ["a"]


@pytest.mark.parametrize("address", ["10.0.1.2", "10.0.0.0", "10.0.0.255", "10.0.0.1"])
async def test_an_address_must_be_one_of_the_network(host: Host, network: Network, address: str) -> None:
    wrong = container("c1", 1, **{"ipv4.address": address})
    with pytest.raises(InvalidInput, match=r"is not an address of \"br0\" \(10.0.0.0/24\)"):
        await reservations.settle(host, wrong, wrong.devices)
    assert kept(host) == []


async def test_a_nic_that_may_use_one_address_only_gets_one(host: Host, network: Network) -> None:
    first = container("a", 1, **GUARDED)
    key = "volatile.eth0.ipv4.address"
    chosen = await reservations.choose(host, first, first.devices)
    assert chosen == {key: "10.0.0.2"}, "the lease that it has"
    first = replace(first, config=first.config | chosen)
    await host.records.containers.insert(first)
    await reservations.settle(host, first, first.devices)
    assert kept(host) == [Reservation("a", "00:16:3e:00:00:01", ("10.0.0.2",))]
    second = container("b", 2, **GUARDED)
    second = replace(second, config={**second.config, key: "10.0.0.2"})
    address = (await reservations.choose(host, second, second.devices))[key]
    assert address != "10.0.0.2" and nics.is_in(address, ipaddress.ip_network("10.0.0.0/24"))
    second = replace(second, config={**second.config, key: address})
    assert await reservations.choose(host, second, second.devices) == {key: address}
    assert (
        await reservations.choose(host, second, {"eth0": {**NIC, **GUARDED, "ipv4.address": "none"}}) == {}
    )


async def test_with_dhcpv6_it_is_the_address_that_it_gives_itself_elsewhere(
    host: Host, network: Network
) -> None:
    guarded = container("a", 1, **{"security.ipv6_filtering": "true"})
    assert await reservations.choose(host, guarded, guarded.devices) == {}
    stateful = {"ipv6.address": "fd42::1/64", "ipv6.dhcp.stateful": "true"}
    await host.records.networks.replace(replace(network, config=stateful))
    chosen = await reservations.choose(host, guarded, guarded.devices)
    assert chosen == {"volatile.eth0.ipv6.address": "fd42::216:3eff:fe00:1"}


@pytest.mark.parametrize("config", [None, {"ipv4.address": "none"}, {"ipv4.dhcp": "false"}])
async def test_without_dhcp_the_address_must_be_given(host: Host, config: dict[str, str] | None) -> None:
    if config is not None:
        await host.records.networks.insert(
            Network(name="br0", config={"ipv4.address": "10.0.0.1/24", **config})
        )
    with pytest.raises(InvalidInput, match=r'needs "ipv4.address" \(or "none"\): "br0" is not a managed'):
        await reservations.check(host, {"eth0": {**NIC, **GUARDED}})
    await reservations.check(host, {"eth0": {**NIC, **GUARDED, "ipv4.address": "none"}})


@given(taken=st.sets(st.integers(0, 15)), seed=st.integers(0, 99))
def test_an_address_is_found_as_long_as_there_is_one(taken: set[int], seed: int) -> None:
    subnet = ipaddress.ip_network("10.0.0.0/28")
    used = {str(subnet[number]) for number in taken}
    try:
        found = nics.free_address("br0", subnet, used, random.Random(seed))
    except HostFailed:
        assert set(range(1, 15)) <= taken
        return
    assert found not in used and nics.is_in(found, subnet)
