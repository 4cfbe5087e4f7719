"""Where ids stand in what a file carries: its owners, access lists and capabilities, under an id map.

`Move` answers for one id; None: the id is outside of the map and stays what it is. Sources: acl(5) and
<linux/posix_acl_xattr.h>; capabilities(7) and <linux/capability.h>.
"""

import struct
from collections.abc import Callable

from wardian.model.idmap import IdKind, IdMap

Move = Callable[[IdKind, int], int | None]

ACL_VERSION = 2
ACL_ENTRY = struct.Struct("<HHI")
ACL_NAMED: dict[int, IdKind] = {0x02: "uid", 0x08: "gid"}
"""Tags of entries that name a user or a group (ACL_USER, ACL_GROUP)."""

CAPABILITY_HEAD = struct.Struct("<I")
CAPABILITY_REVISION = 0xFF000000
FOR_ALL, FOR_ONE_ROOT = 0x02000000, 0x03000000
"""Revision 2 counts for whoever executes the file; 3 below the user namespace with the given root."""
FOR_ALL_BYTES, FOR_ONE_ROOT_BYTES = 20, 24


def move(old: IdMap, new: IdMap) -> Move:
    """From ids on disk under the map `old` to those under `new`; an empty map leaves ids unshifted."""

    def moved(kind: IdKind, found: int) -> int | None:
        inside = old.container_id(kind, found) if old.ranges else found
        if inside is None or not new.ranges:
            return inside
        return new.host_id(kind, inside)

    return moved


def moved_acl(value: bytes, moved: Move) -> bytes:
    """The value of system.posix_acl_* with its users and groups moved; what is no access list stays."""
    head, rest = value[:4], value[4:]
    if int.from_bytes(head, "little") != ACL_VERSION or len(rest) % ACL_ENTRY.size:
        return value
    entries = []
    for tag, permissions, number in ACL_ENTRY.iter_unpack(rest):
        to = moved(ACL_NAMED[tag], number) if tag in ACL_NAMED else None
        entries.append(ACL_ENTRY.pack(tag, permissions, number if to is None else to))
    return head + b"".join(entries)


def moved_capability(value: bytes, moved: Move) -> bytes:
    """The value of security.capability for the root of the new map; what is none of ours stays."""
    if len(value) < CAPABILITY_HEAD.size:
        return value
    (head,) = CAPABILITY_HEAD.unpack_from(value)
    revision, flags = head & CAPABILITY_REVISION, head & ~CAPABILITY_REVISION
    if (revision, len(value)) == (FOR_ALL, FOR_ALL_BYTES):
        root = 0
    elif (revision, len(value)) == (FOR_ONE_ROOT, FOR_ONE_ROOT_BYTES):
        root = int.from_bytes(value[FOR_ALL_BYTES:], "little")
    else:
        return value
    to = moved("uid", root)
    if to is None:
        return value
    sets = value[CAPABILITY_HEAD.size : FOR_ALL_BYTES]
    if to == 0:
        return CAPABILITY_HEAD.pack(FOR_ALL | flags) + sets
    return CAPABILITY_HEAD.pack(FOR_ONE_ROOT | flags) + sets + to.to_bytes(4, "little")
