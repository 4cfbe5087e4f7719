"""Storage driver `zfs`: each volume a dataset; copies are clones, of a snapshot that only they have.

The pool of ZFS is in a loop file of ours, on a block device, or exists already; then a dataset in
it may be named. A dataset that others are clones of is not deleted before one of them has been
promoted to have its snapshots: so it can always go, and its space is free at once.

A volume that is a snapshot never changes, so it is for ever what the snapshot of ZFS has that it is a
clone of, or was received as. This has the name of the volume's dataset, and is what travels.
"""

import os
import platform
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wardian.drivers.storage import attached, folders, sockets, zfs_streams
from wardian.drivers.storage.attached import AttachedStorage
from wardian.errors import InvalidInput
from wardian.linux import mounts, zfs
from wardian.ports.storage import Space, Volume

CLAIM, MADE = "wardian:pool", "wardian:made"
"""Properties of our dataset: the folder of the storage pool it belongs to; that it was made for that."""
VERSION = Path("/sys/module/zfs/version")

DATASET = ("-o", "mountpoint=legacy", "-o", "acltype=posixacl", "-o", "xattr=sa")
"""Of each volume: it is mounted by us alone."""


@dataclass(frozen=True)
class Dataset:
    """Where a pool is. image, device: what the pool of ZFS is made on; neither: it exists."""

    name: str
    image: Path | None = None
    size_bytes: int = 0
    device: str = ""

    @property
    def zpool(self) -> str:
        """The pool of ZFS."""
        return self.name.partition("/")[0]


def is_available() -> bool:
    """Whether this host has the tools and the kernel module."""
    return bool(shutil.which("zpool") and shutil.which("zfs")) and mounts.has_module("zfs")


