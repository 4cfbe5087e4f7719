"""CRIU's images of a dump, completed where a restore would fail, or bring back less than there was."""

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wardian.drivers.runtime.watches import Inode

MAGIC_BYTES = 8
FILES = "files.img"
INOTIFY, WD, HANDLE = 13, 5, 7
"""Fields of CRIU's files.img: of a file its inotify, of that its watches, of those what they watch."""
NUMBER, DEVICE, PATH = 2, 5, 4
"""Fields of a watch, and of what it watches."""

ROUTES = "route*-*.img"
ROUTES_MAGIC_BYTES = 4
MESSAGE = struct.Struct("<IHHII")
"""The head of a message of rtnetlink(7)."""
ROUTE_BYTES = 12
"""Of a struct rtmsg after it."""
ATTRIBUTE = struct.Struct("<HH")
NEXTHOP_ID = 30


def complete(folder: Path, watched: Mapping[Inode, str]) -> None:
    """Complete the images in a folder, given where what is watched is. OSError if they cannot be written."""
    edits: list[tuple[str, Callable[[bytes], bytes]]] = [
        (FILES, lambda image: with_watches(image, watched)),
        (ROUTES, without_nexthops),
    ]
    for pattern, edit in edits:
        for path in folder.glob(pattern):
            image = path.read_bytes()
            try:
                better = edit(image)
            except (ValueError, struct.error):  # not as we know it: then it is as CRIU wants it
                continue
            if better != image:
                path.write_bytes(better)


# --- routes ------------------------------------------------------------------------------------


def without_nexthops(image: bytes) -> bytes:
    """Routes as `ip route save` writes them, without references to objects that CRIU does not save.

    What such an object says is in the route, too; `ip route restore` refuses to have both.
    """
    parts, position = [image[:ROUTES_MAGIC_BYTES]], ROUTES_MAGIC_BYTES
    while position < len(image):
        size, *head = MESSAGE.unpack_from(image, position)
        if size < MESSAGE.size + ROUTE_BYTES or position + size > len(image):
            raise ValueError("cut short")
        first = position + MESSAGE.size
        route = image[first : first + ROUTE_BYTES]
        attributes = b"".join(
            raw
            for kind, raw in _attributes(image[first + ROUTE_BYTES : position + size])
            if kind != NEXTHOP_ID
        )
        parts += [MESSAGE.pack(MESSAGE.size + ROUTE_BYTES + len(attributes), *head), route, attributes]
        position += _aligned(size)
    return b"".join(parts)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        size, kind = ATTRIBUTE.unpack_from(data, position)
        if size < ATTRIBUTE.size:
            raise ValueError("cut short")
        yield kind, data[position : position + _aligned(size)].ljust(_aligned(size), b"\0")
        position += _aligned(size)


def _aligned(size: int) -> int:
    return (size + 3) & ~3


# --- open files --------------------------------------------------------------------------------


def with_watches(image: bytes, found: Mapping[Inode, str]) -> bytes:
    """CRIU's image of open files, with the paths of watches that it has left out, as far as we know them.

    ValueError if it is none.
    """
    parts, position = [image[:MAGIC_BYTES]], MAGIC_BYTES
    while position < len(image):
        (size,) = struct.unpack_from("<I", image, position)
        entry = image[position + 4 : position + 4 + size]
        if len(entry) != size:
            raise ValueError("cut short")
        position += 4 + size
        entry = _edited(entry, INOTIFY, lambda watch: _edited(watch, WD, lambda wd: _named(wd, found)))
        parts += [struct.pack("<I", len(entry)), entry]
    return b"".join(parts)


def _named(wd: bytes, found: Mapping[Inode, str]) -> bytes:
    numbers = {number: value for number, value, _ in _fields(wd) if isinstance(value, int)}
    path = found.get((numbers.get(DEVICE, 0), numbers.get(NUMBER, 0)))
    if path is None:
        return wd

    def name(handle: bytes) -> bytes:
        has_path = any(number == PATH for number, _, _ in _fields(handle))
        return handle if has_path else handle + _written(PATH, os.fsencode(path))

    return _edited(wd, HANDLE, name)


def _edited(message: bytes, field: int, edit: Callable[[bytes], bytes]) -> bytes:
    """The message (in protobuf's encoding) with what is in all fields of this number edited."""
    return b"".join(
        _written(number, edit(value)) if number == field and isinstance(value, bytes) else raw
        for number, value, raw in _fields(message)
    )


def _written(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """(number, value, all bytes) of each field; the value is a number, or bytes."""
    position = 0
    while position < len(message):
        begin = position
        key, position = _read_varint(message, position)
        value: int | bytes
        if key & 7 == 0:
            value, position = _read_varint(message, position)
        else:
            fixed = {1: 8, 5: 4}.get(key & 7)
            if fixed is None and key & 7 != 2:
                raise ValueError("no message")
            size, position = (fixed, position) if fixed else _read_varint(message, position)
            value, position = message[position : position + size], position + size
        if position > len(message):
            raise ValueError("cut short")
        yield key >> 3, value, message[begin:position]


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("cut short")
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
