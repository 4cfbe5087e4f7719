"""What a container may send: frames are forged inside one and looked for in another on the same bridge."""

import ipaddress
import struct
from collections.abc import Iterator, Sequence

import pytest

from tests.system import frames
from tests.system.harness import Daemon
from tests.system.plugging import inside, reboot, wait_until
from wardian.model import nics

OTHER = frames.mac("00:16:3e:00:00:99")


def pid_of(daemon: Daemon, container: str) -> int:
    return int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv"))


def subnet(daemon: Daemon, family: int) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return ipaddress.ip_interface(
        daemon.lxc("network", "get", daemon.bridge, f"ipv{family}.address").strip()
    )


def free_address(daemon: Daemon, number: int, family: int = 4) -> str:
    return str(subnet(daemon, family).network[number])


def arriving(daemon: Daemon, sender: str, receiver: str, sent: Sequence[bytes], last: bytes) -> list[bytes]:
    """Which of the frames get from one container to the other; `last` is one that does."""
    with (
        frames.raw_socket(pid_of(daemon, receiver)) as there,
        frames.raw_socket(pid_of(daemon, sender)) as here,
    ):
        for frame in (*sent, last):
            here.send(frame)
        seen = []
        while (found := there.recv(2000)[: len(last)]) != last:
            seen.append(found)
    return [frame for frame in sent if any(frame.startswith(found) for found in seen)]


@pytest.fixture
def witness(daemon: Daemon, name: str) -> str:
    """A second container on the bridge."""
    other = f"w-{name}"[:50].strip("-")
    daemon.lxc("launch", "bb", other)
    return other


@pytest.fixture(autouse=True)
def no_witness_is_left(daemon: Daemon) -> Iterator[None]:
    """After a test, the second containers are gone."""
    yield
    for name in daemon.names():
        if name.startswith("w-"):
            daemon.lxc("delete", "-f", name)


def forged(own: bytes, address: str, six: str) -> dict[str, bytes]:
    """Frames that pretend to be somebody else, by what is wrong with them."""
    rival, rival6 = str(ipaddress.ip_address(address) + 1), str(ipaddress.ip_address(six) + 1)
    dhcp = b"\1\1\6\0" + bytes(24) + OTHER + bytes(200)
    return {
        "mac": frames.arp(OTHER, OTHER, address),
        "arp mac": frames.arp(own, OTHER, address),
        "dhcp mac": frames.udp4(own, "0.0.0.0", 68, 67, dhcp),
        "na mac": frames.neighbour(own, six, six, frames.link_option(OTHER)),
        "na mac behind another option": frames.neighbour(
            own, six, six, frames.link_option(own) + frames.link_option(OTHER)
        ),
        "arp address": frames.arp(own, own, rival),
        "ip address": frames.udp4(own, rival, 9, 9),
        "dhcp server": frames.udp4(own, address, 67, 68),
        "ip6 address": frames.icmp6(own, rival6, 128, bytes(4), to=six),
        "na target": frames.neighbour(own, six, rival6, frames.link_option(own)),
        "router": frames.icmp6(own, six, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0)),
        "another protocol": frames.frame(own, 0x88CC, b"lldp"),
    }


BY_MAC = ["mac", "arp mac", "dhcp mac", "na mac", "na mac behind another option"]
BY_IPV4 = ["arp address", "ip address", "dhcp server", "another protocol"]
BY_IPV6 = ["ip6 address", "na target", "router", "another protocol"]


def test_a_container_cannot_pretend_to_be_another(daemon: Daemon, container: str, witness: str) -> None:
    hwaddr = daemon.lxc("config", "get", container, "volatile.eth0.hwaddr").strip()
    own, address, six = frames.mac(hwaddr), free_address(daemon, 77), free_address(daemon, 77, 6)
    wrong = forged(own, address, six)
    honest = [frames.arp(own, own, address), frames.udp4(own, address, 9, 9)]
    honest += [
        frames.neighbour(own, six, six, frames.link_option(own)),
        frames.neighbour(own, six, six, b""),
    ]
    mine = nics.eui64(hwaddr, ipaddress.IPv6Network("fe80::/64"))
    honest.append(frames.icmp6(own, str(mine), 128, bytes(4)))
    last = frames.arp(own, own, address)[:-1] + b"!"

    def dropped() -> list[str]:
        sent = [*honest, *wrong.values()]
        seen = arriving(daemon, container, witness, sent, last)
        assert [frame for frame in honest if frame not in seen] == []
        return [what for what, frame in wrong.items() if frame not in seen]

    assert dropped() == []
    index = inside(daemon, container, "cat", "/sys/class/net/eth0/ifindex")
    daemon.lxc("config", "device", "override", container, "eth0", "security.mac_filtering=true")
    assert dropped() == BY_MAC
    four = ("security.ipv4_filtering=true", f"ipv4.address={address}")
    daemon.lxc("config", "device", "set", container, "eth0", *four)
    assert dropped() == [what for what in wrong if what in (*BY_MAC, *BY_IPV4)]
    v6 = ("security.ipv6_filtering=true", f"ipv6.address={six}")
    daemon.lxc("config", "device", "set", container, "eth0", *v6)
    assert dropped() == list(wrong)
    assert inside(daemon, container, "cat", "/sys/class/net/eth0/ifindex") == index, "it was replaced"
    daemon.lxc("restart", "-f", container)
    assert dropped() == list(wrong)
    reboot(daemon, container)
    wait_until(daemon, container, "ip addr show eth0 | grep 'inet '")
    assert dropped() == list(wrong)
    daemon.lxc("config", "device", "set", container, "eth0", "security.ipv6_filtering=false")
    daemon.lxc("config", "device", "set", container, "eth0", "security.ipv4_filtering=false")
    daemon.lxc("config", "device", "set", container, "eth0", "security.mac_filtering=false")
    assert dropped() == []


