"""What a container may send over a bridge: rules against pretending to be another.

One nftables table in the bridge family for all interfaces of the host: a map leads from the
interface a frame came in by to a chain of its own, so that the cost does not grow with the number of
interfaces. The hook is prerouting: what is dropped there is not learnt by the bridge either. Rules go
by the name of the interface on the host, so they can be there before it is.

Neighbour discovery (RFC 4861) is let through in the shapes that systems send, and in no other: an
option with a foreign MAC address could otherwise hide behind a harmless one.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardian.linux import nft
from wardian.model import names, values

TABLE = "bridge wardian_nics"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Guard:
    """What is let through from one interface."""

    hwaddr: str
    """The only MAC address."""
    ipv4: tuple[ipaddress.IPv4Address, ...] | None = None
    """The only IPv4 addresses; None: any."""
    ipv6: tuple[ipaddress.IPv6Address, ...] | None = None
    """The only IPv6 addresses; None: any."""


LINK_LOCAL = ipaddress.IPv6Network("fe80::/64")


def rules(host_name: str, guard: Guard) -> str:
    """Replace the rules for an interface of the host."""
    names.check_interface(host_name)
    chain = f"nic_{host_name}"
    lines = [
        *_frame(host_name),
        *(f"add rule {TABLE} {chain} {rule}" for rule in _chain(guard)),
        f'add element {TABLE} nics {{ "{host_name}" : jump {chain} }}',
    ]
    return "".join(f"{line}\n" for line in lines)


def no_rules(host_name: str) -> str:
    """Remove the rules for an interface; harmless if there are none."""
    names.check_interface(host_name)
    lines = [*_frame(host_name), f"delete chain {TABLE} nic_{host_name}"]
    return "".join(f"{line}\n" for line in lines)


def _frame(host_name: str) -> Iterator[str]:
    """Table, map and hook, made if need be, and an empty chain of the interface that nothing leads to."""
    chain = f"nic_{host_name}"
    yield f"add table {TABLE}"
    yield f"add map {TABLE} nics {{ type ifname : verdict; }}"
    yield f"add chain {TABLE} ports {{ type filter hook prerouting priority -200; policy accept; }}"
    yield f"flush chain {TABLE} ports"
    yield f"add rule {TABLE} ports iifname vmap @nics"
    yield f"add chain {TABLE} {chain}"
    yield f'add element {TABLE} nics {{ "{host_name}" : jump {chain} }}'
    yield f'delete element {TABLE} nics {{ "{host_name}" }}'
    yield f"flush chain {TABLE} {chain}"


def _chain(guard: Guard) -> Iterator[str]:
    mac = values.parse_hwaddr(guard.hwaddr)
    yield f"ether saddr != {mac} drop"
    yield f"ether type arp arp saddr ether != {mac} drop"
    # The hardware address that a DHCP request gives (RFC 2131): leases go by it.
    yield f"udp dport 67 @th,288,48 != 0x{mac.replace(':', '')} drop"
    if guard.ipv4 is not None:
        yield from _ipv4(guard.ipv4)
    if guard.ipv6 is not None:
        yield from _ipv6(guard.ipv6)
    yield from _neighbours(mac)
    if guard.ipv4 is not None or guard.ipv6 is not None:
        yield "ether type != { ip, arp, ip6 } drop"


def _ipv4(own: Sequence[ipaddress.IPv4Address]) -> Iterator[str]:
    if not own:
        yield "ether type { ip, arp } drop"
        return
    one_of = _set(own)
    yield f"ether type arp arp saddr ip 0.0.0.0 arp daddr ip {one_of} return"  # is it taken? RFC 5227
    yield f"ether type arp arp saddr ip != {one_of} drop"
    yield "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 return"
    yield f"ip saddr != {one_of} drop"
    yield "udp sport 67 udp dport 68 drop"  # answers of a DHCP server


def _ipv6(own: Sequence[ipaddress.IPv6Address]) -> Iterator[str]:
    if not own:
        yield "ether type ip6 drop"
        return
    targets = _set([f"0x{int(address):032x}" for address in own])
    yield "icmpv6 type { nd-router-advert, nd-redirect } drop"
    yield f"icmpv6 type nd-neighbor-advert @th,64,128 != {targets} drop"
    yield f"ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 {targets} return"
    yield "ip6 saddr :: icmpv6 type { nd-router-solicit, mld2-listener-report } return"
    yield f"ip6 saddr != {_set(own)} drop"
    yield "udp sport 547 drop"  # answers of a DHCPv6 server


def _neighbours(mac: str) -> Iterator[str]:
    """An advertisement or solicitation has no option, or the one that names our MAC address."""
    number = mac.replace(":", "")
    yield "ip6 saddr :: icmpv6 type nd-neighbor-solicit return"
    for kind, option in (("nd-neighbor-solicit", "0101"), ("nd-neighbor-advert", "0201")):
        yield f"icmpv6 type {kind} ip6 length 24 return"
        yield f"icmpv6 type {kind} ip6 length 32 @th,192,64 0x{option}{number} return"
    yield "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop"


def _set(members: Sequence[object]) -> str:
    return f"{{ {', '.join(str(member) for member in members)} }}"


async def apply(what: str, host_name: str, guard: Guard) -> None:
    """Have the kernel let through only what the guard allows, from now on; replaced in one step."""
    await nft.load(what, rules(host_name, guard))


async def remove(what: str, host_name: str) -> None:
    """Let everything through again; harmless if there are no rules."""
    await nft.load(what, no_rules(host_name))
