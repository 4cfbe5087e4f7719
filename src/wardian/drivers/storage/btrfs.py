"""Storage driver `btrfs`: each volume a subvolume, copies are clones that take milliseconds.

The pool is a loop file of ours, a block device, or a folder on a btrfs that exists.
"""

import os
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from wardian.drivers.storage import btrfs_streams, folders, rsync, sockets, subvolumes, threads, tree
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import btrfs, mounts, process, userns
from wardian.model.idmap import IdMap
from wardian.ports.storage import Space, Still, Traits, Volume

T = TypeVar("T")

MOUNT_OPTIONS = "user_subvol_rm_allowed,discard=async"


class BtrfsStorage:
    """A pool on btrfs, used at `root`.

    image: loop file that we make (size_bytes), device: block device that we format; neither:
    `root` is on a btrfs already.
    """

    driver = "btrfs"
    traits = Traits(clones=True, quotas=True, usage=True, atomic=True)

    def __init__(
        self, name: str, root: Path, *, image: Path | None = None, size_bytes: int = 0, device: str = ""
    ) -> None:
        self.name = name
        self.version = platform.release()
        self._folders = folders.Folders(root)
        self._image = image
        self._size_bytes = size_bytes
        self._device = device

    # --- the pool ------------------------------------------------------------------------------

    async def create_pool(self) -> None:
        """See ports.Storage."""
        root = self._folders.root
        existed = root.exists()
        made_image = False
        try:
            if self._image is not None:
                self._make_image(self._image)
                made_image = True
            elif not self._device:
                folders.refuse_content(root)
            if source := self._source():
                what = f'make storage pool "{self.name}"'
                await process.check(what, ["mkfs.btrfs", "-q", "-L", self.name, "--", source])
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
            await self.open()
        except BaseException as error:
            await self.close()
            if made_image and self._image is not None:
                self._image.unlink(missing_ok=True)
            if not existed and root.exists():
                root.rmdir()
            if isinstance(error, OSError):
                raise folders.failed("make the pool", self.name, error) from error
            raise

    def _make_image(self, image: Path) -> None:
        fd = os.open(image, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, self._size_bytes)
        finally:
            os.close(fd)

    def _source(self) -> str:
        return str(self._image) if self._image else self._device

    async def delete_pool(self) -> None:
        """See ports.Storage."""
        if self._folders.volumes():
            raise InvalidInput(f'storage pool "{self.name}" still holds volumes; delete them first')
        if self._source():
            await self.close()
            if self._image is not None:
                self._image.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                self._folders.root.rmdir()
            return
        try:
            self._folders.unmake()
        except OSError as error:
            raise folders.failed("delete the pool", self.name, error) from error

    async def open(self) -> None:
        """See ports.Storage."""
        root = self._folders.root
        if self._source() and mounts.mount_at(root) is None:
            options = MOUNT_OPTIONS + (",loop" if self._image else "")
            what = f'mount storage pool "{self.name}"'
            await process.check(
                what, ["mount", "-t", "btrfs", "-o", options, "--", self._source(), str(root)]
            )
        if mounts.magic_of(root) != btrfs.MAGIC:
            raise InvalidInput(f'"{root}" of storage pool "{self.name}" is not on btrfs')
        try:
            root.chmod(0o711)
            self._folders.make()
        except OSError as error:
            raise folders.failed("open the pool", self.name, error) from error

    async def close(self) -> None:
        """See ports.Storage."""
        if self._source() and mounts.mount_at(self._folders.root) is not None:
            argv = ["umount", "--", str(self._folders.root)]
            await process.check(f'unmount storage pool "{self.name}"', argv)

    async def grow(self, size_bytes: int) -> None:
        """See ports.Storage."""
        if self._image is None:
            raise InvalidInput(f'storage pool "{self.name}" is not in a loop file of its own')
        if size_bytes < self._image.stat().st_size:
            raise InvalidInput(f'the loop file of storage pool "{self.name}" can only be made larger')
        os.truncate(self._image, size_bytes)
        what = f'enlarge storage pool "{self.name}"'
        mount = mounts.mount_at(self._folders.root)
        if mount is None:
            raise HostFailed(f"cannot {what}: it is not mounted")
        await process.check(what, ["losetup", "--set-capacity", mount.source])
        await process.check(what, ["btrfs", "filesystem", "resize", "max", str(self._folders.root)])

    # --- volumes -------------------------------------------------------------------------------

    def path(self, volume: Volume) -> Path:
        """See ports.Storage."""
        return self._folders.path(volume)

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """See ports.Storage: the files are always there."""
        place = self._folders.existing(volume)
        await self._do(f'open volume "{volume.name}"', lambda: folders.admit(place, idmap))
        return False

    async def unmount(self, volume: Volume) -> None:
        """See ports.Storage."""

    async def volumes(self) -> list[Volume]:
        """See ports.Storage."""
        return self._folders.volumes()

    async def create(self, volume: Volume) -> None:
        """See ports.Storage."""
        what = f'create volume "{volume.name}"'
        await self._do(what, lambda: self._create(volume), lambda: self._delete(volume))

    def _create(self, volume: Volume) -> None:
        with self._folders.free(volume) as place, subvolumes.making(folders.temporary(place)) as made:
            subvolumes.make(made)
            folders.settle(made, place)

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        await self._make_clone(f'copy volume "{source.name}"', source, target, read_only=False)

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        await self._make_clone(f'snapshot volume "{source.name}"', source, target, read_only=True)

    async def _make_clone(self, what: str, source: Volume, target: Volume, *, read_only: bool) -> None:
        await self._do(
            what,
            lambda: self._clone(source, target, read_only=read_only),
            lambda: self._delete(target),
        )

    def _clone(self, source: Volume, target: Volume, *, read_only: bool) -> None:
        origin = self._folders.existing(source)
        with self._folders.free(target) as place, subvolumes.making(folders.temporary(place)) as made:
            subvolumes.clone(origin, made, read_only=read_only)
            if not read_only:  # else it is where nobody comes
                folders.close(made, target.kind)
            folders.settle(made, place)

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """See ports.Storage."""
        await self._do(f'restore volume "{target.name}"', lambda: self._restore(snapshot, target))

    def _restore(self, snapshot: Volume, target: Volume) -> None:
        origin, place = self._folders.existing(snapshot), self._folders.existing(target)
        with subvolumes.making(folders.temporary(place)) as made:
            subvolumes.clone(origin, made)
            folders.close(made, target.kind)
            folders.exchange(made, place)

    async def rename(self, volume: Volume, new: Volume) -> None:
        """See ports.Storage."""
        what = f'rename volume "{volume.name}"'
        await self._do(what, lambda: self._rename(volume, new))

    def _rename(self, volume: Volume, new: Volume) -> None:
        """Rename; the kernel moves no read-only subvolume to another folder."""
        origin = self._folders.existing(volume)
        with subvolumes.folder(origin) as fd, self._folders.free(new) as place:
            if volume.is_snapshot:
                btrfs.set_read_only(fd, False)
            folders.settle(origin, place)
            if new.is_snapshot:
                btrfs.set_read_only(fd, True)
        self._folders.tidy(origin)

    async def delete(self, volume: Volume) -> None:
        """See ports.Storage."""
        await self._do(f'delete volume "{volume.name}"', lambda: self._delete(volume))

    def _delete(self, volume: Volume) -> None:
        place = self._folders.path(volume)
        if not place.is_dir():
            return
        tree.refuse_mounts(place)
        doomed = folders.temporary(place)
        os.rename(place, doomed)
        subvolumes.remove(doomed)
        self._folders.tidy(place)

    async def sweep(self) -> None:
        """See ports.Storage."""
        for path in self._folders.remains():
            await self._do("sweep", lambda path=path: subvolumes.discard(path))  # type: ignore[misc]

    # --- volumes that travel -------------------------------------------------------------------

    def transports(self) -> tuple[str, ...]:
        """See ports.Storage. Only the kernel's own root may send and receive subvolumes."""
        return (btrfs_streams.NAME, rsync.NAME) if userns.is_initial() else (rsync.NAME,)

    async def origin(self, snapshot: Volume) -> str:
        """See ports.Storage."""
        place = self._folders.existing(snapshot)
        return (await self._do("read a volume", lambda: subvolumes.identity(place))).content.hex()

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            what = f'send volume "{volume.name}"'
            origin = self._folders.existing(volume)
            if transport != btrfs_streams.NAME:
                rsync.refuse_others(transport)
                await self._send_files(volume, origin, fd, what)
                return
            parent = await self._do(what, lambda: self._parent(base))
            async with self._making(what, origin) as made:
                frozen = await self._do(
                    what, lambda: subvolumes.freeze(origin, made, is_frozen=volume.is_snapshot)
                )
                await btrfs_streams.send(frozen, parent, fd, what)

    def _parent(self, base: Volume | None) -> Path | None:
        """The base, unless others are nested in it: put together where it was received, it is none there."""
        if base is None:
            return None
        place = self._folders.existing(base)
        return None if subvolumes.nested(place) else place

    async def _send_files(self, volume: Volume, origin: Path, fd: int, what: str) -> None:
        """Send by rsync what the volume is at this moment."""
        if volume.is_snapshot:
            await rsync.send(origin, fd, what)
            return
        async with self._making(what, origin) as made:
            await self._do(what, lambda: subvolumes.clone(origin, made))
            await rsync.send(made, fd, what)

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            what = f'receive volume "{volume.name}"'
            origin = self._folders.existing(base) if base else None
            with self._folders.free(volume) as place:
                async with self._making(what, place) as made:
                    if transport == btrfs_streams.NAME:
                        await self._receive_subvolumes(what, volume, fd, made, place, origin)
                        return
                    rsync.refuse_others(transport)
                    await self._do(
                        what, lambda: subvolumes.clone(origin, made) if origin else subvolumes.make(made)
                    )
                    await rsync.receive(made, fd, what)
                    await self._do(
                        what, lambda: self._settle(made, volume, place), lambda: self._delete(volume)
                    )

    @asynccontextmanager
    async def _making(self, what: str, place: Path) -> AsyncIterator[Path]:
        """A temporary name beside a place; what has it at the end is removed."""
        made = folders.temporary(place)
        try:
            yield made
        finally:
            await self._do(what, lambda: subvolumes.discard(made))

    async def _receive_subvolumes(
        self, what: str, volume: Volume, fd: int, made: Path, place: Path, base: Path | None
    ) -> None:
        async with self._making(what, place) as settled:
            await self._do(what, lambda: made.mkdir(mode=0o700))
            alike = await self._do(what, lambda: self._alike(base)) if base else []
            received = await btrfs_streams.receive(made, fd, what, base, alike)
            await self._do(what, lambda: self._check_parents(received, base))
            await self._do(
                what,
                lambda: self._assemble(received, settled, volume, place),
                lambda: self._delete(volume),
            )

    async def refresh(self, volume: Volume, fd: int) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            what = f'receive volume "{volume.name}"'
            place = self._folders.existing(volume)
            async with self._making(what, place) as made:
                await self._do(what, lambda: subvolumes.clone(place, made))
                await rsync.receive(made, fd, what)
                await self._do(what, lambda: self._take_over(made, volume, place))

    def _take_over(self, made: Path, volume: Volume, place: Path) -> None:
        folders.shut(made)
        folders.check_layout(made, volume.kind)
        folders.exchange(made, place)

    def _settle(self, made: Path, volume: Volume, place: Path) -> None:
        """What was received into a writable subvolume becomes the volume."""
        folders.shut(made)
        folders.check_layout(made, volume.kind)
        if volume.is_snapshot:
            with subvolumes.folder(made) as fd:
                btrfs.set_read_only(fd, True)
        folders.settle(made, place)

    def _assemble(
        self, received: Sequence[tuple[str, Path]], made: Path, volume: Volume, place: Path
    ) -> None:
        """Make the volume out of subvolumes that were received, the first with the others nested in it.

        One without others stays what was received, if it is a snapshot: so it can be a base later on.
        """
        whole = volume.is_snapshot and len(received) == 1
        with subvolumes.folder(received[0][1]) as top, subvolumes.folder(made.parent) as parent:
            btrfs.snapshot(top, parent, made.name, read_only=whole)
        if whole:
            folders.check_layout(made, volume.kind)
            folders.settle(made, place)
            return
        with subvolumes.folder(made) as top:
            for path, subvolume in received[1:]:
                inside = Path(path)
                with subvolumes.inside(top, inside.parent) as folder, subvolumes.folder(subvolume) as fd:
                    btrfs.snapshot(fd, folder, inside.name)
        self._settle(made, volume, place)

    def _alike(self, base: Path) -> list[Path]:
        """All snapshots that say of themselves to be what the base is: a receiver looks for any of them."""
        content = subvolumes.identity(base).content
        places = [self._folders.path(volume) for volume in self._folders.volumes() if volume.is_snapshot]
        return [place for place in places if subvolumes.identity(place).content == content]

    def _check_parents(self, received: Sequence[tuple[str, Path]], base: Path | None) -> None:
        """InvalidInput if a stream was made from anything here but the base: it would show its files."""
        known = {bytes(16)} | ({subvolumes.identity(base).own} if base else set())
        for path, subvolume in received:
            if not btrfs.is_subvolume(subvolume) or subvolume.is_symlink():
                raise InvalidInput("what was received is no subvolume")
            if subvolumes.identity(subvolume).parent not in (known if not path else {bytes(16)}):
                raise InvalidInput(
                    "what was received is the difference to another volume than was asked for"
                )

    # --- sizes ---------------------------------------------------------------------------------

    async def usage(self, volume: Volume) -> int | None:
        """See ports.Storage. Known only for volumes with a quota: accounting costs others nothing."""
        group = await self._group(volume)
        root = str(self._folders.root)
        completed = await process.run(["btrfs", "qgroup", "show", "--raw", root])
        if completed.status:
            return None
        for line in completed.stdout.decode().splitlines():
            fields = line.split()
            if fields and fields[0] == group:
                return int(fields[1])
        return None

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """See ports.Storage."""
        what = f'set the quota of volume "{volume.name}"'
        root = str(self._folders.root)
        await process.check(what, ["btrfs", "quota", "enable", root])
        # Through the pool's root: in a full volume the kernel refuses even to raise its own limit.
        bound = "none" if size_bytes is None else str(size_bytes)
        await process.check(what, ["btrfs", "qgroup", "limit", bound, await self._group(volume), root])

    async def _group(self, volume: Volume) -> str:
        with subvolumes.folder(self._folders.existing(volume)) as fd:
            return f"0/{btrfs.subvolume_id(fd)}"

    async def space(self) -> Space:
        """See ports.Storage."""
        return Space(*tree.space(self._folders.root))

    async def _do(self, what: str, work: Callable[[], T], take_back: Callable[[], None] | None = None) -> T:
        try:
            return await threads.run(work, take_back)
        except OSError as error:
            raise folders.failed(what, self.name, error) from error