class ZfsStorage(AttachedStorage):
    """A pool of datasets."""

    driver = "zfs"

    def __init__(self, name: str, root: Path, dataset: Dataset) -> None:
        super().__init__(name, root)
        self.version = platform.release()  # until the module is loaded
        self._dataset = dataset

    # --- the pool --------------------------------------------------------------------------------

    async def create_pool(self) -> None:
        """See ports.Storage."""
        what, dataset = f'make storage pool "{self.name}"', self._dataset
        folders.refuse_content(self._folders.root)
        with self._said(what):
            async with AsyncExitStack() as undo:
                if dataset.image or dataset.device:
                    await self._make_zpool(what, undo)
                else:
                    await self._take_dataset(what, undo)
                undo.callback(self._remove_folders)
                self._make_folders()
                undo.pop_all()

    async def _make_zpool(self, what: str, undo: AsyncExitStack) -> None:
        dataset = self._dataset
        if dataset.name in await self._zpools():
            raise InvalidInput(
                f'ZFS pool "{dataset.name}" exists already; name it as the source, or another one with '
                "zfs.pool_name"
            )
        options = ["-m", "none", "-O", "compression=on", "-O", f"{CLAIM}={self._claim}"]
        if dataset.image:
            attached.make_image(dataset.image, dataset.size_bytes)
            undo.callback(dataset.image.unlink)
            options += ["-o", "cachefile=none"]  # only we import it
        await self._tool(what, "zpool", "create", *options, dataset.name, self._disk())
        undo.push_async_callback(self._tool, what, "zpool", "destroy", "-f", dataset.name)

    async def _take_dataset(self, what: str, undo: AsyncExitStack) -> None:
        name, zpool = self._dataset.name, self._dataset.zpool
        if zpool not in await self._zpools():
            raise InvalidInput(f'Invalid ZFS pool: "{zpool}" does not exist')
        listed = await self._tool(what, "zfs", "list", "-H", "-r", "-o", f"name,type,{CLAIM}", zpool)
        present = {n: (kind, claim) for n, kind, claim in zfs.parse_table(listed, 3)}
        if name not in present:
            tags = ("-o", f"{MADE}=yes", "-o", f"{CLAIM}={self._claim}")
            await self._tool(what, "zfs", "create", "-o", "mountpoint=none", *tags, name)
            undo.push_async_callback(self._tool, what, "zfs", "destroy", "-r", name)
            return
        if present[name][0] != "filesystem":
            raise InvalidInput(f'Invalid ZFS pool: "{name}" is not a filesystem')
        if any(other.startswith((f"{name}/", f"{name}@")) for other in present):
            raise InvalidInput(f"Provided ZFS pool (or dataset) isn't empty: {name}")
        if present[name][1] != "-":
            raise InvalidInput(f'ZFS dataset "{name}" belongs to the storage pool "{present[name][1]}"')
        await self._tool(what, "zfs", "set", f"{CLAIM}={self._claim}", name)
        undo.push_async_callback(self._tool, what, "zfs", "inherit", CLAIM, name)

    async def delete_pool(self) -> None:
        """See ports.Storage."""
        self._refuse_volumes()
        what, dataset = f'delete storage pool "{self.name}"', self._dataset
        ours = await self._is_ours(what)
        if dataset.image or dataset.device:
            if ours:
                await self._tool(what, "zpool", "destroy", "-f", dataset.name)
            if dataset.image:
                dataset.image.unlink(missing_ok=True)
        elif ours and (await self._get(what, MADE, dataset.name)) == "yes":
            await self._tool(what, "zfs", "destroy", "-r", dataset.name)
        elif ours:
            await self._tool(what, "zfs", "inherit", CLAIM, dataset.name)
        self._remove_folders()

    @property
    def _claim(self) -> str:
        """What no other pool has: the folder of this one."""
        return str(self._folders.root)

    async def _is_ours(self, what: str) -> bool:
        if self._dataset.zpool not in await self._zpools():
            return False
        argv = ("zfs", "list", "-H", "-r", "-t", "filesystem", "-o", f"name,{CLAIM}", self._dataset.zpool)
        listed = zfs.parse_table(await self._tool(what, *argv), 2)
        return [self._dataset.name, self._claim] in listed

    async def open(self) -> None:
        """See ports.Storage."""
        what, dataset = f'open storage pool "{self.name}"', self._dataset
        if dataset.zpool not in await self._zpools():
            where = ["-d", str(dataset.image), "-o", "cachefile=none"] if dataset.image else []
            await self._tool(what, "zpool", "import", "-N", *where, dataset.zpool)
        with self._said("open the pool"):
            self._make_folders()
        await self._mount_customs()

    async def close(self) -> None:
        """See ports.Storage."""
        await self._unmount_all()
        if self._dataset.image and self._dataset.name in await self._zpools():
            await self._tool(f'close storage pool "{self.name}"', "zpool", "export", self._dataset.name)

    async def grow(self, size_bytes: int) -> None:
        """See ports.Storage."""
        image, what = self._dataset.image, f'enlarge storage pool "{self.name}"'
        if image is None:
            raise InvalidInput(f'storage pool "{self.name}" is not in a loop file of its own')
        if size_bytes < image.stat().st_size:
            raise InvalidInput(f'the loop file of storage pool "{self.name}" can only be made larger')
        with self._said(what):
            os.truncate(image, size_bytes)
        await self._tool(what, "zpool", "online", "-e", self._dataset.name, str(image))

    async def space(self) -> Space:
        """See ports.Storage."""
        argv = ("zfs", "list", "-H", "-p", "-o", "used,available", self._dataset.name)
        [[used, available]] = zfs.parse_table(await self._tool("ask for the space", *argv), 2)
        return Space(int(used), int(used) + int(available))

    async def _zpools(self) -> list[str]:
        """All that are imported; the tool loads the module."""
        found = (await self._tool("list the pools of ZFS", "zpool", "list", "-H", "-o", "name")).split()
        with suppress(FileNotFoundError):
            self.version = VERSION.read_text().strip()
        return found

    async def _get(self, what: str, key: str, dataset: str) -> str:
        return (await self._tool(what, "zfs", "get", "-H", "-p", "-o", "value", key, dataset)).strip()

    def _disk(self) -> str:
        return str(self._dataset.image or self._dataset.device)

    # --- datasets --------------------------------------------------------------------------------

    def _link(self, backing: str) -> str:
        return self._address(backing)

    def _address(self, backing: str) -> str:
        return f"{self._dataset.name}/{backing}"

    async def _backings(self) -> list[str]:
        if self._dataset.zpool not in await self._zpools():
            return []
        argv = ("zfs", "list", "-H", "-r", "-d", "1", "-t", "filesystem", "-o", "name", self._dataset.name)
        names = (await self._tool("list datasets", *argv)).split()
        return [n.rpartition("/")[2] for n in names if attached.OURS.fullmatch(n.rpartition("/")[2])]

    async def _make(self, backing: str) -> None:
        await self._tool("make a dataset", "zfs", "create", *DATASET, self._address(backing))

    async def _clone(self, origin: str, folder: Path, backing: str) -> None:
        what, moment = "clone a dataset", f"{self._address(origin)}@{backing}"
        await self._tool(what, "zfs", "snapshot", moment)
        try:
            await self._tool(what, "zfs", "clone", *DATASET, moment, self._address(backing))
        except BaseException:
            await self._tool(what, "zfs", "destroy", moment)
            raise

    async def _drop(self, backing: str) -> None:
        if backing not in await self._backings():
            return
        what, name = "remove a dataset", self._address(backing)
        moments = await self._moments(what, name)
        if heirs := [clone for moment in moments for clone in moment.clones]:
            await self._tool(what, "zfs", "promote", heirs[-1])  # it gets that snapshot and all before it
        origin = await self._get(what, "origin", name)
        await self._tool(what, "zfs", "destroy", "-r", name)
        if origin != "-":
            for moment in await self._moments(what, origin):
                await self._forget(what, moment)

    async def _forget(self, what: str, moment: zfs.Moment) -> None:
        """Remove a snapshot that nothing needs any more."""
        dataset, _, name = moment.name.partition("@")
        if not moment.clones and (dataset != self._address(name) or not self._is_snapshot(name)):
            await self._tool(what, "zfs", "destroy", moment.name)

    def _is_snapshot(self, backing: str) -> bool:
        """Whether it is the dataset of a volume that is a snapshot."""
        snapshots = (volume for volume in self._folders.volumes() if volume.is_snapshot)
        return any(attached.backing_of(self._folders.path(volume)) == backing for volume in snapshots)

    async def _moments(self, what: str, name: str) -> list[zfs.Moment]:
        """Snapshots of a dataset, oldest first, or the one of that name."""
        argv = ("-r", "-d", "1", "-t", "snapshot", "-s", "createtxg", "-o", zfs.SNAPSHOT_FIELDS)
        return zfs.parse_snapshots(await self._tool(what, "zfs", "list", "-H", *argv, name))

    async def sweep(self) -> None:
        """See ports.Storage."""
        await super().sweep()
        what = "sweep"
        if not await self._is_ours(what):
            return
        argv = ("-r", "-d", "2", "-t", "snapshot", "-o", zfs.SNAPSHOT_FIELDS)
        listed = await self._tool(what, "zfs", "list", "-H", *argv, self._dataset.name)
        for moment in zfs.parse_snapshots(listed):
            if attached.OURS.fullmatch(moment.name.partition("@")[2]):
                await self._forget(what, moment)

    async def _attach(self, backing: str, folder: Path, *, read_only: bool) -> None:
        options = ("-o", "ro") if read_only else ()
        argv = ("mount", "-t", "zfs", *options, "--", self._address(backing), str(folder))
        await self._tool("mount a dataset", *argv)

    async def _detached(self, backing: str) -> None:
        """Nothing more is to be done."""

    # --- volumes that travel ---------------------------------------------------------------------

    def transports(self) -> tuple[str, ...]:
        """See ports.Storage."""
        return (zfs_streams.NAME, *super().transports())

    async def origin(self, snapshot: Volume) -> str:
        """See ports.Storage."""
        what = f'read volume "{snapshot.name}"'
        moment = await self._moment(what, snapshot)
        return await self._get(what, "guid", moment) if moment else ""

    async def _moment(self, what: str, snapshot: Volume) -> str:
        """The snapshot of ZFS that is the same as the volume; empty if it is gone."""
        backing = self._backing(snapshot)
        name = self._address(backing)
        origin = await self._get(what, "origin", name)
        if origin.endswith(f"@{backing}"):
            return origin
        own = f"{name}@{backing}"
        return own if own in [moment.name for moment in await self._moments(what, name)] else ""

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        if transport != zfs_streams.NAME:
            await super().send(volume, fd, transport, base)
            return
        what = f'send volume "{volume.name}"'
        async with sockets.ending(fd), self._still(what, volume) as moment:
            parent = await self._moment(what, base) if base else ""
            await zfs_streams.send(moment, parent, fd, what)

    @asynccontextmanager
    async def _still(self, what: str, volume: Volume) -> AsyncIterator[str]:
        """A snapshot of ZFS of what the volume is now, for as long as the block lasts."""
        moment = await self._moment(what, volume) if volume.is_snapshot else ""
        if moment:
            yield moment
            return
        moment = f"{self._address(self._backing(volume))}@{attached.new_backing(volume)}"
        await self._tool(what, "zfs", "snapshot", moment)
        try:
            yield moment
        finally:
            await self._tool(what, "zfs", "destroy", moment)

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        if transport != zfs_streams.NAME:
            await super().receive(volume, fd, transport, base)
            return
        async with sockets.ending(fd):
            with self._folders.free(volume) as place:
                async with self._streamed(volume, fd, base) as made:
                    folders.settle(made, place)

    @asynccontextmanager
    async def _streamed(self, volume: Volume, fd: int, base: Volume | None) -> AsyncIterator[Path]:
        """A place beside the volume's with what a stream has."""
        what, backing = f'receive volume "{volume.name}"', self._name(volume)
        with self._said(what):
            parent = await self._moment(what, base) if base else ""
            moment = f"{self._address(backing)}@{backing}"
            async with self._making(self._folders.path(volume), backing) as made:
                await zfs_streams.receive(moment, parent, DATASET, fd, what)
                if not volume.is_snapshot:
                    await self._tool(what, "zfs", "destroy", moment)
                await self._mount(made, backing, read_only=volume.is_snapshot)
                if not volume.is_snapshot:
                    folders.shut(made / attached.VOLUME, 0o711)
                folders.check_layout(made / attached.VOLUME, volume.kind)
                if volume.is_snapshot:
                    await self._unmount(made)
                yield made

    # --- sizes -----------------------------------------------------------------------------------

    async def usage(self, volume: Volume) -> int | None:
        """See ports.Storage: what it shows, shared with others or not; counted every few seconds."""
        what = f'ask for the use of volume "{volume.name}"'
        return int(await self._get(what, "referenced", self._address(self._backing(volume))))

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """See ports.Storage."""
        what = f'set the quota of volume "{volume.name}"'
        bound = "none" if size_bytes is None else str(size_bytes)
        await self._tool(what, "zfs", "set", f"refquota={bound}", self._address(self._backing(volume)))
