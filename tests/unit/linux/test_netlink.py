"""Netlink decoding: real messages are read, hostile ones do no harm."""

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from wardian.linux import netlink


def test_the_loopback_interface_of_this_machine_is_read() -> None:
    loopback = next(link for link in netlink.links() if link.name == "lo")
    assert (loopback.index, loopback.kind) == (1, "loopback")


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def test_an_address_is_read_with_its_scope() -> None:
    head = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 7)
    found = netlink.address(head + attribute(2, bytes([169, 254, 1, 2])))
    assert found == netlink.Address(7, "inet", "169.254.1.2", 24, "link")


@given(st.binary(max_size=300))
def test_nothing_makes_the_decoders_fail(data: bytes) -> None:
    for _, payload in netlink.messages(data):
        netlink.link(payload)
    netlink.link(data)
    netlink.address(data)
    netlink.route(data)


@given(st.binary(max_size=40))
def test_a_name_is_always_printable(name: bytes) -> None:
    found = netlink.link(struct.pack("=BxHiII", 0, 1, 3, 1, 0) + attribute(3, name))
    assert found is not None
    assert found.name.isprintable()
