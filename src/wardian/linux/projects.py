"""Project quotas of ext4 and xfs: what folders use, and how much they may (ioctl_fs, quotactl(2)).

A folder has the number of a project, and what is made in it has the same. Numbers are per file system.
"""

import ctypes
import fcntl
import os
import stat
import struct

from wardian.linux import syscalls

_FSGETXATTR, _FSSETXATTR = 0x801C581F, 0x401C5820
_FSXATTR = "=IIIII8s"
"""struct fsxattr: flags, extent size, extents, project, copy-on-write extent size, unused."""
_INHERIT = 0x200
_PROJECTS = 2
_GETQUOTA, _SETQUOTA, _XGETQSTATV = 0x800007, 0x800008, 0x5808
_DQBLK = "=8QI4x"
"""struct if_dqblk: hard and soft limit in KiB, bytes used; the same for files, two times; what counts."""
_BLOCK_LIMITS = 1
_QUOTA_STATE_BYTES = 256
_COUNTED, _ENFORCED = 1 << 4, 1 << 5
_SYS_QUOTACTL_FD = 443
_KIB = 1024


def project_of(fd: int) -> int:
    """The project of an open file or folder; 0: none."""
    return int(struct.unpack(_FSXATTR, _attributes(fd))[3])


def set_project(fd: int, project: int) -> None:
    """Count an open file, or a folder and all that is made in it from now on, to a project."""
    flags, size, extents, _, cow, rest = struct.unpack(_FSXATTR, _attributes(fd))
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        flags |= _INHERIT
    fcntl.ioctl(fd, _FSSETXATTR, struct.pack(_FSXATTR, flags, size, extents, project, cow, rest))


def _attributes(fd: int) -> bytes:
    return fcntl.ioctl(fd, _FSGETXATTR, bytes(struct.calcsize(_FSXATTR)))


def state(fd: int) -> tuple[bool, bool]:
    """Whether the file system counts what projects use, and whether it holds them to their limits."""
    buffer = ctypes.create_string_buffer(_QUOTA_STATE_BYTES)
    buffer[0] = b"\1"  # the version that is asked for
    try:
        _quotactl(fd, _XGETQSTATV, 0, buffer)
    except OSError:  # no quotas at all, or none in this kernel
        return False, False
    flags = struct.unpack_from("=H", buffer, 2)[0]
    return bool(flags & _COUNTED), bool(flags & _ENFORCED)


def used_and_limit(fd: int, project: int) -> tuple[int, int]:
    """(bytes used, bytes allowed or 0) of a project on the file system that holds the fd."""
    buffer = ctypes.create_string_buffer(struct.calcsize(_DQBLK))
    try:
        _quotactl(fd, _GETQUOTA, project, buffer)
    except FileNotFoundError:  # xfs knows nothing of it
        return 0, 0
    found = struct.unpack(_DQBLK, buffer.raw)
    return found[2], found[0] * _KIB


def set_limit(fd: int, project: int, size_bytes: int) -> None:
    """Bound a project; 0: not at all."""
    kib = -(-size_bytes // _KIB)
    content = struct.pack(_DQBLK, kib, 0, 0, 0, 0, 0, 0, 0, _BLOCK_LIMITS)
    _quotactl(fd, _SETQUOTA, project, ctypes.create_string_buffer(content, len(content)))


def _quotactl(fd: int, command: int, project: int, buffer: object) -> None:
    syscalls.by_number(_SYS_QUOTACTL_FD, fd, command << 8 | _PROJECTS, project, buffer)
