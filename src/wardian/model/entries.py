"""A tree of files as a stream: what recursive transfers carry between client, daemon and container.

The stream is a row of frames, each a length (32 bits, big endian) and so many bytes. An entry is a
frame with a JSON object; a file's entry is followed by its content in frames, and an empty frame.
The last entry has type `end`; a stream without it was cut. Used by programs that start often, so
nothing heavy is imported.

    {"path": "etc/motd", "type": "file", "uid": 0, "gid": 0, "mode": 420}
    {"path": "etc/rc", "type": "symlink", "target": "init.d/rc", ...}
    {"path": "etc/pipe", "type": "skipped", "why": "is a fifo"}
    {"type": "error", "error": "...", "errno": 28}
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENTRY_BYTES = 64 * 1024
"""An entry may be this long at most: two paths of PATH_MAX in JSON's longest spelling fit."""
CHUNK = 256 * 1024
"""Content goes in frames of at most so many bytes."""

END = b"\0\0\0\0"


class Malformed(Exception):
    """The stream is not one of entries, or was cut."""


def frame(payload: bytes) -> bytes:
    """The bytes as a frame."""
    return len(payload).to_bytes(4, "big") + payload


def entry_frame(entry: dict[str, Any]) -> bytes:
    """The frame of an entry. Names that are no UTF-8 pass as os.fsdecode spells them."""
    return frame(json.dumps(entry, separators=(",", ":")).encode())


def read_length(exactly: Callable[[int], bytes], most: int) -> int:
    """The length of the next frame; Malformed if it is longer than it may be."""
    length = int.from_bytes(exactly(4), "big")
    if length > most:
        raise Malformed(f"a frame of {length} bytes, where at most {most} are allowed")
    return length


def read_entry(exactly: Callable[[int], bytes]) -> dict[str, Any]:
    """The next entry. exactly: returns so many bytes, or raises."""
    return decode(exactly(read_length(exactly, ENTRY_BYTES)))


def decode(payload: bytes) -> dict[str, Any]:
    """The JSON object of a frame; Malformed if it is none."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise Malformed("an entry that is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed("an entry that is no object")
    return found


def parts_of(path: object) -> list[str]:
    """The names on the way to an entry, [] for the tree's own root.

    Malformed for anything that a file name cannot be: the path leads nowhere but down.
    """
    if not isinstance(path, str) or len(path) > 4096:
        raise Malformed("an entry without a path")
    parts = path.split("/") if path else []
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise Malformed(f"an entry with the path {path!r}")
    return parts


def number_of(entry: dict[str, Any], field: str, most: int) -> int | None:
    """A number of the entry, None if it is absent; Malformed if it cannot be that."""
    value = entry.get(field)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f'an entry whose "{field}" is {str(value)[:40]}')
    return value


MAXIMUM_ID = 2**32 - 2
MAXIMUM_MODE = 0o7777
