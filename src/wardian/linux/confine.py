"""Run a program that can touch one folder and nothing else of the host.

A program of its own (`python3 -I -S confine.py ...`), started by drivers/rootfs for every archive and by
drivers/storage for every volume that travels: content is never trusted. Order of
events, all before the confined program starts:

1. new mount, network, IPC and process namespaces;
2. a new root of tmpfs with the system's programs read-only, and the given mounts at /target and
   /archive (detached idmapped mounts made by the daemon: owners on disk stay unshifted);
3. the old root is gone, then our own privileges: a user namespace whose root is nobody outside. Without
   one (files of any owner, devices) root keeps the rights to make and read files, and no others; with `+`
   in its place also those over the file system, as to make subvolumes.

Usage: confine.py USERNS_FD|-|+ TARGET_FD|- ARCHIVE_FD|- [FD:/PLACE ...] PROGRAM [ARG ...]

FD:/PLACE are further mounts, each on a folder that is made, or is in the one before.
"""

import os
import re
import resource
import signal
import sys
import warnings  # noqa: F401 (os.execvpe asks for it when the interpreter's own folder may be out of sight)
from collections.abc import Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from wardian.linux import syscalls

SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
NEW_ROOT = "/tmp"
PLACED = re.compile("([0-9]+):(/.*)", re.DOTALL)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
FILE_RIGHTS = (
    *(syscalls.CAP_CHOWN, syscalls.CAP_DAC_OVERRIDE, syscalls.CAP_FOWNER, syscalls.CAP_FSETID),
    *(syscalls.CAP_MKNOD, syscalls.CAP_SETFCAP),
)
"""To own, read and make files of every kind; not to open devices, mount, or open files by their number."""
ADMIN_RIGHTS = (*FILE_RIGHTS, syscalls.CAP_SYS_CHROOT, syscalls.CAP_SYS_ADMIN)
OPEN_FILES = 4096
PROCESSES = 256


def make_root(target_fd: int | None, archive_fd: int | None, more: Sequence[tuple[int, str]]) -> None:
    """Build the new root at NEW_ROOT and move into it; more: further mounts and their places."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("none", NEW_ROOT, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=1M")
    for name in SYSTEM:
        show_system(name)
    os.mkdir(f"{NEW_ROOT}/target")
    os.mkdir(f"{NEW_ROOT}/old")
    os.mkdir(f"{NEW_ROOT}/tmp", 0o777)
    if target_fd is not None:
        syscalls.move_mount(target_fd, f"{NEW_ROOT}/target")
    if archive_fd is not None:
        os.close(os.open(f"{NEW_ROOT}/archive", os.O_WRONLY | os.O_CREAT, 0o600))
        syscalls.move_mount(archive_fd, f"{NEW_ROOT}/archive")
    for fd, place in more:
        os.makedirs(f"{NEW_ROOT}{place}", exist_ok=True)
        syscalls.move_mount(fd, f"{NEW_ROOT}{place}")
    os.chdir(NEW_ROOT)
    syscalls.pivot_root(".", "old")
    os.chdir("/")
    syscalls.umount2("/old", syscalls.MNT_DETACH)


def show_system(name: str) -> None:
    """Show a top folder of the host read-only; where it is a link, make the same link."""
    source, place = f"/{name}", f"{NEW_ROOT}/{name}"
    if os.path.islink(source):
        os.symlink(os.readlink(source), place)
    elif os.path.isdir(source):
        os.mkdir(place)
        tree = syscalls.open_tree(syscalls.AT_FDCWD, source, syscalls.OPEN_TREE_CLONE)
        read_only = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOSUID
        syscalls.mount_setattr(tree, attr_set=read_only)
        syscalls.move_mount(tree, place)
        os.close(tree)


def drop_privileges(userns_fd: int | None, rights: Sequence[int]) -> None:
    """Become root of the user namespace, which is nobody outside; or root with few rights."""
    os.setgroups([])
    if userns_fd is not None:
        syscalls.setns(userns_fd, syscalls.CLONE_NEWUSER)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if userns_fd is None:
        syscalls.bound(rights)
        syscalls.capset(rights)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: list[str]) -> int:
    """Run the program; its exit status, or 128 + the signal that killed it."""
    userns, target, archive, *program = arguments
    more = []
    while match := PLACED.fullmatch(program[0]):
        more.append((int(match[1]), match[2]))
        program.pop(0)
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWPID
    syscalls.unshare(flags)
    make_root(None if target == "-" else int(target), None if archive == "-" else int(archive), more)
    child = os.fork()
    if child == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        rights = ADMIN_RIGHTS if userns == "+" else FILE_RIGHTS
        drop_privileges(int(userns) if userns.isdigit() else None, rights)
        os.umask(0o022)
        os.chdir("/target")
        os.closerange(3, OPEN_FILES)
        os.execvpe(program[0], program, ENVIRONMENT)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