def test_an_address_is_kept_for_a_container(daemon: Daemon, container: str, witness: str) -> None:
    address = free_address(daemon, 88)
    daemon.lxc("config", "device", "override", container, "eth0", f"ipv4.address={address}")
    daemon.lxc("restart", "-f", container)
    assert daemon.wait_address(container) == address
    # Another container cannot run with it, and has it once the owner does not run.
    error = daemon.error("config", "device", "override", witness, "eth0", f"ipv4.address={address}")
    assert f'container "{container}" runs with the same address' in error
    daemon.lxc("stop", "-f", container)
    daemon.lxc("stop", "-f", witness)
    daemon.lxc("config", "device", "override", witness, "eth0", f"ipv4.address={address}")
    daemon.lxc("start", witness)
    assert daemon.wait_address(witness) == address
    assert "runs with the same address" in daemon.error("start", container)
    told = daemon.lxc("network", "list-leases", daemon.bridge, "--format", "csv").splitlines()
    hwaddr = daemon.lxc("config", "get", witness, "volatile.eth0.hwaddr").strip()
    assert f"{witness},{hwaddr},{address},STATIC" in told
    assert [line for line in told if f",{address}," in line and line.endswith(",DYNAMIC")] == []


def test_a_guarded_container_gets_an_address_of_its_own(
    daemon: Daemon, container: str, witness: str
) -> None:
    before = daemon.wait_address(container)
    hwaddr = daemon.lxc("config", "get", container, "volatile.eth0.hwaddr").strip()
    guards = ("security.ipv4_filtering=true", "security.ipv6_filtering=true")
    daemon.lxc("network", "set", daemon.bridge, "ipv6.dhcp.stateful", "true")
    try:
        daemon.lxc("config", "device", "override", container, "eth0", *guards)
        kept = [
            daemon.lxc("config", "get", container, f"volatile.eth0.ipv{n}.address").strip() for n in (4, 6)
        ]
        assert kept[0] == before
        wait_until(daemon, container, "ip -6 addr show eth0 scope link | grep fe80 | grep -v tentative")
        assert frames.asked_of_dhcp6(pid_of(daemon, container), hwaddr) == kept[1]
    finally:
        daemon.lxc("network", "unset", daemon.bridge, "ipv6.dhcp.stateful")
    # One who takes the address to be his own is refused; who only has a lease gets another one.
    error = daemon.error("config", "device", "override", witness, "eth0", f"ipv4.address={before}")
    assert f'container "{container}" runs with the same address' in error
    daemon.lxc("restart", "-f", container)
    assert daemon.wait_address(container) == before
    assert inside(daemon, container, "ping", "-c", "1", free_address(daemon, 1))


def test_multicast_between_containers_keeps_its_sender(daemon: Daemon, container: str, witness: str) -> None:
    own = frames.mac(daemon.lxc("config", "get", container, "volatile.eth0.hwaddr").strip())
    address, six = daemon.wait_address(container), free_address(daemon, 77, 6)
    sent = [frames.icmp6(own, six, 128, bytes(4)), frames.udp4(own, address, 9, 9, to="255.255.255.255")]
    last = frames.arp(own, own, address)
    assert arriving(daemon, container, witness, sent, last) == sent


def test_addresses_outside_the_network_are_refused(daemon: Daemon, container: str) -> None:
    error = daemon.error("config", "device", "override", container, "eth0", "ipv4.address=192.0.2.7")
    assert "192.0.2.7 is not an address of" in error
    daemon.lxc("network", "set", daemon.bridge, "ipv4.dhcp", "false")
    error = daemon.error("config", "device", "override", container, "eth0", "security.ipv4_filtering=true")
    daemon.lxc("network", "unset", daemon.bridge, "ipv4.dhcp")
    assert 'needs "ipv4.address"' in error
    assert "ipv4.address" not in daemon.lxc("config", "show", container)
    assert inside(daemon, container, "ip", "link", "show", "eth0")
