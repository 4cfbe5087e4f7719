"""Managed bridges, interfaces of the host, and what the kernel tells of devices that come and go."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from wardian.model.container import Network


@dataclass(frozen=True)
class Lease:
    """A DHCP lease on a managed bridge."""

    hostname: str
    hwaddr: str
    address: str


@dataclass(frozen=True)
class Reservation:
    """Addresses that DHCP gives to one system only."""

    hostname: str
    hwaddr: str
    addresses: tuple[str, ...]


class Bridge(Protocol):
    """Managed bridges: link, addresses, DHCP, DNS and firewall of a `Network`."""

    def choosing(self) -> AbstractAsyncContextManager[None]:
        """Held from `choose` to the end of `up`, so that no two daemons choose the same."""

    def is_taken(self, name: str) -> bool:
        """Whether this host has an interface of that name."""

    async def choose(
        self, name: str, config: Mapping[str, str], present: Mapping[str, str]
    ) -> dict[str, str]:
        """The configuration with `auto` and absent subnets replaced by ones that are free on this host.

        present: that of the bridge now. InvalidInput if a subnet that it has not got yet is another's.
        """

    async def up(self, network: Network) -> None:
        """Make the host match: bridge, addresses, dnsmasq, firewall. Idempotent, adopts what runs."""

    async def down(self, network: Network) -> None:
        """Remove all of it; harmless if nothing is there. InvalidInput if ports are attached."""

    async def leases(self, network: Network) -> list[Lease]:
        """Present leases."""

    async def give_back(self, network: Network, hwaddr: str) -> None:
        """A system is gone: what DHCP has lent it can be lent to others. Harmless if that is nothing."""

    async def reserve(self, network: Network, reserved: Sequence[Reservation]) -> None:
        """Give these systems their addresses by DHCP, and nobody else; in place of earlier ones."""

    async def problem(self, network: Network) -> str:
        """One line saying what keeps traffic from flowing (another firewall, ...), or ""."""


@dataclass(frozen=True)
class Interface:
    """A network interface as seen inside a network namespace."""

    name: str
    index: int
    hwaddr: str
    mtu: int
    up: bool
    kind: str
    """broadcast, loopback, point-to-point or unknown"""
    link: int
    """Interface index of the other end (veth) in the parent namespace, or 0."""
    addresses: tuple[tuple[str, str, int, str], ...]
    """(inet|inet6, address, prefix length, local|link|global), sorted"""


@dataclass(frozen=True)
class Counters:
    """Traffic of an interface since it was made."""

    bytes_received: int
    bytes_sent: int
    packets_received: int
    packets_sent: int


class AddressWatch(Protocol):
    """Knows the addresses of containers without asking: a netlink socket left in each namespace."""

    async def watch(self, name: str, pid: int) -> None:
        """Begin (or begin again, after a reboot) to follow the network namespace of `pid`."""

    def forget(self, name: str) -> None:
        """Stop following; harmless if unknown."""

    def interfaces(self, name: str) -> list[Interface]:
        """What is known now, sorted by name; empty if not followed. Costs nothing."""

    def counters(self, name: str) -> dict[str, Counters]:
        """Interface name -> counters, read now through the socket that is there."""

    async def wait_change(self, name: str) -> None:
        """Return at the next change of an address."""


HostPart = Literal["devices", "cpus"]
"""What of a host may come and go."""


class Hotplug(Protocol):
    """Knows when devices and CPUs of the host come or go."""

    def open(self) -> None:
        """Begin to listen. Needs a running loop."""

    def close(self) -> None:
        """Stop listening."""

    async def next_change(self) -> frozenset[HostPart]:
        """What came or went since the last time, once something did: device nodes, CPUs."""
