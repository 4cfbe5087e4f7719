"""Texts for other programs: what they hold, and that no value can add a line."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.drivers.bridge import dnsmasq, firewall, legacy
from wardian.drivers.runtime import render
from wardian.errors import InvalidInput
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Mount, Nic
from wardian.ports.network import Reservation
from wardian.ports.runtime import StartPlan

AROUND = render.Surroundings(Path("/logs/c1"), Path("/sec/seccomp"), "/bin/sh hook fifo")
NIC = Nic("bridged", "eth0", parent="br0", host_name="veth1", hwaddr="00:16:3e:00:00:01", mtu="1500")
PLAN = StartPlan(
    name="c1",
    architecture="x86_64",
    rootfs=Path("/pool/c1/rootfs"),
    idmap=IdMap.contiguous(1000000, 65536),
    environment={"A": "b"},
    devices=[DevicePlan(nics=(NIC,), mounts=(Mount("/x", "/a b", "srv/x", True),))],
    raw="lxc.x = y",
)
NETWORK = {"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64"}


def keys_of(text: str, key: str) -> list[str]:
    pairs = (line.split(" = ", 1) for line in text.splitlines())
    return [pair[1] for pair in pairs if pair[0] == key]


def test_an_unprivileged_container_has_a_map_and_an_idmapped_root() -> None:
    text = render.container_config(PLAN, AROUND)
    assert keys_of(text, "lxc.idmap") == ["u 0 1000000 65536", "g 0 1000000 65536"]
    assert keys_of(text, "lxc.rootfs.options") == ["idmap=container,nodev"]
    assert keys_of(text, "lxc.cap.drop") == []
    assert keys_of(text, "lxc.cgroup.devices.deny") == ["a"]
    assert keys_of(text, "lxc.seccomp.profile") == ["/sec/seccomp"]
    assert keys_of(text, "lxc.net.0.link") == ["br0"]
    assert keys_of(text, "lxc.environment") == ["A=b"]
    assert r"/a\040b srv/x none bind,create=dir 0 0" in keys_of(text, "lxc.mount.entry")
    assert text.endswith("lxc.x = y\n")


def test_nothing_is_created_in_the_kernels_file_systems() -> None:
    place = Mount("/dev/null", "/d/1", "sys/module/apparmor/parameters/enabled", False)
    text = render.container_config(replace(PLAN, devices=[DevicePlan(mounts=(place,))]), AROUND)
    entry = next(line for line in keys_of(text, "lxc.mount.entry") if "apparmor" in line)
    assert entry.endswith(" sys/module/apparmor/parameters/enabled none bind,optional 0 0")


def test_a_privileged_container_loses_capabilities_and_devices() -> None:
    text = render.container_config(replace(PLAN, idmap=IdMap()), AROUND)
    assert keys_of(text, "lxc.idmap") == []
    assert "sys_module" in keys_of(text, "lxc.cap.drop")[0]
    assert keys_of(text, "lxc.cgroup.devices.deny") == ["a"]


def test_a_container_without_interfaces_gets_an_empty_network() -> None:
    text = render.container_config(replace(PLAN, devices=[]), AROUND)
    assert keys_of(text, "lxc.net.0.type") == ["empty"]


@given(st.text())
def test_no_environment_adds_a_line(value: str) -> None:
    plan = replace(PLAN, environment={"A": value})
    plain = render.container_config(replace(PLAN, environment={"A": ""}), AROUND)
    try:
        text = render.container_config(plan, AROUND)
    except InvalidInput:
        assert any(ord(c) < 32 or ord(c) == 127 for c in value)
        return
    assert text.count("\n") == plain.count("\n")


def test_limits_of_processes_and_kernel_parameters_are_lines_of_their_own() -> None:
    plan = replace(PLAN, kernel_limits={"nofile": (5, -1)}, sysctls={"net.ipv4.ip_forward": "1"})
    text = render.container_config(plan, AROUND)
    assert keys_of(text, "lxc.prlimit.nofile") == ["5:unlimited"]
    assert keys_of(text, "lxc.sysctl.net.ipv4.ip_forward") == ["1"]
    with pytest.raises(InvalidInput):
        render.container_config(replace(PLAN, sysctls={"net.x": "1\nlxc.y = z"}), AROUND)


def test_dnsmasq_serves_the_bridge_alone(tmp_path: Path) -> None:
    text = dnsmasq.config_text("br0", NETWORK, tmp_path, "nobody")
    for line in ("interface=br0", "except-interface=lo", "listen-address=10.1.2.1", "domain=lxd"):
        assert f"{line}\n" in text
    assert "dhcp-range=10.1.2.2,10.1.2.254,255.255.255.0,1h\n" in text
    assert "dhcp-range=::,constructor:br0,ra-stateless,ra-names\n" in text
    assert "rebind" not in text  # names of a company's network have private addresses
    stateful = dnsmasq.config_text("br0", {**NETWORK, "ipv6.dhcp.stateful": "true"}, tmp_path, "nobody")
    assert "dhcp-range=fd42::2,fd42::ffff:ffff:ffff:ffff,64,1h\n" in stateful
    assert "enable-ra\n" not in dnsmasq.config_text(
        "br0", {**NETWORK, "ipv6.address": "none"}, tmp_path, "x"
    )
    with pytest.raises(InvalidInput):
        dnsmasq.config_text("br0", {**NETWORK, "dns.domain": "a\nserver=1.2.3.4"}, tmp_path, "x")


def test_reserved_addresses_are_one_line_each() -> None:
    reserved = [
        Reservation("c2", "00:16:3E:00:00:02", ("10.1.2.9", "fd42::9")),
        Reservation("c1", "00:16:3e:00:00:01", ("10.1.2.8",)),
    ]
    assert dnsmasq.hosts_text(reserved).splitlines() == [
        "00:16:3e:00:00:01,10.1.2.8,c1",
        "00:16:3e:00:00:02,10.1.2.9,[fd42::9],c2",
    ]
    for wrong in (
        Reservation("c1,set:x", "00:16:3e:00:00:01", ()),
        Reservation("c1", "00:16:3e:00:00:01\n", ()),
    ):
        with pytest.raises(InvalidInput):
            dnsmasq.hosts_text([wrong])


def test_a_routed_interface_has_its_addresses_from_the_start() -> None:
    nic = Nic("routed", "eth0", parent="wan0", host_name="veth1", addresses=("198.51.100.7", "2001:db8::7"))
    text = render.container_config(replace(PLAN, devices=[DevicePlan(nics=(nic,))]), AROUND)
    assert keys_of(text, "lxc.net.0.link") == []
    assert keys_of(text, "lxc.net.0.ipv4.address") == ["198.51.100.7/32"]
    assert keys_of(text, "lxc.net.0.ipv6.gateway") == ["fe80::1"]


def test_our_table_is_replaced_whole_and_nats_both_families() -> None:
    commands = firewall.table_commands("br0", NETWORK)
    assert [next(iter(command)) for command in commands[:3]] == ["add", "delete", "add"]
    assert str(commands).count("masquerade") == 3
    for key in ("ipv4.nat", "ipv6.nat"):
        assert str(firewall.table_commands("br0", {**NETWORK, key: "false"})).count("masquerade") == 2


def test_only_others_chains_that_drop_are_opened() -> None:
    def chain(table: str, policy: str, hook: str = "forward") -> dict[str, object]:
        shared = {"family": "ip", "name": "c", "type": "filter", "prio": 0}
        return {"chain": {**shared, "table": table, "hook": hook, "policy": policy}}

    listing = {
        "nftables": [
            chain("filter", "drop"),
            chain("open", "accept"),
            chain("wardian_br1", "drop"),
            chain("firewalld", "accept"),
            chain("filter", "drop", "output"),
        ]
    }
    assert [(found.table, found.drops) for found in firewall.others_chains(listing)] == [
        ("filter", True),
        ("open", False),
        ("firewalld", True),
    ]


COUNTED: dict[str, object] = {"counter": {"packets": 0, "bytes": 0}}


@pytest.mark.parametrize(
    ("expression", "refuses"),
    [
        ([COUNTED, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}], True),
        ([{"log": {"prefix": "x"}}, {"drop": None}], True),
        ([COUNTED, {"xt": {"type": "target", "name": "REJECT"}}], True),
        ([{"xt": {"type": "match", "name": "conntrack"}}, COUNTED, {"accept": None}], False),
        ([{"limit": {"rate": 5, "per": "second"}}, {"drop": None}], False),
        ([{"xt": {"type": "target", "name": "TRACE"}}], False),
        ([COUNTED], False),
    ],
)
def test_a_chain_whose_last_rule_refuses_is_closed(expression: list[object], refuses: bool) -> None:
    rules = [{"rule": {"expr": [{"match": {}}, {"drop": None}]}}, {"rule": {"expr": expression}}]
    assert firewall.refuses_all({"nftables": [{"chain": {}}, *rules]}) is refuses


@pytest.mark.parametrize(
    ("listing", "drops"),
    [
        ("-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n", False),
        ("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n", True),
        ("-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j REJECT --reject-with x\n", True),
        ("-P INPUT ACCEPT\n-A INPUT -j DROP\n-A INPUT -j MINE\n", False),
        ("", False),
    ],
)
def test_a_legacy_chain_drops_by_its_policy_or_its_last_rule(listing: str, drops: bool) -> None:
    assert legacy.drops(listing) is drops


def test_variables_of_the_hosts_own_libraries_are_only_passed_on() -> None:
    meant = {"TOKEN": "x", "PATH": "/bin", "HOME": "/", "TERM": "xterm", "TZ": "UTC"}
    inherited, given = render.split_environment(
        meant | {"LD_PRELOAD": "a", "LC_ALL": "b", "OPENSSL_CONF": "c", "LXC_X": "d"}
    )
    assert inherited == {k: v for k, v in meant.items() if k != "TZ"}
    assert given == {"LD_PRELOAD": "a", "LC_ALL": "b", "OPENSSL_CONF": "c", "LXC_X": "d", "TZ": "UTC"}


def test_a_daemon_in_a_container_cannot_say_which_devices_are_used() -> None:
    text = render.container_config(PLAN, replace(AROUND, guards_devices=False))
    assert not keys_of(text, "lxc.cgroup.devices.deny") and not keys_of(text, "lxc.cgroup2.devices.allow")
