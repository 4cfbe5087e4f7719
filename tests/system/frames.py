"""Ethernet frames, honest and forged, and raw sockets inside containers to send and see them."""

import asyncio
import ipaddress
import os
import socket
import struct

from wardian.linux import namespaces

ETH_P_ALL = 3
BROADCAST = b"\xff" * 6
WITHIN_S = 30


def raw_socket(pid: int, interface: str = "eth0") -> socket.socket:
    """A socket that sends and sees whole frames on an interface of a container."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.bind((interface, ETH_P_ALL))
        return made

    fd = namespaces.network_of(pid)
    try:
        made = asyncio.run(namespaces.in_network(fd, make))
    finally:
        os.close(fd)
    made.settimeout(WITHIN_S)
    return made


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(source: bytes, kind: int, payload: bytes) -> bytes:
    return BROADCAST + source + struct.pack("!H", kind) + payload.ljust(46, b"\0")


def arp(ether: bytes, sender: bytes, address: str) -> bytes:
    """An ARP reply: `address` is at `sender`."""
    told = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + sender + ipaddress.ip_address(address).packed
    return frame(ether, 0x0806, told + BROADCAST + b"\xff" * 4)


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp4(ether: bytes, source: str, sport: int, dport: int, data: bytes = b"x", to: str = "") -> bytes:
    """An IPv4 datagram; by itself to everyone on the subnet (a /24), or anywhere if there is no sender."""
    to = to or ("255.255.255.255" if source == "0.0.0.0" else f"{source.rpartition('.')[0]}.255")
    body = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0)
    head += ipaddress.ip_address(source).packed + ipaddress.ip_address(to).packed
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return frame(ether, 0x0800, head + body)


def icmp6(ether: bytes, source: str, kind: int, rest: bytes, to: str = "ff02::1") -> bytes:
    """An ICMPv6 message, to all nodes."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(to).packed
    body = struct.pack("!BBH", kind, 0, 0) + rest
    pseudo = addresses + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return frame(ether, 0x86DD, struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + addresses + body)


def neighbour(ether: bytes, source: str, target: str, option: bytes) -> bytes:
    """A neighbour advertisement: `target` is at the MAC address that the option tells."""
    told = struct.pack("!I", 0xA0000000) + ipaddress.ip_address(target).packed
    return icmp6(ether, source, 136, told + option)


def link_option(address: bytes) -> bytes:
    """The target link-layer address option."""
    return b"\x02\x01" + address


def asked_of_dhcp6(pid: int, hwaddr: str, interface: str = "eth0") -> str:
    """The address that DHCPv6 (RFC 8415) offers to an interface of a container."""
    duid = struct.pack("!HH", 3, 1) + mac(hwaddr)
    wanted = struct.pack("!HHIII", 3, 12, 1, 0, 0)  # an address (IA_NA)
    solicit = b"\1abc" + struct.pack("!HH", 1, len(duid)) + duid + wanted + struct.pack("!HHH", 8, 2, 0)

    def ask() -> bytes:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
            made.settimeout(WITHIN_S)
            made.bind(("::", 546))
            made.sendto(solicit, ("ff02::1:2", 547, 0, socket.if_nametoindex(interface)))
            return made.recv(2000)

    fd = namespaces.network_of(pid)
    try:
        offered = asyncio.run(namespaces.in_network(fd, ask))
    finally:
        os.close(fd)
    assert offered[:4] == b"\2abc"
    place = offered.index(struct.pack("!HH", 5, 24)) + 4  # IAADDR
    return str(ipaddress.IPv6Address(offered[place : place + 16]))
