"""Whether a compressed file is all there, by how its format says where it ends: nothing is unpacked for it.

A download or copy that was cut is noticed when an image is taken in, and not when a container is made of it.
gzip, bzip2, lzma and plain tarballs do not say it without being read as a whole.
"""

from collections.abc import Iterator
from typing import BinaryIO

XZ_END = b"YZ"
"""The last bytes of the footer of a stream (the .xz file format, 2.1.2.4)."""
XZ_PADDING = 65536
"""Of zeroes after a stream as many are looked through."""
SQUASHFS_USED = 40
"""Where the superblock has the bytes of the archive in 8 bytes (kernel, fs/squashfs/squashfs_fs.h)."""
ZSTD_FRAME, ZSTD_SKIPPED = 0xFD2FB528, 0x184D2A50
"""RFC 8878, 3.1; the last four bits of the latter are free."""
ZSTD_STEPS = 2_000_000
"""No packer makes more blocks (they have up to 128 KiB): such a file is not walked through."""


def is_cut(file: BinaryIO, kind: str) -> bool:
    """Whether the file, of this kind (model.image.kind_of), ends before its format says that it does."""
    check = {"xz": _is_cut_xz, "squashfs": _is_cut_squashfs, "zst": _is_cut_zstd}.get(kind)
    return check is not None and check(file, file.seek(0, 2))


def _is_cut_xz(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - XZ_PADDING))
    return not file.read().rstrip(b"\0").endswith(XZ_END)


def _is_cut_squashfs(file: BinaryIO, size: int) -> bool:
    return not 0 <= _number(file, SQUASHFS_USED, 8) <= size


def _is_cut_zstd(file: BinaryIO, size: int) -> bool:
    place, steps = 0, iter(range(ZSTD_STEPS))
    try:
        while 0 <= place < size:
            next(steps)
            place = _after_frame(file, place, steps)
    except StopIteration:
        return False
    return place != size


def _after_frame(file: BinaryIO, place: int, steps: Iterator[int]) -> int:
    """Where the frame that begins here ends; -1: none begins here. StopIteration: too many blocks."""
    magic = _number(file, place, 4)
    if magic & 0xFFFFFFF0 == ZSTD_SKIPPED:
        return place + 8 + _number(file, place + 4, 4)
    if magic != ZSTD_FRAME:
        return -1
    described = _number(file, place + 4, 1)
    is_single, has_checksum = described >> 5 & 1, described >> 2 & 1
    size_bytes = (is_single, 2, 4, 8)[described >> 6]
    place += 5 + (1 - is_single) + (0, 1, 2, 4)[described & 3] + size_bytes
    last = 0
    while not last:
        next(steps)
        block = _number(file, place, 3)
        if block < 0:
            return -1
        last, kind, length = block & 1, block >> 1 & 3, block >> 3
        place += 3 + (1 if kind == 1 else length)
    return place + 4 * has_checksum


def _number(file: BinaryIO, place: int, width: int) -> int:
    """A little-endian number; -1 if the file ends before."""
    file.seek(place)
    found = file.read(width)
    return int.from_bytes(found, "little") if len(found) == width else -1
