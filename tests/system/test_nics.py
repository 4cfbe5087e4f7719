"""Network interfaces of containers, plugged live and made at start: read from the kernel and from inside."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.plugging import add, fails, inside, reboot, wait_until

SYSFS = Path("/sys/class/net")


def host(*words: str) -> str:
    """Output of a program on the host."""
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


def volatile(daemon: Daemon, container: str, key: str) -> str:
    return daemon.lxc("config", "get", container, f"volatile.{key}").strip()


def link(daemon: Daemon, container: str, name: str) -> str:
    return inside(daemon, container, "ip", "addr", "show", "dev", name)


def rate(host_name: str) -> str:
    """How fast the kernel lets traffic pass towards the container, as tc writes it; "": unbounded."""
    found = re.search(r"class htb 1:10 .*\brate (\S+)", host("tc", "class", "show", "dev", host_name))
    return found[1] if found else ""


def policed(host_name: str) -> str:
    """The nft rules on what comes from the container."""
    found = subprocess.run(
        ["nft", "list", "table", "netdev", f"wardian_{host_name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout


@pytest.fixture
def wire() -> Iterator[str]:
    """A pair of interfaces of the host: the parent of macvlan, physical and routed nics."""
    near, far = f"wtn{os.getpid() % 100000}", f"wtf{os.getpid() % 100000}"
    host("ip", "link", "add", near, "type", "veth", "peer", "name", far)
    host("ip", "link", "set", near, "up")
    host("ip", "link", "set", far, "up")
    yield near
    if (SYSFS / far).exists():
        host("ip", "link", "del", far)


def test_a_bridged_nic_is_plugged_and_unplugged(daemon: Daemon, container: str) -> None:
    options = ("nictype=bridged", f"parent={daemon.bridge}", "name=eth10", "hwaddr=00:16:3e:aa:bb:cc")
    add(daemon, container, "second", "nic", *options, "mtu=1400")
    shown = link(daemon, container, "eth10")
    assert "00:16:3e:aa:bb:cc" in shown and "mtu 1400" in shown and ",UP" in shown
    end = volatile(daemon, container, "second.host_name")
    assert (SYSFS / daemon.bridge / "brif" / end).exists()
    assert Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").read_text() == "1\n"
    daemon.lxc("config", "device", "remove", container, "second")
    assert not (SYSFS / end).exists()
    assert "eth10" not in inside(daemon, container, "ip", "link")
    assert volatile(daemon, container, "second.host_name") == ""


def test_nics_survive_restarts_and_reboots(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "device", "override", container, "eth0", "limits.ingress=8Mbit")
    first, hwaddr = volatile(daemon, container, "eth0.host_name"), volatile(daemon, container, "eth0.hwaddr")
    daemon.lxc("restart", "-f", container)
    assert volatile(daemon, container, "eth0.host_name") == first
    assert hwaddr in link(daemon, container, "eth0")
    assert rate(first) == "8Mbit"
    daemon.lxc("config", "device", "set", container, "eth0", "limits.egress", "16Mbit")
    add(daemon, container, "later", "nic", f"network={daemon.bridge}", "limits.max=4Mbit")
    later = volatile(daemon, container, "later.host_name")
    reboot(daemon, container)
    wait_until(daemon, container, f"ip link show {volatile(daemon, container, 'later.name')}")
    wait_until(daemon, container, "ip addr show eth0 | grep 'inet '")
    assert (rate(first), rate(later)) == ("8Mbit", "4Mbit")
    assert "2000 kbytes/second" in policed(first) or "2000000 bytes/second" in policed(first)
    assert Path(f"/proc/sys/net/ipv6/conf/{first}/disable_ipv6").read_text() == "1\n"
    daemon.lxc("config", "device", "remove", container, "later")
    reboot(daemon, container)
    assert volatile(daemon, container, "later.name") == ""
    assert not (SYSFS / later).exists()


def test_limits_change_in_place(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "device", "override", container, "eth0", "limits.max=8Mbit")
    end = volatile(daemon, container, "eth0.host_name")
    index = (SYSFS / end / "ifindex").read_text()
    assert rate(end) == "8Mbit" and "limit rate over" in policed(end)
    daemon.lxc("config", "device", "set", container, "eth0", "limits.max", "80Mbit")
    assert rate(end) == "80Mbit"
    daemon.lxc("config", "device", "unset", container, "eth0", "limits.max")
    assert rate(end) == "" and policed(end) == ""
    assert (SYSFS / end / "ifindex").read_text() == index
    assert "limits.max" in daemon.error("config", "device", "set", container, "eth0", "limits.max", "fast")


WATCH = """
table inet wtprio {{
    chain in {{ type filter hook input priority 100;
        iifname "{bridge}" tcp dport 9 meta priority 0:7 counter; }}
    chain out {{ type filter hook forward priority 100;
        oifname "{wire}" tcp dport 9 meta priority 0:7 counter
        oifname "{wire}" reject with tcp reset; }}
}}
"""


@pytest.fixture
def watched(daemon: Daemon, wire: str) -> Iterator[str]:
    """Packets of priority 7 that come to the host by the bridge, or would leave by `wire`, are counted."""
    host("ip", "addr", "add", "203.0.113.1/24", "dev", wire)
    host("ip", "neigh", "add", "203.0.113.2", "lladdr", "02:00:00:00:00:01", "dev", wire)
    text = WATCH.format(bridge=daemon.bridge, wire=wire)
    subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)
    yield wire
    host("nft", "delete", "table", "inet", "wtprio")


def counted() -> list[int]:
    """How many packets were counted: to the host, beyond it."""
    return [
        int(n) for n in re.findall(r"counter packets (\d+)", host("nft", "list", "table", "inet", "wtprio"))
    ]


def test_packets_have_the_priority_of_their_container(daemon: Daemon, container: str, watched: str) -> None:
    daemon.wait_address(container)
    end = volatile(daemon, container, "eth0.host_name")

    def seen() -> list[bool]:
        before = counted()
        for host_there in ("203.0.113.1", "203.0.113.2"):
            assert fails(daemon, container, "wget", "-q", f"http://{host_there}:9/")  # refused at once
        return [after > was for after, was in zip(counted(), before, strict=True)]

    assert seen() == [False, False]
    daemon.lxc("config", "set", container, "limits.network.priority", "7")
    assert seen() == [True, True]
    reboot(daemon, container)
    daemon.wait_address(container)
    assert "meta priority set 0:7" in policed(end)
    daemon.lxc("config", "device", "override", container, "eth0", "limits.priority=3")
    assert "meta priority set 0:3" in policed(end)
    daemon.lxc("config", "device", "unset", container, "eth0", "limits.priority")
    daemon.lxc("config", "unset", container, "limits.network.priority")
    assert seen() == [False, False] and policed(end) == ""
    assert f"wardian_nic_{end}" not in host("nft", "list", "tables")


def test_macvlan_and_p2p_are_plugged_and_made_at_start(daemon: Daemon, container: str, wire: str) -> None:
    add(daemon, container, "lan", "nic", "nictype=macvlan", f"parent={wire}", "name=lan0")
    add(
        daemon,
        container,
        "line",
        "nic",
        "nictype=p2p",
        "name=line0",
        "host_name=wtline0",
        "limits.max=1Mbit",
    )
    for _ in range(2):
        hwaddr = volatile(daemon, container, "lan.hwaddr")
        assert hwaddr in link(daemon, container, "lan0") and f"lan0@if{index_of(wire)}" in link(
            daemon, container, "lan0"
        )
        assert ",UP" in link(daemon, container, "line0") and rate("wtline0") == "1Mbit"
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "remove", container, "lan")
    daemon.lxc("config", "device", "remove", container, "line")
    assert not (SYSFS / "wtline0").exists()
    assert "lan0" not in inside(daemon, container, "ip", "link")


def index_of(interface: str) -> str:
    return (SYSFS / interface / "ifindex").read_text().strip()


def test_a_physical_interface_is_lent_and_comes_back(daemon: Daemon, container: str, wire: str) -> None:
    was = (SYSFS / wire / "address").read_text(), (SYSFS / wire / "mtu").read_text()
    add(daemon, container, "wan", "nic", "nictype=physical", f"parent={wire}", "name=wan0", "mtu=1300")
    assert not (SYSFS / wire).exists()
    assert "mtu 1300" in link(daemon, container, "wan0")
    daemon.lxc("config", "device", "remove", container, "wan")
    assert ((SYSFS / wire / "address").read_text(), (SYSFS / wire / "mtu").read_text()) == was
    add(daemon, container, "wan", "nic", "nictype=physical", f"parent={wire}", "name=wan0")
    inside(daemon, container, "ip", "link", "set", "wan0", "down")
    inside(daemon, container, "ip", "link", "set", "wan0", "name", "mine")
    daemon.lxc("stop", "-f", container)
    assert (SYSFS / wire).exists()
    daemon.lxc("start", container)
    assert not (SYSFS / wire).exists() and ",UP" in link(daemon, container, "wan0")
    daemon.lxc("stop", "-f", container)
    assert (SYSFS / wire).exists()


def test_a_restarted_daemon_knows_what_it_lent(daemon: Daemon, container: str, wire: str) -> None:
    add(daemon, container, "wan", "nic", "nictype=physical", f"parent={wire}", "name=wan0")
    reboot(daemon, container)
    wait_until(daemon, container, "ip link show wan0")
    daemon.kill()
    daemon.start()
    daemon.lxc("stop", "-f", container)
    assert (SYSFS / wire).exists()


def test_a_routed_nic_is_reached_by_its_addresses(daemon: Daemon, container: str, wire: str) -> None:
    addresses = ("ipv4.address=198.51.100.7,198.51.100.8", "ipv6.address=2001:db8:7::7")
    add(daemon, container, "pub", "nic", "nictype=routed", f"parent={wire}", "name=pub0", *addresses)
    end = volatile(daemon, container, "pub.host_name")
    for _ in range(2):
        shown = link(daemon, container, "pub0")
        assert "198.51.100.7/32" in shown and "198.51.100.8/32" in shown and "2001:db8:7::7/128" in shown
        assert f"dev {end}" in host("ip", "route", "get", "198.51.100.7")
        assert f"dev {end}" in host("ip", "-6", "route", "get", "2001:db8:7::7")
        for family, address in (("-4", "198.51.100.8"), ("-6", "2001:db8:7::7")):
            assert f"{address} dev {wire}" in host("ip", family, "neigh", "show", "proxy")
        assert "via 169.254.0.1 dev pub0" in inside(daemon, container, "ip", "route")
        assert "saddr" in policed(end)  # it may send from no other address
        assert host("ping", "-c", "1", "-W", "20", "198.51.100.7")
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "remove", container, "pub")
    assert not (SYSFS / end).exists() and policed(end) == ""
    assert wire not in host("ip", "neigh", "show", "proxy") + host("ip", "-6", "neigh", "show", "proxy")


def test_a_nic_that_cannot_be_had_changes_nothing(daemon: Daemon, container: str) -> None:
    ports = SYSFS / daemon.bridge / "brif"
    before = sorted(path.name for path in ports.iterdir())
    taken = ("nictype=bridged", f"parent={daemon.bridge}")
    error = daemon.error("config", "device", "add", container, "x", "nic", *taken, "name=eth0")
    assert 'nics "eth0" and "x" have the same "name": eth0' in error
    inside(daemon, container, "ip", "link", "set", "lo", "down")
    inside(daemon, container, "ip", "link", "set", "lo", "name", "busy0")
    error = daemon.error("config", "device", "add", container, "x", "nic", *taken, "name=busy0")
    assert 'cannot add nic "x"' in error and "File exists" in error
    assert "Missing parent 'wtnone0'" in daemon.error(
        "config", "device", "add", container, "x", "nic", "nictype=macvlan", "parent=wtnone0"
    )
    assert "parent 'lo' of nic 'x' is not a bridge" in daemon.error(
        "config", "device", "add", container, "x", "nic", "nictype=bridged", "parent=lo"
    )
    error = daemon.error("config", "device", "add", container, "x", "nic", *taken, "host_name=lo")
    assert error == (
        'error: cannot add nic "x": host_name "lo" belongs to another interface of this host; choose another'
    )
    assert sorted(path.name for path in ports.iterdir()) == before
    assert "x:" not in daemon.lxc("config", "show", container)
