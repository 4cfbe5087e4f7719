"""Kernel calls that Python's os module lacks: one function per call, with the kernel's name.

Each raises OSError with the path that it was given. Only ctypes and os are imported, because
programs that start often use this file (linux/confine.py). Calls without a wrapper in old C
libraries go by number; the numbers from 424 on are the same on every architecture.
"""

import ctypes
import errno
import os
from collections.abc import Sequence

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000

OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_NOSUID = 0x00000002
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_NOEXEC = 0x00000008
MOUNT_ATTR_IDMAP = 0x00100000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

RENAME_NOREPLACE = 0x1
RENAME_EXCHANGE = 0x2

SYNC_FILE_RANGE_WRITE = 0x2

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

CAP_CHOWN = 0
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_FOWNER = 3
CAP_FSETID = 4
CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21
CAP_MKNOD = 27
CAP_SETFCAP = 31
MOST_CAPABILITIES = 64
_CAPABILITY_VERSION_3 = 0x20080522

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


StrPath = str | os.PathLike[str]


def _checked(result: int, path: StrPath | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path and os.fspath(path))
    return result


def _syscall(number: int, *args: object, path: StrPath | None = None) -> int:
    """Call by number. Plain ints are passed as C longs: no argument may be cut to 32 bits."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide), path)


def by_number(number: int, *args: object) -> int:
    """A call that the C library may not know."""
    return _syscall(number, *args)


def openat2(dir_fd: int, path: StrPath, flags: int, *, resolve: int, mode: int = 0) -> int:
    """Open `path` from dir_fd, with RESOLVE_* limits on where it may lead; the fd is close-on-exec.

    EXDEV or ELOOP if the path leads out of the limits. EAGAIN after a racing rename: tried again.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return _syscall(
                _SYS_OPENAT2, dir_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how), path=path
            )
        except BlockingIOError:
            continue


def open_tree(dir_fd: int, path: StrPath, flags: int) -> int:
    """An fd of a mount; with OPEN_TREE_CLONE, of a detached copy that lives until the fd is closed."""
    return _syscall(_SYS_OPEN_TREE, dir_fd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC, path=path)


def move_mount(tree_fd: int, target: StrPath) -> None:
    """Attach a detached mount at `target`."""
    _syscall(
        _SYS_MOVE_MOUNT, tree_fd, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH, path=target
    )


def move_mount_to(tree_fd: int, target_fd: int, target: StrPath) -> None:
    """Attach a detached mount at an open place; target: what errors call it."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _syscall(_SYS_MOVE_MOUNT, tree_fd, b"", target_fd, b"", flags, path=target)


def mount_setattr(
    tree_fd: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
    recursive: bool = False,
) -> None:
    """Change MOUNT_ATTR_* of a mount. With MOUNT_ATTR_IDMAP, owners are mapped as in userns_fd.

    propagation: MS_PRIVATE, MS_SLAVE, ..., or 0 to leave it.
    """
    attr = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _syscall(_SYS_MOUNT_SETATTR, tree_fd, b"", flags, ctypes.byref(attr), ctypes.sizeof(attr))


def mount(source: StrPath, target: StrPath, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2). kind: file system type, None for bind and remount."""
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind and kind.encode(),
            ctypes.c_ulong(flags),
            data and data.encode(),
        ),
        target,
    )


def umount2(target: StrPath, flags: int = 0) -> None:
    """Unmount what is on top at `target`."""
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new_root: StrPath, put_old: StrPath) -> None:
    """Make new_root the root of this mount namespace; the old one is then at put_old."""
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _syscall(number, os.fsencode(new_root), os.fsencode(put_old), path=new_root)


def unshare(flags: int) -> None:
    """Leave the CLONE_NEW* namespaces for new ones (CLONE_NEWPID: for children only)."""
    _checked(_libc.unshare(flags))


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace of the fd; the calling thread only."""
    _checked(_libc.setns(fd, flags))


def setfsuid(uid: int) -> None:
    """Own what is made from now on, and be asked for permission, as this user; the calling thread only."""
    _libc.setfsuid(ctypes.c_uint(uid))


def setfsgid(gid: int) -> None:
    """The same for the group."""
    _libc.setfsgid(ctypes.c_uint(gid))


def renameat2(old: StrPath, new: StrPath, flags: int) -> None:
    """Rename with RENAME_NOREPLACE (EEXIST if `new` exists) or RENAME_EXCHANGE (both swap places)."""
    _checked(_libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags), new)


def syncfs(fd: int) -> None:
    """Write everything of the file system that holds fd to disk."""
    _checked(_libc.syncfs(fd))


def begin_writeback(fd: int) -> None:
    """Have the kernel begin to write the data of a file to its disk, and do not wait for that."""
    _checked(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE))


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument; the unused ones are zero, as newer options demand."""
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def capset(capabilities: Sequence[int]) -> None:
    """Keep only these capabilities (CAP_*, all below 32), permitted and effective; capset(2)."""
    mask = sum(1 << number for number in capabilities)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    _checked(_libc.capset(header, data))


def bound(capabilities: Sequence[int]) -> None:
    """Let no program that is executed from now on have other capabilities than these (CAP_*)."""
    for number in range(MOST_CAPABILITIES):
        if number in capabilities:
            continue
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # the kernel has no more of them
                return
            raise


def fstatfs_type(fd: int) -> int:
    """The magic number of the file system that holds the fd (statfs(2), f_type)."""
    buffer = ctypes.create_string_buffer(256)
    _checked(_libc.fstatfs(fd, buffer))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
