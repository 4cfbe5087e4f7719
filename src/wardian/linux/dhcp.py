"""Telling a DHCP server on this host that a system is gone, and its address free (RFC 2131, DHCPRELEASE)."""

import secrets
import socket
import struct

RELEASE = 7
MAGIC = b"\x63\x82\x53\x63"
MESSAGE_TYPE, SERVER, CLIENT_ID, END = 53, 54, 61, 255
SERVER_PORT = 67


def release_message(server: str, address: str, hwaddr: str, client_id: bytes) -> bytes:
    """The message of a client with a MAC address. client_id: empty if it gave none."""
    mac = bytes.fromhex(hwaddr.replace(":", ""))
    none = bytes(4)
    head = struct.pack("!BBBB4sHH", 1, 1, len(mac), 0, secrets.token_bytes(4), 0, 0)
    addresses = socket.inet_aton(address) + none + none + none
    options = bytes((MESSAGE_TYPE, 1, RELEASE, SERVER, 4)) + socket.inet_aton(server)
    if client_id:
        options += bytes((CLIENT_ID, len(client_id))) + client_id
    return head + addresses + mac.ljust(16, b"\0") + bytes(64 + 128) + MAGIC + options + bytes((END,))


def release(interface: str, server: str, address: str, hwaddr: str, client_id: bytes) -> None:
    """Send it to the server that answers on an interface of this host; OSError if that is not there.

    Bound to the interface, the message arrives there although the address is our own.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.sendto(release_message(server, address, hwaddr, client_id), (server, SERVER_PORT))
