"""Attach or remove one mount in another mount namespace.

A program of its own (`python3 -I -S inside.py ...`): a thread of the daemon cannot enter a mount
namespace. All that it needs is loaded, and all of the host that it needs is open, before it enters.
From then on it is root of the container and nothing else; paths are resolved within the container's
root, whatever links lie there.

Usage: inside.py attach USERNS_FD|- MNTNS_FD PLACE bind|rbind folder|file TARGET
       inside.py detach USERNS_FD|- MNTNS_FD DEVICE:INODE keep|remove TARGET

`attach` shows at TARGET what is at PLACE on the host. A mount that comes from a namespace of more power
is locked: it stays read-only, whatever root of the container tries (mount_namespaces(7)). To have it so, it
is cloned from a copy of the host's mount namespace that belongs to the container's user namespace.

`detach` removes what is mounted at the target only while it is the given file; what is not there
(any more) is no error. `remove`: also the empty file that it was mounted on. On failure the last line of
stderr says what failed and why.
"""

import errno
import os
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from wardian.linux import syscalls

WITHIN = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
FOLDER_MODE = 0o755
FILE_MODE = 0o644


def give_up_power(userns: str) -> None:
    """Enter the container's user namespace (-: it has none), where we have power over it alone."""
    if userns != "-":
        os.setgroups([])
        syscalls.setns(int(userns), syscalls.CLONE_NEWUSER)


def clone(userns: str, place: str, how: str) -> int:
    """An fd of a detached, locked clone of the mount at a place of the host."""
    folder, name = os.path.split(place)
    os.chdir(folder)
    if userns != "-":
        syscalls.unshare(syscalls.CLONE_NEWNS)
    recursive = syscalls.AT_RECURSIVE if how == "rbind" else 0
    return syscalls.open_tree(syscalls.AT_FDCWD, name, syscalls.OPEN_TREE_CLONE | recursive)


def enter(userns: str, mntns_fd: int) -> int:
    """Become root of the container; an fd of its root folder."""
    syscalls.setns(mntns_fd, syscalls.CLONE_NEWNS)
    if userns != "-":
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return os.open("/", os.O_PATH | os.O_DIRECTORY)


def open_place(root: int, target: str, *, is_folder: bool) -> int:
    """An O_PATH fd of the target; it and the folders above it are made where they are missing."""
    parent = root
    parts = target.split("/")
    for number in range(1, len(parts) + 1):
        path = "/".join(parts[:number])
        try:
            place = syscalls.openat2(root, path, os.O_PATH, resolve=WITHIN)
        except FileNotFoundError:
            make(parent, parts[number - 1], is_folder=is_folder or number < len(parts))
            place = syscalls.openat2(root, path, os.O_PATH, resolve=WITHIN)
        parent = place
    return parent


def make(parent: int, name: str, *, is_folder: bool) -> None:
    """An empty folder or file; EEXIST also for a link that leads nowhere."""
    if is_folder:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        os.close(os.open(name, flags, FILE_MODE, dir_fd=parent))


def attach(root: int, tree_fd: int, kind: str, target: str) -> None:
    """Put a detached mount at the target."""
    syscalls.move_mount_to(tree_fd, open_place(root, target, is_folder=kind == "folder"), target)


def detach(root: int, proc_fds: int, expected: str, point: str, target: str) -> None:
    """Remove what is mounted at the target, as long as it is the expected file."""
    os.fchdir(proc_fds)
    unmount(root, expected, target)
    if point == "remove":
        remove_empty_file(root, target)


def remove_empty_file(root: int, target: str) -> None:
    """Remove an empty file that nothing is mounted on; anything else stays."""
    folder, name = os.path.split(target)
    try:
        parent = syscalls.openat2(root, folder or ".", os.O_PATH | os.O_DIRECTORY, resolve=WITHIN)
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:
            os.unlink(name, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return


def unmount(root: int, expected: str, target: str) -> None:
    """Remove the expected file from the target as often as it is mounted there. Works in /proc/self/fd."""
    while True:
        try:
            place = syscalls.openat2(root, target, os.O_PATH, resolve=WITHIN)
        except (FileNotFoundError, NotADirectoryError):
            return
        found = os.fstat(place)
        if f"{found.st_dev}:{found.st_ino}" != expected:
            return
        try:
            syscalls.umount2(str(place), syscalls.MNT_DETACH)
        except OSError as error:
            if error.errno == errno.EINVAL:  # no mount, but the very file
                return
            raise
        os.close(place)


def main(arguments: list[str]) -> int:
    """0, or 1 with the reason on stderr."""
    action, userns, mntns, what, *rest = arguments
    proc_fds = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    os.umask(0)
    try:
        if os.fstat(int(mntns)).st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            raise OSError(errno.ESRCH, "the container is gone")
        give_up_power(userns)
        if action == "attach":
            tree = clone(userns, what, rest[0])
            attach(enter(userns, int(mntns)), tree, *rest[1:])
        else:
            detach(enter(userns, int(mntns)), proc_fds, what, *rest)
    except OSError as error:
        sys.stderr.write(f"{error.filename or rest[-1]}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
