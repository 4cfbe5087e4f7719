"""The message that frees a DHCP lease, octet by octet (RFC 2131 section 2, RFC 2132)."""

from wardian.linux import dhcp


def test_the_message_names_client_address_and_server() -> None:
    message = dhcp.release_message("10.0.0.1", "10.0.0.77", "00:16:3e:01:02:0a", b"\x01ab")
    assert message[:4] == b"\x01\x01\x06\x00"  # a request, Ethernet, six octets, no hops
    assert message[8:12] == bytes(4)
    assert message[12:16] == bytes((10, 0, 0, 77))
    assert message[16:28] == bytes(12)
    assert message[28:44] == bytes.fromhex("00163e01020a") + bytes(10)
    assert message[236:240] == bytes((99, 130, 83, 99))
    assert message[240:] == b"\x35\x01\x07" + b"\x36\x04\x0a\x00\x00\x01" + b"\x3d\x03\x01ab" + b"\xff"


def test_a_client_without_an_id_is_told_by_its_address() -> None:
    assert dhcp.release_message("10.0.0.1", "10.0.0.77", "00:16:3e:01:02:0a", b"")[-7:] == (
        b"\x36\x04\x0a\x00\x00\x01\xff"
    )
