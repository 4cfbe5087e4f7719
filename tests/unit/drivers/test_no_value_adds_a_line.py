"""Values that are accepted stay values: in dnsmasq's files, nft's rules and the commands of ip and tc."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from wardian.drivers.bridge import dnsmasq, firewall
from wardian.drivers.devices import nic, proxy
from wardian.drivers.devices.forwarding import nat
from wardian.drivers.devices.nics import filters, links, rates
from wardian.errors import InvalidInput
from wardian.linux import iproute
from wardian.model import devices, network, nics
from wardian.model.device_table import NIC_TYPES, DeviceType
from wardian.model.idmap import IdMap
from wardian.ports.network import Reservation
from wardian.ports.runtime import DeviceContext

FOLDER = Path("/nets/br0")
DIRECTIVES = {
    line.partition("=")[0]
    for config in (
        {"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64"},
        {"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64", "ipv6.dhcp.stateful": "true"},
    )
    for line in dnsmasq.config_text("br0", config, FOLDER, "nobody").splitlines()
}
BITS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["\n", "\r", "\0", ";", "}", "{", '"', ",", "#", "=", " ", "/", ":", "::1", "\u2028"]),
    st.sampled_from(
        ["10.1.2.3", "fd42::7", "00:16:3e:00:00:01", "lxd", "1", "true", "add rule", "server=1.2.3.4"]
    ),
)
VALUES = st.lists(BITS, max_size=5).map("".join)
STATEMENT = re.compile(
    r"(add|delete|flush) (table|chain|map|rule|element) (bridge wardian_nics|inet wardian_ports"
    r"|netdev wardian_veth1|inet wardian_nic_veth1)\b.*"
)
AROUND = DeviceContext("c1", Path("/devices/c1"), Path("/c1"), IdMap(), {"hwaddr": "00:16:3e:00:00:01"})


@given(name=VALUES, key=st.sampled_from(network.KEYS), value=VALUES)
def test_of_networks(name: str, key: network.NetworkKey, value: str) -> None:
    for called in ("br0", name):
        config = {
            "ipv4.address": "10.1.2.1/24",
            "ipv6.address": "fd42::1/64",
            key.name.replace("*", "x"): value,
        }
        try:
            network.check(called, config)
            text = dnsmasq.config_text(called, config, FOLDER, "nobody")
        except InvalidInput:
            continue
        assert {line.partition("=")[0] for line in text.split("\n") if line} <= DIRECTIVES
        assert text.count("\n") <= len(DIRECTIVES) + 4 and "\r" not in text and "\0" not in text
        assert len(firewall.table_commands(called, config)) <= 15


@given(VALUES, VALUES, st.lists(VALUES, max_size=2))
def test_of_reserved_addresses(hostname: str, hwaddr: str, addresses: list[str]) -> None:
    try:
        text = dnsmasq.hosts_text([Reservation(hostname, hwaddr, tuple(addresses))])
    except (InvalidInput, ValueError):
        return
    assert text.count("\n") == 1 and text.count(",") == 1 + len(addresses)


@given(
    kind=st.sampled_from([kind for kind in NIC_TYPES if kind.name in links.PAIRED]),
    number=st.integers(0, 30),
    value=VALUES,
)
def test_of_nics(kind: DeviceType, number: int, value: str) -> None:
    option = kind.options[number % len(kind.options)]
    address = {"ipv4.address": "10.1.2.3"} if kind.name != "p2p" else {}
    guards = dict.fromkeys(nics.GUARDS, "true") if kind.name == "bridged" else {}
    parent = {"parent": "lo"} if kind.name != "p2p" else {}
    options = {"type": "nic", "nictype": kind.name, "name": "eth0", "host_name": "veth1", **parent}
    options |= {**address, **guards, "limits.egress": "1Mbit", "limits.priority": "5", option.name: value}
    try:
        devices.check({"eth0": options}, expanded=False)
        (found,) = nic.NicDevice().plan("eth0", options, AROUND).nics
        text = rates.policing(found.host_name, found.egress, found.addresses, found.priority)
        text += rates.routing(found.host_name, found.priority, rates.sender(found.host_name))
        text += filters.rules(found.host_name, nic._guard(found)) if found.guarded else ""
        commands = [*links.make(found, "/proc/self/fd/9"), *links.host_up(found), *links.inside_up(found)]
        commands += [*links.routes(found), *rates.shaping(found.host_name, found.ingress, ())]
        batch = iproute.batch_text(commands)
    except InvalidInput:
        return
    check_statements(text.replace(found.host_name, "veth1"))
    assert batch.count("\n") == len(commands)


@given(option=st.sampled_from(["listen", "connect"]), value=VALUES)
def test_of_ports(option: str, value: str) -> None:
    options = {"type": "proxy", "nat": "true", "listen": "tcp:192.0.2.1:80", "connect": "tcp:10.0.0.2:80"}
    options[option] = value
    try:
        devices.check({"web": options}, expanded=False)
        ports = proxy.ProxyDevice(Path("/c"), Path("/l")).plan("web", options, AROUND).ports
    except InvalidInput:
        return
    check_statements(nat.no_rules(ports))


def check_statements(text: str) -> None:
    """Each line is one statement of ours; a `;` stands only where chains and maps are declared."""
    for line in text.split("\n"):
        assert not line or STATEMENT.fullmatch(line), line
        declared = {"add chain": 2, "add map": 1}.get(" ".join(line.split(" ")[:2]), 0)
        assert line.count(";") in (0, declared), line
