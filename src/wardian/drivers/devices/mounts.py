"""Things of the host that appear in containers: got ready on the host, given to running containers.

Everything passes a place below the daemon's folder of devices: the runtime binds it from there at
start, and a clone of it is moved into a running container. So what a container has stays there
whatever becomes of the source, and all of it is found and removed again by its place.
"""

import asyncio
import errno
import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

from wardian.drivers.devices.base import Device
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import inside, mounts, process, syscalls, userns
from wardian.model.plans import DevicePlan, Mount, Node
from wardian.ports.runtime import Started

FOLDER_MODE = 0o710
"""Of a container's folder: its root (by group) passes through at start, other users of the host do not."""


class MountedDevice(Device):
    """A device that is nothing but mounts."""

    async def prepare(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""
        done: list[Mount] = []
        try:
            for mount in plan.mounts:
                done.append(mount)
                await _make_ready(plan.device, mount)
        except BaseException:
            for mount in reversed(done):
                await asyncio.to_thread(_remove, mount)
            raise

    async def release(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver. An empty file or folder stays in place: the runtime may bind it again."""
        for mount in reversed(plan.mounts):
            try:
                await asyncio.to_thread(_remove, mount)
            except OSError as error:
                raise HostFailed(
                    f'cannot unmount "{mount.place}" of device "{plan.device}": {error.strerror}'
                ) from error

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for number, mount in enumerate(plan.mounts):
            try:
                await _move_inside(plan.device, mount, started)
            except BaseException:
                for earlier in reversed(plan.mounts[:number]):
                    await _take_out(plan.device, earlier, started)
                raise

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for mount in reversed(plan.mounts):
            await _take_out(plan.device, mount, started)


# --- on the host -------------------------------------------------------------------------------


async def _make_ready(device: str, mount: Mount) -> None:
    """Make the mount's place show what the container shall see."""
    with ExitStack() as fds:
        namespace = 0
        if mount.owners is not None:
            namespace = await userns.create(mount.owners)
            fds.callback(os.close, namespace)
        try:
            await asyncio.to_thread(_make_place, mount)
            if mount.is_filesystem:
                argv = ["mount", "-o", "ro,nodev" if mount.read_only else "nodev", "--source", mount.source]
                what = f'mount "{mount.source}" for device "{device}"'
                await process.check(what, [*argv, "--target", mount.place])
            await asyncio.to_thread(_bind, device, mount, namespace)
        except OSError as error:
            raise HostFailed(
                f'cannot make "{mount.source}" ready for device "{device}": {error.strerror}'
            ) from error


def _make_place(mount: Mount) -> None:
    """An empty folder or file to mount on, or the node."""
    place = Path(mount.place)
    place.parent.mkdir(exist_ok=True)
    place.parent.chmod(FOLDER_MODE)
    os.chown(place.parent, 0, mount.group)
    _remove(mount)
    if mount.node is not None:
        place.unlink()
        _make_node(place, mount.node)


def _make_node(place: Path, node: Node) -> None:
    kind = stat.S_IFCHR if node.kind == "char" else stat.S_IFBLK
    os.mknod(place, kind | 0o600, os.makedev(node.major, node.minor))
    os.chown(place, node.uid, node.gid)
    place.chmod(node.mode)


def _bind(device: str, mount: Mount, namespace: int) -> None:
    """Mount the source (or what was put there already) at the place, with the flags that it shall have."""
    source = mount.place if mount.node or mount.is_filesystem else mount.source
    recursive = mount.recursive
    flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if recursive else 0)
    tree = syscalls.open_tree(syscalls.AT_FDCWD, source, flags)
    try:
        spread = syscalls.MS_SLAVE if recursive else syscalls.MS_PRIVATE
        set_flags = syscalls.MOUNT_ATTR_RDONLY if mount.read_only else 0
        clear = syscalls.MOUNT_ATTR_NODEV if mount.node else 0  # the daemon's own folder may be nodev
        syscalls.mount_setattr(
            tree, attr_set=set_flags, attr_clr=clear, propagation=spread, recursive=recursive
        )
        if namespace:
            _map_owners(device, mount, tree, namespace)
        syscalls.move_mount(tree, mount.place)
        # Below a shared mount it has become shared: nothing that happens inside shall come out.
        syscalls.mount("none", mount.place, None, spread | (syscalls.MS_REC if recursive else 0))
    finally:
        os.close(tree)


def _map_owners(device: str, mount: Mount, tree: int, namespace: int) -> None:
    try:
        syscalls.mount_setattr(
            tree, attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=namespace, recursive=mount.recursive
        )
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        holding = mounts.holding(Path(mount.place if mount.is_filesystem else mount.source))
        kind = holding.kind if holding else "unknown"
        raise InvalidInput(
            f'device "{device}": the file system of "{mount.source}" ({kind}) cannot shift owners; '
            'remove "shift", and map an id of the host with raw.idmap (as in "both 1000 1000")'
        ) from error


def _remove(mount: Mount) -> None:
    """Unmount all that is at the place and leave an empty folder or file there."""
    place = Path(mount.place)
    while True:
        try:
            syscalls.umount2(place, syscalls.MNT_DETACH)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                break
            raise
    if not place.parent.exists():
        return
    if place.is_dir():
        if mount.is_folder:
            return
        place.rmdir()
    else:
        place.unlink(missing_ok=True)
    if mount.is_folder:
        place.mkdir(mode=0o700)
    else:
        place.touch(mode=0o600)


# --- in a running container --------------------------------------------------------------------


async def _move_inside(device: str, mount: Mount, started: Started) -> None:
    how, kind = "rbind" if mount.recursive else "bind", "folder" if mount.is_folder else "file"
    await _run_inside(device, started, "attach", [mount.place, how, kind, mount.target])


async def _take_out(device: str, mount: Mount, started: Started) -> None:
    try:
        shown = os.stat(mount.place)
    except OSError:
        return
    words = [f"{shown.st_dev}:{shown.st_ino}", "remove" if mount.node else "keep", mount.target]
    await _run_inside(device, started, "detach", words)


async def _run_inside(device: str, started: Started, action: str, words: list[str]) -> None:
    """Run linux/inside.py; the last word is the target."""
    with ExitStack() as fds:
        try:
            user, mnt = (_namespace(started, kind, fds) for kind in ("user", "mnt"))
        except FileNotFoundError:
            if action == "detach":
                return
            raise HostFailed(f'container "{started.name}" is not running any more') from None
        is_own = os.fstat(user).st_ino == os.stat("/proc/self/ns/user").st_ino
        argv = [sys.executable, "-I", "-S", inside.__file__, action, "-" if is_own else str(user), str(mnt)]
        completed = await process.run([*argv, *words], pass_fds=(user, mnt))
    if completed.status:
        reason = completed.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise HostFailed(
            f'cannot {action} device "{device}" at "/{words[-1]}" of container "{started.name}": {reason[0]}'
        )


def _namespace(started: Started, kind: str, fds: ExitStack) -> int:
    fd = os.open(f"/proc/{started.init_pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    fds.callback(os.close, fd)
    return fd
