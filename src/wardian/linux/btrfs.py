"""btrfs by ioctl: subvolumes, snapshots, their ids (btrfs(5), include/uapi/linux/btrfs.h).

Each call blocks; drivers run them in a thread. Folders are given by fd, entries by name.
"""

import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x9123683E
FIRST_INODE = 256
"""The inode number of every subvolume's top folder."""

_SUBVOL_CREATE_V2 = 0x50009418
_SNAP_CREATE_V2 = 0x50009417
_SNAP_DESTROY = 0x5000940F
_SUBVOL_SETFLAGS = 0x4008941A
_INO_LOOKUP = 0xD0009412
_GET_SUBVOL_INFO = 0x81F8943C
_GET_SUBVOL_ROOTREF = 0xD000943D
_INO_LOOKUP_USER = 0xD000943E
_RDONLY = 1 << 1
_NAME_BYTES = 4039
_PATH_BYTES = 4087


def _volume_args_v2(fd: int, flags: int, name: str) -> bytearray:
    """struct btrfs_ioctl_vol_args_v2: fd, transid, flags, 4 unused words, name."""
    encoded = os.fsencode(name)
    if len(encoded) > _NAME_BYTES:
        raise OSError(36, os.strerror(36), name)
    # Mutable: Python copies immutable arguments into 1 KiB.
    return bytearray(struct.pack("=qQQ32s4040s", fd, 0, flags, b"", encoded))


def create_subvolume(parent_fd: int, name: str) -> None:
    """An empty subvolume `name` in the folder."""
    fcntl.ioctl(parent_fd, _SUBVOL_CREATE_V2, _volume_args_v2(0, 0, name))


def snapshot(source_fd: int, parent_fd: int, name: str, *, read_only: bool = False) -> None:
    """A snapshot of the subvolume as `name` in the folder. Nested subvolumes are empty folders in it."""
    fcntl.ioctl(parent_fd, _SNAP_CREATE_V2, _volume_args_v2(source_fd, _RDONLY if read_only else 0, name))


def delete_subvolume(parent_fd: int, name: str) -> None:
    """Remove the subvolume; the kernel frees its blocks later. ENOTEMPTY if others are nested in it."""
    fcntl.ioctl(parent_fd, _SNAP_DESTROY, bytearray(struct.pack("=q4088s", 0, os.fsencode(name))))


def set_read_only(subvolume_fd: int, read_only: bool) -> None:
    """Make the subvolume read-only or writable."""
    fcntl.ioctl(subvolume_fd, _SUBVOL_SETFLAGS, struct.pack("=Q", _RDONLY if read_only else 0))


def subvolume_id(fd: int) -> int:
    """The id of the subvolume that holds the open file."""
    # struct btrfs_ioctl_ino_lookup_args: treeid (0: that of fd; filled in), objectid, name.
    buffer = bytearray(struct.pack("=QQ4080s", 0, FIRST_INODE, b""))
    fcntl.ioctl(fd, _INO_LOOKUP, buffer)
    id: int = struct.unpack_from("=Q", buffer)[0]
    return id


def nested(top_fd: int) -> list[str]:
    """Paths in the subvolume, from its top, of those that are nested in it; not of those nested in them."""
    found: list[str] = []
    first, more = 0, True
    while more:
        # struct btrfs_ioctl_get_subvol_rootref_args: the lowest id, 255 pairs (id, folder), their number.
        buffer = bytearray(struct.pack("=Q4080sB7x", first, b"", 0))
        try:
            fcntl.ioctl(top_fd, _GET_SUBVOL_ROOTREF, buffer)
            more = False
        except OSError as error:
            if error.errno != errno.EOVERFLOW:  # the buffer is full, and tells where to go on
                raise
        first = struct.unpack_from("=Q", buffer)[0]
        for number in range(buffer[4088]):
            id, folder = struct.unpack_from("=QQ", buffer, 8 + 16 * number)
            if path := _path_of(top_fd, id, folder):
                found.append(path)
    return found


def _path_of(top_fd: int, id: int, folder: int) -> str:
    """The path of the subvolume in a folder (by inode number); empty if it is gone."""
    # struct btrfs_ioctl_ino_lookup_user_args: folder, id, name, path of the folder with a / behind.
    buffer = bytearray(struct.pack("=QQ256s3824s", folder, id, b"", b""))
    try:
        fcntl.ioctl(top_fd, _INO_LOOKUP_USER, buffer)
    except FileNotFoundError:
        return ""
    name, path = struct.unpack_from("=256s3824s", buffer, 16)
    return os.fsdecode(path.split(b"\0")[0] + name.split(b"\0")[0])


def path_in_subvolume(fd: int) -> str:
    """The path of an open folder from the top of the subvolume that holds it; "" for the top itself."""
    buffer = bytearray(struct.pack("=QQ4080s", 0, os.fstat(fd).st_ino, b""))
    fcntl.ioctl(fd, _INO_LOOKUP, buffer)
    return os.fsdecode(bytes(buffer[16:]).partition(b"\0")[0]).rstrip("/")


def is_subvolume(path: Path) -> bool:
    """Whether a folder on btrfs is the top of a subvolume."""
    try:
        return path.lstat().st_ino == FIRST_INODE
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Identity:
    """What tells subvolumes apart, and those that were received from each other alike; 16 bytes each."""

    own: bytes
    parent: bytes
    """Of the subvolume that it was snapshotted from; zeros if none."""
    received: bytes
    """Of the subvolume that was sent to make it; zeros if none, or if it was writable since."""

    @property
    def content(self) -> bytes:
        """The same for a read-only subvolume and those that were received from it."""
        return self.received if any(self.received) else self.own


def identity(fd: int) -> Identity:
    """Of the subvolume that holds the open file."""
    # struct btrfs_ioctl_get_subvol_info_args: the three UUIDs are behind 296 bytes of ids and the name.
    buffer = bytearray(504)
    fcntl.ioctl(fd, _GET_SUBVOL_INFO, buffer)
    return Identity(*struct.unpack_from("=16s16s16s", buffer, 296))
