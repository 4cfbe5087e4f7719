"""Streams as `btrfs send` writes them, with anything in them."""

import json
import struct
from collections.abc import Mapping

SUBVOLUME, SNAPSHOT, FILE, NODE, LINK, WRITE, CLONE, END = 1, 2, 3, 5, 8, 15, 16, 21
"""Commands."""
UUID, TRANSACTION, INODE, MODE, DEVICE, PATH, TARGET, OFFSET, DATA = 1, 2, 3, 5, 8, 15, 17, 18, 19
CLONE_UUID, CLONE_TRANSACTION, CLONE_PATH, CLONE_OFFSET, CLONE_BYTES = range(20, 25)
"""Their attributes."""


def _checksum(data: bytes) -> int:
    """CRC-32C, begun with zero."""
    found = 0
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0x82F63B78 if found & 1 else 0)
    return found


def command(number: int, attributes: Mapping[int, int | str | bytes]) -> bytes:
    """One command; numbers have 8 bytes."""
    body = b""
    for key, value in attributes.items():
        raw = value.to_bytes(8, "little") if isinstance(value, int) else value
        raw = raw.encode() if isinstance(raw, str) else raw
        body += struct.pack("<HH", key, len(raw)) + raw
    checksum = _checksum(struct.pack("<IHI", len(body), number, 0) + body)
    return struct.pack("<IHI", len(body), number, checksum) + body


def stream(*commands: bytes, own: bytes = b"u" * 16) -> bytes:
    """What goes over the socket for one subvolume without nested ones; own: its UUID."""
    begin = command(SUBVOLUME, {PATH: "x", UUID: own, TRANSACTION: 1})
    content = b"btrfs-stream\0" + struct.pack("<I", 1) + begin + b"".join(commands) + command(END, {})
    nested = json.dumps([]).encode()
    return len(nested).to_bytes(4, "big") + nested + content


def clone(uuid: bytes, transaction: int, path: str, size: int) -> bytes:
    """Two commands: a file that shares the first blocks of a file in another subvolume."""
    source: dict[int, int | str | bytes] = {
        CLONE_UUID: uuid,
        CLONE_TRANSACTION: transaction,
        CLONE_PATH: path,
        CLONE_OFFSET: 0,
    }
    return command(FILE, {PATH: "stolen", INODE: 257}) + command(
        CLONE, {PATH: "stolen", OFFSET: 0, CLONE_BYTES: size, **source}
    )
