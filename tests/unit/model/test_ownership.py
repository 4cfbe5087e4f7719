"""What a file carries of ids, moved from one map to another."""

import struct

import pytest

from wardian.model import ownership
from wardian.model.idmap import IdMap

NONE = IdMap()
MAP = IdMap.contiguous(1000000, 65536)
OTHER = IdMap.contiguous(2000000, 65536)
FOR_ALL = struct.pack("<5I", 0x02000001, 0x2000, 0, 0, 0)


@pytest.mark.parametrize(
    ("old", "new", "found", "expected"),
    [
        (NONE, MAP, 5, 1000005),
        (MAP, NONE, 1000005, 5),
        (MAP, OTHER, 1000005, 2000005),
        (NONE, MAP, 70000, None),
        (MAP, OTHER, 77, None),
        (NONE, NONE, 77, 77),
    ],
)
def test_ids_move_between_maps(old: IdMap, new: IdMap, found: int, expected: int | None) -> None:
    assert ownership.move(old, new)("uid", found) == expected


def test_capabilities_count_for_the_root_of_the_map_and_come_back() -> None:
    there = ownership.moved_capability(FOR_ALL, ownership.move(NONE, MAP))
    assert there == struct.pack("<6I", 0x03000001, 0x2000, 0, 0, 0, 1000000)
    other = ownership.moved_capability(there, ownership.move(MAP, OTHER))
    assert other[-4:] == struct.pack("<I", 2000000)
    assert ownership.moved_capability(other, ownership.move(OTHER, NONE)) == FOR_ALL


@pytest.mark.parametrize("value", [b"", b"\1", FOR_ALL[:-1], FOR_ALL + b"\0", b"\0" * 20])
def test_what_is_no_capability_stays(value: bytes) -> None:
    assert ownership.moved_capability(value, ownership.move(NONE, MAP)) == value


def test_access_lists_name_the_moved_users_and_groups() -> None:
    entries = [(0x01, 6, 2**32 - 1), (0x02, 7, 1000), (0x02, 7, 70000), (0x08, 4, 5), (0x20, 4, 2**32 - 1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    moved = ownership.moved_acl(value, ownership.move(NONE, MAP))
    assert [entry[2] for entry in struct.iter_unpack("<HHI", moved[4:])] == [
        *(2**32 - 1, 1001000, 70000, 1000005),
        2**32 - 1,
    ]


@pytest.mark.parametrize("value", [b"", b"\2\0", b"\3\0\0\0", b"\2\0\0\0\1"])
def test_what_is_no_access_list_stays(value: bytes) -> None:
    assert ownership.moved_acl(value, ownership.move(NONE, MAP)) == value
