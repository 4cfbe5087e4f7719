"""rtnetlink messages, decoded: links, addresses, routes (rtnetlink(7)). Pure but for `dump`.

Only what must be fast or read inside a container's namespace is here; changes to the host's own
network go through a library (linux/bridge.py). What a container put into its own namespace is not
trusted: lengths are checked, names are cleaned.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, GETROUTE = 24, 26
DONE, ERROR = 3, 2
GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR."""

_REQUEST_DUMP = 0x301
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_STATS64 = 1, 3, 4, 5, 23
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST = 1
_IFF_UP, _IFF_BROADCAST, _IFF_LOOPBACK, _IFF_POINTOPOINT = 0x1, 0x2, 0x8, 0x10
RECEIVE_BYTES = 1 << 17


@dataclass(frozen=True)
class Link:
    """A network interface."""

    index: int
    name: str
    hwaddr: str
    mtu: int
    up: bool
    kind: str
    peer: int
    """Index of the other end of a veth pair, or 0."""
    counters: tuple[int, int, int, int]
    """Packets received, packets sent, bytes received, bytes sent."""


@dataclass(frozen=True, order=True)
class Address:
    """An address of an interface. family: inet or inet6; scope: local, link or global."""

    index: int
    family: str
    address: str
    length: int
    scope: str


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each whole message; stops at the first that is cut or malformed."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(payload: bytes, offset: int) -> dict[int, bytes]:
    """Attributes by type, from `offset` on; the last of a type counts."""
    found = {}
    while offset + 4 <= len(payload):
        length, kind = struct.unpack_from("=HH", payload, offset)
        if length < 4 or offset + length > len(payload):
            break
        found[kind & 0x3FFF] = payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def link(payload: bytes) -> Link | None:
    """The interface of a NEWLINK or DELLINK message; None if malformed."""
    if len(payload) < _LINK.size:
        return None
    _, _, index, flags, _ = _LINK.unpack_from(payload)
    found = attributes(payload, _LINK.size)
    stats = found.get(_IFLA_STATS64, b"")
    return Link(
        index=index,
        name=_clean(found.get(_IFLA_IFNAME, b"")),
        hwaddr=":".join(f"{byte:02x}" for byte in found.get(_IFLA_ADDRESS, b"")[:20]),
        mtu=_number(found.get(_IFLA_MTU, b"")),
        up=bool(flags & _IFF_UP),
        kind=_kind(flags),
        peer=_number(found.get(_IFLA_LINK, b"")),
        counters=struct.unpack_from("=QQQQ", stats) if len(stats) >= 32 else (0, 0, 0, 0),
    )


def _kind(flags: int) -> str:
    for flag, name in (
        (_IFF_LOOPBACK, "loopback"),
        (_IFF_POINTOPOINT, "point-to-point"),
        (_IFF_BROADCAST, "broadcast"),
    ):
        if flags & flag:
            return name
    return "unknown"


def _number(data: bytes) -> int:
    return (
        int.from_bytes(data, "little" if struct.pack("=H", 1) == b"\1\0" else "big") if len(data) == 4 else 0
    )


def _clean(name: bytes) -> str:
    text = name.rstrip(b"\0").decode(errors="replace")
    return "".join(c if c.isprintable() else "?" for c in text)[:64]


def address(payload: bytes) -> Address | None:
    """The address of a NEWADDR or DELADDR message; None if malformed or of another family."""
    if len(payload) < _ADDRESS.size:
        return None
    family, length, _, _, index = _ADDRESS.unpack_from(payload)
    found = attributes(payload, _ADDRESS.size)
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b""
    name = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}.get(family)
    if name is None or len(raw) != (4 if name == "inet" else 16):
        return None
    parsed = ipaddress.ip_address(raw)
    scope = "local" if parsed.is_loopback else "link" if parsed.is_link_local else "global"
    return Address(index, name, str(parsed), length, scope)


def route(payload: bytes) -> Network | None:
    """The destination of a NEWROUTE message; None for default routes and malformed messages."""
    if len(payload) < _ROUTE.size:
        return None
    family, length = payload[0], payload[1]
    raw = attributes(payload, _ROUTE.size).get(_RTA_DST)
    if raw is None or length == 0 or len(raw) != (4 if family == socket.AF_INET else 16):
        return None
    try:
        return ipaddress.ip_network((raw, length), strict=False)
    except ValueError:
        return None


def dump_request(kind: int) -> bytes:
    """The request for everything of a kind (GETLINK, GETADDR, GETROUTE)."""
    body = bytes(_LINK.size if kind == GETLINK else _ADDRESS.size if kind == GETADDR else _ROUTE.size)
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body


def open_socket(groups: int = 0) -> socket.socket:
    """A netlink socket in the network namespace of the calling thread."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    made.bind((0, groups))
    return made


def dump(kind: int, asked: socket.socket | None = None) -> list[bytes]:
    """Payloads of everything of a kind, through the given blocking socket or one of our own."""
    if asked is None:
        with open_socket() as own:
            return dump(kind, own)
    asked.send(dump_request(kind))
    found: list[bytes] = []
    while True:
        for message, payload in messages(asked.recv(RECEIVE_BYTES)):
            if message in (DONE, ERROR):
                return found
            found.append(payload)


def links() -> list[Link]:
    """All interfaces of our namespace."""
    return [found for payload in dump(GETLINK) if (found := link(payload))]


def networks_in_use() -> list[Network]:
    """Subnets that addresses and routes of our namespace cover."""
    found: list[Network] = [n for payload in dump(GETROUTE) if (n := route(payload))]
    for payload in dump(GETADDR):
        known = address(payload)
        if known:
            found.append(ipaddress.ip_network((known.address, known.length), strict=False))
    return found


def subnets_of_links() -> list[tuple[str, Network]]:
    """The subnets that interfaces of our namespace have addresses in, each with the interface's name."""
    names = {found.index: found.name for found in links()}
    known = [found for payload in dump(GETADDR) if (found := address(payload))]
    return [
        (names.get(one.index, ""), ipaddress.ip_network((one.address, one.length), strict=False))
        for one in known
    ]
