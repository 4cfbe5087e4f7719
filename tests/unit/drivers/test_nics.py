"""What is asked of ip, tc and nft for nics: golden texts, and no value adds a line."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.drivers.devices import nic
from wardian.drivers.devices.nics import filters, links, rates
from wardian.errors import InvalidInput
from wardian.linux import iproute
from wardian.model import nics
from wardian.model.plans import DevicePlan, Nic
from wardian.ports.runtime import Started

PAIR = Nic("bridged", "eth0", parent="br0", host_name="veth1", hwaddr="00:16:3e:00:00:01", mtu="1400")
ROUTED = Nic("routed", "eth0", parent="wan0", host_name="veth1", addresses=("198.51.100.7", "2001:db8::7"))
PHYSICAL = Nic("physical", "wan0", parent="enp1s0", parent_mtu="1500", parent_hwaddr="52:54:00:00:00:01")
THERE = "/proc/self/fd/9"


def text(commands: iproute.Commands) -> list[str]:
    return iproute.batch_text(commands).splitlines()


def test_a_pair_is_made_with_its_far_end_ready_in_the_container() -> None:
    assert text(links.make(PAIR, THERE)) == [
        "link add dev veth1 mtu 1400 type veth peer name eth0 netns /proc/self/fd/9 "
        "address 00:16:3e:00:00:01 mtu 1400"
    ]
    assert text(links.host_up(PAIR)) == ["link set dev veth1 master br0", "link set dev veth1 up"]
    assert text(links.inside_up(PAIR)) == ["link set dev eth0 up"]
    assert list(links.sysctls(PAIR)) == [("net/ipv6/conf/veth1/disable_ipv6", "1")]


def test_a_routed_pair_has_ways_to_and_fro() -> None:
    assert text(links.routes(ROUTED)) == [
        "addr replace 169.254.0.1/32 dev veth1 scope link",
        "addr replace fe80::1/128 dev veth1 scope link",
        "route replace 198.51.100.7/32 dev veth1",
        "neigh replace proxy 198.51.100.7 dev wan0",
        "route replace 2001:db8::7/128 dev veth1",
        "neigh replace proxy 2001:db8::7 dev wan0",
    ]
    assert text(links.routes_away(ROUTED)) == [
        "neigh del proxy 198.51.100.7 dev wan0",
        "neigh del proxy 2001:db8::7 dev wan0",
    ]
    assert text(links.inside_up(ROUTED))[1:3] == [
        "addr replace 198.51.100.7/32 dev eth0",
        "addr replace 2001:db8::7/128 dev eth0",
    ]


def test_a_physical_interface_goes_and_comes_back_as_it_was() -> None:
    assert text(links.make(PHYSICAL, THERE))[1] == "link set dev enp1s0 netns /proc/self/fd/9 name wan0"
    assert text(links.take_back(PHYSICAL, "mine", "/proc/1/ns/net")) == [
        "link set dev mine down",
        "link set dev mine mtu 1500",
        "link set dev mine address 52:54:00:00:00:01",
        "link set dev mine netns /proc/1/ns/net name enp1s0",
    ]
    listing: list[dict[str, object]] = [{"ifname": "mine", "address": "52:54:00:00:00:01"}]
    assert links.find(listing, PHYSICAL) == "mine"
    assert links.find([], PHYSICAL) == ""


@given(st.text(max_size=20))
def test_no_value_adds_a_word_or_a_line_for_ip_and_tc(value: str) -> None:
    try:
        made = iproute.batch_text([("link", "set", "dev", value, "up")])
    except InvalidInput:
        return
    assert made.split() == ["link", "set", "dev", value, "up"]
    assert made.count("\n") == 1 and "#" not in made


def test_shaping_is_replaced_in_place() -> None:
    assert text(rates.shaping("veth1", 1000, ())) == [
        "qdisc add dev veth1 root handle 1:0 htb default 10",
        "class replace dev veth1 parent 1:0 classid 1:10 htb rate 1000bit",
    ]
    assert len(rates.shaping("veth1", 1000, {"htb"})) == 1
    assert text(rates.shaping("veth1", 0, {"htb"})) == ["qdisc del dev veth1 root"]
    assert text(rates.shaping("veth1", 0, {"noqueue"})) == []
    both = rates.wanted({"limits.max": "1Mbit", "limits.egress": "5Mbit"})
    assert both == rates.Rates(10**6, 10**6)
    assert rates.wanted({"limits.priority": "7"}) == rates.Rates(priority=7)


def test_policing_and_the_addresses_of_routed_pairs() -> None:
    replaced = "add table netdev wardian_veth1\ndelete table netdev wardian_veth1\n"
    assert rates.policing("veth1", 0) == replaced
    assert rates.policing("veth1", 8000).splitlines()[2:] == [
        "add table netdev wardian_veth1",
        'add chain netdev wardian_veth1 from_container { type filter hook ingress device "veth1" '
        "priority 0; policy accept; }",
        "add rule netdev wardian_veth1 from_container limit rate over 1000 bytes/second "
        "burst 1024 kbytes drop",
    ]
    rules = rates.policing("veth1", 0, ["198.51.100.7"])
    assert "from_container ip saddr != { 198.51.100.7 } drop" in rules
    assert "from_container ip6 saddr != { ::, fe80::/10 } drop" in rules
    assert "from_container ether type ip drop" in rates.policing("veth1", 0, ["2001:db8::7"])


def test_a_priority_is_set_on_arrival_and_again_where_a_packet_is_routed_on() -> None:
    arriving = rates.policing("veth1", 8000, priority=10).splitlines()
    assert arriving[-2].endswith("drop")
    assert arriving[-1] == "add rule netdev wardian_veth1 from_container meta priority set 0:a"
    bridged = rates.sender("veth1", "br0", "00:16:3E:00:00:01")
    routed = rates.routing("veth1", 7, bridged).splitlines()
    assert routed[-1] == (
        'add rule inet wardian_nic_veth1 routed iifname "br0" ether saddr 00:16:3e:00:00:01 '
        "meta priority set 0:7"
    )
    own = rates.routing("veth1", 7, rates.sender("veth1"))
    assert own.endswith('routed iifname "veth1" meta priority set 0:7\n')
    assert "add rule" not in rates.routing("veth1", 0, bridged)


def test_a_guard_is_replaced_whole_and_removed_whole() -> None:
    guard = filters.Guard(
        "00:16:3E:00:00:01",
        (ipaddress.IPv4Address("10.0.0.2"),),
        (ipaddress.IPv6Address("fe80::216:3eff:fe00:1"),),
    )
    lines = filters.rules("veth1", guard).splitlines()
    assert lines[-1] == 'add element bridge wardian_nics nics { "veth1" : jump nic_veth1 }'
    rule = "add rule bridge wardian_nics nic_veth1 "
    rules = [line.removeprefix(rule) for line in lines if line.startswith(rule)]
    assert rules[0] == "ether saddr != 00:16:3e:00:00:01 drop"
    assert "ip saddr != { 10.0.0.2 } drop" in rules
    assert "icmpv6 type { nd-router-advert, nd-redirect } drop" in rules
    assert rules[-1] == "ether type != { ip, arp, ip6 } drop"
    assert filters.no_rules("veth1").endswith("delete chain bridge wardian_nics nic_veth1\n")
    only_mac = filters.rules("veth1", filters.Guard("00:16:3e:00:00:01"))
    assert "10.0.0.2" not in only_mac and "ip saddr" not in only_mac


@given(st.text(max_size=20))
def test_no_name_adds_a_rule(name: str) -> None:
    plain = filters.rules("veth1", filters.Guard("00:16:3e:00:00:01"))
    try:
        made = filters.rules(name, filters.Guard("00:16:3e:00:00:01"))
        bounds = rates.policing(name, 8000)
    except InvalidInput:
        return
    assert made == plain.replace("veth1", name)
    assert bounds == rates.policing("veth1", 8000).replace("veth1", name)


def test_an_address_made_from_a_mac_address() -> None:
    # RFC 4291 appendix A
    assert str(nics.eui64("34:56:78:9a:bc:de", filters.LINK_LOCAL)) == "fe80::3656:78ff:fe9a:bcde"


@pytest.mark.parametrize("kind", ["bridged", "p2p"])
def test_plain_pairs_have_no_routes(kind: str) -> None:
    assert links.routes(PAIR) == [] and links.routes_away(PAIR) == []


# --- the end of a container --------------------------------------------------------------------


@pytest.mark.parametrize("step", ["release", "cut_off"])
async def test_the_pair_of_an_ended_container_goes_at_once(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel is slow to remove it with the namespace; a start that comes sooner fails: File exists."""
    ran: list[str] = []

    async def note(what: str, commands: iproute.Commands, **_: object) -> None:
        ran.extend(text(commands))

    monkeypatch.setattr(iproute, "ip", note)
    monkeypatch.setattr(nic, "_set_sysctls", lambda plan, nic: None)
    (tmp_path / "veth1").mkdir()
    driver = nic.NicDevice(interfaces=tmp_path)
    plan = DevicePlan(device="eth0", nics=(PAIR,))
    await driver.release(plan)
    assert ran == [], "of a start that failed: the name may be taken by something else"
    await driver.connected(plan, Started("c1", 1, 1))
    await getattr(driver, step)(plan)
    await driver.release(plan)
    assert ran == ["link del dev veth1"]
