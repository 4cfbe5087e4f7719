"""Storage driver `lvm`: each volume a thin volume with a file system; clones are thin snapshots.

The volume group is on a loop file of ours, on a block device, or exists already. The thin pool in
it is made unless there is an empty one. Tags say what is ours: nothing else is ever removed.
"""

import asyncio
import os
import platform
import re
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from wardian.drivers.storage import attached, folders
from wardian.drivers.storage.attached import AttachedStorage
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import lvm, mounts, process, syscalls
from wardian.linux.lvm import LogicalVolume
from wardian.ports.storage import Space, Volume

CLAIM, MADE = "wardian=", "wardian.made"
"""Tags of a volume group or thin pool: which storage pool it belongs to; that it was made for that."""

FILE_SYSTEMS: dict[str, tuple[tuple[str, ...], str]] = {
    "ext4": (("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=1"), "discard,noinit_itable"),
    "xfs": (("mkfs.xfs", "-q", "-K"), "discard,nouuid"),
    "btrfs": (("mkfs.btrfs", "-q", "-K"), "discard=async,user_subvol_rm_allowed"),
}
"""How each is made, without touching blocks that read as zero anyway, and mounted. Clones have the UUID
of their origin: of no matter for ext4, for xfs with `nouuid`, for btrfs since this version of Linux."""
BTRFS_CLONES = (6, 7)


@dataclass(frozen=True)
class Group:
    """Where a pool is. image, device: what the volume group is made on; neither: it exists."""

    name: str
    thinpool: str
    image: Path | None = None
    size_bytes: int = 0
    device: str = ""


def is_available() -> bool:
    """Whether this host has the tools and the kernel's part."""
    tools = all(shutil.which(tool) for tool in ("lvcreate", "thin_check", "mkfs.ext4"))
    return tools and mounts.has_module("dm-thin-pool")


class LvmStorage(AttachedStorage):
    """A pool of thin volumes. filesystem, volume_bytes: of volumes made from nothing."""

    driver = "lvm"

    def __init__(self, name: str, root: Path, group: Group, *, filesystem: str, volume_bytes: int) -> None:
        super().__init__(name, root)
        self.version = platform.release()
        self._group = group
        self._filesystem = filesystem
        self._volume_bytes = volume_bytes
        self.traits = replace(self.traits, size_bytes=volume_bytes)

    # --- the pool --------------------------------------------------------------------------------

    async def create_pool(self) -> None:
        """See ports.Storage."""
        what, group = f'make storage pool "{self.name}"', self._group
        folders.refuse_content(self._folders.root)
        with self._said(what):
            async with AsyncExitStack() as undo:
                if group.image or group.device:
                    await self._make_group(what, undo)
                elif not await self._has_group():
                    raise InvalidInput(f"LVM volume group '{group.name}' not found")
                await self._take_thinpool(what, undo)
                undo.callback(self._remove_folders)
                self._make_folders()
                undo.pop_all()

    async def _make_group(self, what: str, undo: AsyncExitStack) -> None:
        group = self._group
        if await self._has_group():
            raise InvalidInput(
                f'LVM volume group "{group.name}" exists already; name it as the source, or another one '
                "with lvm.vg_name"
            )
        device = group.device
        if group.image:
            attached.make_image(group.image, group.size_bytes)
            undo.callback(group.image.unlink)
            device = await self._attach_image(group.image)
            undo.push_async_callback(self._tool, what, "losetup", "--detach", device)
        await self._tool(what, "vgcreate", "--addtag", self._claim, group.name, device)
        undo.push_async_callback(self._remove_group, what, device)

    async def _remove_group(self, what: str, device: str) -> None:
        await self._tool(what, "vgremove", "--force", "--yes", self._group.name)
        await self._tool(what, "pvremove", "--yes", device)

    async def _take_thinpool(self, what: str, undo: AsyncExitStack) -> None:
        group, place = self._group, self._address(self._group.thinpool)
        present = {volume.name: volume for volume in await self._report()}
        found = present.get(group.thinpool)
        if found is None:
            sizes = ("--extents", "100%FREE", "--errorwhenfull", "y")
            tags = ("--addtag", MADE, "--addtag", self._claim)
            await self._tool(what, "lvcreate", "--yes", *sizes, *tags, "--thinpool", place)
            undo.push_async_callback(self._tool, what, "lvremove", "--force", "--yes", place)
            return
        if not found.is_pool:
            raise InvalidInput(f'"{place}" is not a thin pool')
        claimed = any(tag.startswith(CLAIM) for tag in found.tags)
        if claimed or any(volume.pool == group.thinpool for volume in present.values()):
            raise InvalidInput(f'the thin pool "{place}" is in use; name another with lvm.thinpool_name')
        await self._tool(what, "lvchange", "--addtag", self._claim, place)
        undo.push_async_callback(self._tool, what, "lvchange", "--deltag", self._claim, place)

    async def delete_pool(self) -> None:
        """See ports.Storage."""
        self._refuse_volumes()
        what, group = f'delete storage pool "{self.name}"', self._group
        ours = self._claim in await self._group_tags()
        if group.image or group.device:
            device = await self._loop() if group.image else group.device
            if ours:
                await self._remove_group(what, device)
            if group.image:
                if device:
                    await self._tool(what, "losetup", "--detach", device)
                group.image.unlink(missing_ok=True)
        else:
            await self._give_thinpool_back(what)
        self._remove_folders()

    async def _give_thinpool_back(self, what: str) -> None:
        pool = next((v for v in await self._report() if v.name == self._group.thinpool), None)
        if pool is None or self._claim not in pool.tags:
            return
        if MADE in pool.tags:
            await self._tool(what, "lvremove", "--force", "--yes", self._address(pool.name))
        else:
            await self._tool(what, "lvchange", "--deltag", self._claim, self._address(pool.name))

    async def open(self) -> None:
        """See ports.Storage."""
        with self._said("open the pool"):
            if self._group.image and not await self._loop():
                await self._attach_image(self._group.image)
            if not await self._has_group():
                raise InvalidInput(f"LVM volume group '{self._group.name}' not found")
            self._make_folders()
        await self._mount_customs()

    async def close(self) -> None:
        """See ports.Storage."""
        what = f'close storage pool "{self.name}"'
        await self._unmount_all()
        if self._group.image and (device := await self._loop()):
            await self._tool(what, "vgchange", "--activate", "n", self._group.name)
            await self._tool(what, "losetup", "--detach", device)

    async def grow(self, size_bytes: int) -> None:
        """See ports.Storage."""
        image, what = self._group.image, f'enlarge storage pool "{self.name}"'
        if image is None:
            raise InvalidInput(f'storage pool "{self.name}" is not in a loop file of its own')
        if size_bytes < image.stat().st_size:
            raise InvalidInput(f'the loop file of storage pool "{self.name}" can only be made larger')
        with self._said(what):
            os.truncate(image, size_bytes)
        device = await self._loop()
        await self._tool(what, "losetup", "--set-capacity", device)
        await self._tool(what, "pvresize", "--quiet", device)
        place = self._address(self._group.thinpool)
        await self._tool(what, "lvextend", "--quiet", "--extents", "+100%FREE", place)

    async def space(self) -> Space:
        """See ports.Storage."""
        pool = await self._find(self._group.thinpool)
        return Space(int(pool.size * pool.used), pool.size)

    # --- what is outside of volumes --------------------------------------------------------------

    async def _loop(self) -> str:
        """The loop device of the image; empty if it has none."""
        found = await self._tool(
            "find a loop device", "losetup", "-n", "-O", "NAME", "-j", str(self._group.image)
        )
        return found.split()[0] if found.split() else ""

    async def _attach_image(self, image: Path) -> str:
        return (await self._tool("attach a loop file", "losetup", "--find", "--show", str(image))).strip()

    @property
    def _claim(self) -> str:
        """A tag that no other pool has: with the folder of this one, in the characters that tags have."""
        return CLAIM + re.sub("[^A-Za-z0-9_+./-]", "_", str(self._folders.root))[-200:]

    async def _has_group(self) -> bool:
        names = await self._tool("list volume groups", "vgs", "--noheadings", "-o", "vg_name")
        return self._group.name in names.split()

    async def _group_tags(self) -> list[str]:
        argv = ("vgs", "--noheadings", "-o", "vg_tags", "--select", f'vg_name="{self._group.name}"')
        return (await self._tool("look at a volume group", *argv)).strip().split(",")

    async def _report(self) -> list[LogicalVolume]:
        """All volumes of the group; none if there is no such group."""
        argv = ("lvs", *lvm.REPORT, "-o", lvm.POOL_FIELDS, "--select", f'vg_name="{self._group.name}"')
        return lvm.parse_volumes(await self._tool(f'list volume group "{self._group.name}"', *argv))

    async def _find(self, name: str) -> LogicalVolume:
        for found in await self._report():
            if found.name == name:
                return found
        raise HostFailed(f'logical volume "{self._address(name)}" does not exist')

    def _address(self, name: str) -> str:
        return f"{self._group.name}/{name}"

    def _device(self, backing: str) -> str:
        return f"/dev/{self._address(backing)}"

    # --- file systems ----------------------------------------------------------------------------

    def _link(self, backing: str) -> str:
        return self._device(backing)

    def _name(self, volume: Volume, origin: str = "") -> str:
        return attached.new_backing(volume, f".{_filesystem(origin) if origin else self._filesystem}")

    async def _backings(self) -> list[str]:
        return [
            volume.name
            for volume in await self._report()
            if volume.pool == self._group.thinpool and attached.OURS.fullmatch(volume.name)
        ]

    async def _make(self, backing: str) -> None:
        what = "make a volume"
        if self._filesystem == "btrfs" and _kernel() < BTRFS_CLONES:
            raise InvalidInput("btrfs on LVM needs Linux 6.7 or newer; use ext4 or xfs, or the driver btrfs")
        thin = ("--thinpool", self._address(self._group.thinpool), "--virtualsize", f"{self._volume_bytes}b")
        active = ("--setactivationskip", "y", "--ignoreactivationskip", "--activate", "y")
        await self._tool(what, "lvcreate", "--yes", *thin, *active, "--name", backing)
        program, _ = FILE_SYSTEMS[self._filesystem]
        await self._tool(what, *program, self._device(backing))

    async def _clone(self, origin: str, folder: Path, backing: str) -> None:
        """The kernel freezes what is mounted for the moment, but for btrfs, which is whole at any time."""
        what = "clone a volume"
        if _filesystem(origin) == "btrfs":
            await asyncio.to_thread(_sync, folder)
        await self._tool(what, "lvcreate", "--yes", "--snapshot", "--name", backing, self._address(origin))

    async def _drop(self, backing: str) -> None:
        if backing in await self._backings():
            await self._tool("remove a volume", "lvremove", "--force", "--yes", self._address(backing))

    async def _activate(self, backing: str) -> None:
        if not os.path.exists(self._device(backing)):
            argv = ("lvchange", "--activate", "y", "--ignoreactivationskip", self._address(backing))
            await self._tool("activate a volume", *argv)

    async def _attach(self, backing: str, folder: Path, *, read_only: bool) -> None:
        await self._activate(backing)
        kind = _filesystem(backing)
        options = FILE_SYSTEMS[kind][1] + (",ro" if read_only else "")
        argv = ("mount", "-t", kind, "-o", options, "--", self._device(backing), str(folder))
        await self._tool("mount a volume", *argv)

    async def _detached(self, backing: str) -> None:
        """What somebody still uses stays active, which does no harm."""
        await attached.to_the_end(["lvchange", "--activate", "n", self._address(backing)])

    # --- sizes -----------------------------------------------------------------------------------

    async def usage(self, volume: Volume) -> int | None:
        """See ports.Storage."""
        if attached.mounted(self._folders.path(volume)) is not None:
            found = os.statvfs(self.path(volume))
            return (found.f_blocks - found.f_bfree) * found.f_frsize
        volume_found = await self._find(self._backing(volume))
        return int(volume_found.size * volume_found.used)

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """See ports.Storage: the volume gets that size; without one, at least that of new volumes."""
        backing = self._backing(volume)
        present = (await self._find(backing)).size
        if size_bytes is None:
            size_bytes = max(present, self._volume_bytes)
        if size_bytes > present:
            await self._enlarge(volume, backing, size_bytes)
        elif size_bytes < present:
            await self._shrink(volume, backing, size_bytes)

    async def _enlarge(self, volume: Volume, backing: str, size: int) -> None:
        what, folder = f'enlarge volume "{volume.name}"', str(self.path(volume))
        was_mounted = attached.mounted(self._folders.path(volume)) is not None
        await self.mount(volume)
        await self._tool(what, "lvextend", "--size", f"{size}b", self._address(backing))
        await self._tool(
            what,
            *{
                "ext4": ("resize2fs", self._device(backing)),
                "xfs": ("xfs_growfs", folder),
                "btrfs": ("btrfs", "filesystem", "resize", "max", folder),
            }[_filesystem(backing)],
        )
        if not was_mounted:
            await self.unmount(volume)

    async def _shrink(self, volume: Volume, backing: str, size: int) -> None:
        """Only ext4 can, and only while it is not mounted."""
        what, device = f'shrink volume "{volume.name}"', self._device(backing)
        if _filesystem(backing) != "ext4":
            raise InvalidInput(
                f"cannot {what}: {_filesystem(backing)} is not made smaller; its least size is that of new "
                f'volumes ("volume.size" of storage pool "{self.name}")'
            )
        was_mounted = attached.mounted(self._folders.path(volume)) is not None
        try:
            async with self._lock:
                if was_mounted:
                    self._unmount_unused(volume)
                await self._activate(backing)
                await self._shrink_ext4(what, device, size)
                argv = ("lvreduce", "--force", "--yes", "--size", f"{size}b", self._address(backing))
                await self._tool(what, *argv)
        finally:
            if was_mounted:
                await self.mount(volume)

    async def _shrink_ext4(self, what: str, device: str, size: int) -> None:
        checked = await attached.to_the_end(["e2fsck", "-f", "-p", device])
        if checked.status > 1:  # 1: errors were corrected
            raise process.ProgramFailed(what, checked)
        resized = await attached.to_the_end(["resize2fs", device, f"{size // 1024}K"])
        if b"smaller than minimum" in resized.stderr:
            raise InvalidInput(f"cannot {what} to {size} bytes: its files need more")
        if resized.status:
            raise process.ProgramFailed(what, resized)

    def _unmount_unused(self, volume: Volume) -> None:
        try:
            syscalls.umount2(self.path(volume))
        except OSError as error:
            raise InvalidInput(
                f'volume "{volume.name}" is in use and cannot be made smaller; stop the container'
            ) from error


def _filesystem(backing: str) -> str:
    """What is on a volume: its name ends with it."""
    return backing.rpartition(".")[2]


def _kernel() -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)
