"""Volumes that have a file system of their own each (LVM, ZFS), mounted where the pool has them.

    POOL/containers/NAME/volume/   the folder of the volume: where its file system is mounted
    POOL/containers/NAME/backing   a link that names the file system

The name of a file system never changes and nobody else has it; what it is for, the place says that
links to it. So every change is the rename of one folder (folders.py), and a file system that no
place links to is a remain. Of a volume just made, copied or mounted the files are in place until
`unmount`; those of a volume of its own (kind custom) always.
"""

import abc
import asyncio
import errno
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from wardian.drivers.storage import folders, rsync, sockets, threads, tree
from wardian.errors import HostFailed, InvalidInput, WardianError
from wardian.linux import holders, mounts, process, syscalls
from wardian.model.idmap import IdMap
from wardian.ports.storage import Still, Traits, Volume

log = logging.getLogger(__name__)

VOLUME, BACKING = "volume", "backing"
NO_SPACE = (b"out of space", b"nsufficient free space", b"No space left", b"ree space in pool")
OURS = re.compile(r"wd-[0-9a-f]{16}(-[A-Za-z0-9.]+)?")
"""Names of file systems of ours."""
SHOWN = 40
"""Characters of a volume's name in that of its file system: for people, it may have another by now."""


def new_backing(volume: Volume, ending: str = "") -> str:
    """A name for the file system of a volume that nobody else has."""
    about = re.sub("[^A-Za-z0-9.]+", ".", volume.name)[:SHOWN]
    return f"wd-{secrets.token_hex(8)}-{about}{ending}"


class AttachedStorage(abc.ABC):
    """What the drivers have in common; the pool is below `root`."""

    driver: str
    traits = Traits(clones=True, quotas=True, usage=True, atomic=True)

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._folders = folders.Folders(root)
        self._lock = asyncio.Lock()  # while something is mounted or unmounted

    # --- what a driver has to do -----------------------------------------------------------------

    @abc.abstractmethod
    async def _make(self, backing: str) -> None:
        """Make an empty file system."""

    @abc.abstractmethod
    async def _clone(self, origin: str, folder: Path, backing: str) -> None:
        """Make a file system that has what another one has at this moment.

        folder: where that is mounted, if it is.
        """

    @abc.abstractmethod
    async def _drop(self, backing: str) -> None:
        """Remove a file system; harmless if there is none. ProgramFailed if it is in use."""

    @abc.abstractmethod
    async def _attach(self, backing: str, folder: Path, *, read_only: bool) -> None:
        """Mount a file system."""

    @abc.abstractmethod
    async def _detached(self, backing: str) -> None:
        """A file system was unmounted."""

    @abc.abstractmethod
    async def _backings(self) -> list[str]:
        """All file systems of ours in the pool."""

    @abc.abstractmethod
    def _link(self, backing: str) -> str:
        """Where the link to it leads; the last part is its name."""

    def _name(self, volume: Volume, origin: str = "") -> str:
        """A name for a new file system; origin: what it is a clone of."""
        return new_backing(volume)

    # --- the place of a volume -------------------------------------------------------------------

    def path(self, volume: Volume) -> Path:
        """See ports.Storage."""
        return self._folders.path(volume) / VOLUME

    async def volumes(self) -> list[Volume]:
        """See ports.Storage."""
        return self._folders.volumes()

    def _backing(self, volume: Volume) -> str:
        backing = backing_of(self._folders.existing(volume))
        if not backing:
            raise HostFailed(
                f'volume "{volume.name}" of storage pool "{self.name}" has lost its file system'
            )
        return backing

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """See ports.Storage. Owners on disk are unshifted."""
        place = self._folders.existing(volume)
        with self._said(f'mount volume "{volume.name}"'):
            await self._mount(place, self._backing(volume), read_only=volume.is_snapshot)
            folders.admit(place, idmap)
        return False

    async def unmount(self, volume: Volume) -> None:
        """See ports.Storage."""
        with self._said(f'unmount volume "{volume.name}"'):
            await self._unmount(self._folders.path(volume))

    async def _mount(self, place: Path, backing: str, *, read_only: bool) -> None:
        async with self._lock:
            if mounted(place) is None:
                await self._attach(backing, place / VOLUME, read_only=read_only)

    async def _unmount(self, place: Path) -> None:
        """Who has open files there keeps seeing them."""
        async with self._lock:
            if mounted(place) is None:
                return
            while mounted(place) is not None:
                await asyncio.to_thread(_unmount_one, place / VOLUME)
            if backing := backing_of(place):
                await self._detached(backing)

    async def _mount_customs(self) -> None:
        """Have volumes of their own in place; those that fail are told of, and the others are there."""
        for volume in self._folders.volumes():
            if volume.kind == "custom":
                try:
                    await self.mount(volume)
                except WardianError as error:
                    log.error('storage pool "%s": %s', self.name, error)

    async def _unmount_all(self) -> None:
        for volume in self._folders.volumes():
            await self._unmount(self._folders.path(volume))

    # --- changes ---------------------------------------------------------------------------------

    async def create(self, volume: Volume) -> None:
        """See ports.Storage."""
        with self._said(f'create volume "{volume.name}"'), self._folders.free(volume) as place:
            async with self._fresh(volume) as made:
                folders.settle(made, place)

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        with self._said(f'copy volume "{source.name}"'), self._folders.free(target) as place:
            async with self._cloned(source, target) as made:
                folders.settle(made, place)

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        await self.copy(source, target, still)

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """See ports.Storage."""
        place = self._folders.existing(target)
        with self._said(f'restore volume "{target.name}"'):
            async with self._cloned(snapshot, target) as made:
                await self._unmount(place)
                folders.exchange(made, place)
            await self._discard_old(made)

    async def rename(self, volume: Volume, new: Volume) -> None:
        """See ports.Storage. What is mounted stays so: read-only or not, like its kind."""
        with self._said(f'rename volume "{volume.name}"'):
            place = self._folders.existing(volume)
            if volume.is_snapshot != new.is_snapshot:
                await self._unmount(place)
            with self._folders.free(new) as free:
                folders.settle(place, free)
            self._folders.tidy(place)

    async def delete(self, volume: Volume) -> None:
        """See ports.Storage."""
        place = self._folders.path(volume)
        if not place.is_dir():
            return
        with self._said(f'delete volume "{volume.name}"'):
            _refuse_foreign_mounts(place)
            doomed = folders.temporary(place)
            os.rename(place, doomed)
            try:
                await self._discard(doomed)
            except BaseException:
                with suppress(OSError):  # it is still there, under its name
                    os.rename(doomed, place)
                raise
            self._folders.tidy(place)

    async def sweep(self) -> None:
        """See ports.Storage."""
        for path in self._folders.remains():
            await self._discard(path)
        needed = {backing_of(self._folders.path(volume)) for volume in self._folders.volumes()}
        for backing in await self._backings():
            if backing not in needed:
                await self._drop(backing)
        self._folders.tidy_all()

    @asynccontextmanager
    async def _making(self, place: Path, backing: str) -> AsyncIterator[Path]:
        """A place beside the one given; it is gone after a failure, and so is the file system."""
        made = folders.temporary(place)
        try:
            (made / VOLUME).mkdir(mode=0o711, parents=True)
            made.chmod(0o700)
            (made / BACKING).symlink_to(self._link(backing))
            yield made
        except BaseException:
            await self._discard(made)
            raise

    @asynccontextmanager
    async def _cloned(self, source: Volume, target: Volume) -> AsyncIterator[Path]:
        """A place beside the target's with what source has."""
        origin = self._backing(source)
        backing = self._name(target, origin)
        async with self._making(self._folders.path(target), backing) as made:
            await self._clone(origin, self.path(source), backing)
            if not target.is_snapshot:
                await self._mount(made, backing, read_only=False)
            yield made

    @asynccontextmanager
    async def _fresh(self, volume: Volume) -> AsyncIterator[Path]:
        """A place beside the volume's, mounted and empty."""
        backing = self._name(volume)
        async with self._making(self._folders.path(volume), backing) as made:
            await self._make(backing)
            await self._mount(made, backing, read_only=False)
            _empty(made / VOLUME)
            yield made

    async def _discard_old(self, place: Path) -> None:
        """Remove what has been replaced; that it was is done."""
        try:
            await self._discard(place)
        except WardianError as error:
            log.warning("what was replaced is removed at the next start: %s", error)

    async def _discard(self, place: Path) -> None:
        """Remove a place and its file system, from other mount namespaces too."""
        backing = backing_of(place)
        if backing:
            await self._unmount(place)
            try:
                await self._drop(backing)
            except process.ProgramFailed:
                await self._free(place, backing)
                await self._drop(backing)
        await tree.remove(place)

    async def _free(self, place: Path, backing: str) -> None:
        """Unmount a file system wherever else it is mounted; HostFailed naming whose files are open."""
        await self._mount(place, backing, read_only=False)
        found, number = mounted(place), (place / VOLUME).stat().st_dev
        try:
            if found is not None:
                await asyncio.to_thread(holders.unmount_elsewhere, found.device)
            users = await asyncio.to_thread(holders.users, number)
        finally:
            await self._unmount(place)
        if users:
            raise HostFailed(
                f'cannot delete "{backing}" of storage pool "{self.name}": files on it are open in process '
                f"{', '.join(users)}; end it and try again"
            )

    # --- volumes that travel ---------------------------------------------------------------------

    def transports(self) -> tuple[str, ...]:
        """See ports.Storage."""
        return (rsync.NAME,)

    async def origin(self, snapshot: Volume) -> str:
        """See ports.Storage."""
        return ""

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage. What is sent is a clone, so that it is of one moment."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            what = f'send volume "{volume.name}"'
            with self._said(what):
                async with self._cloned(volume, volume) as made:
                    await self._mount(made, backing_of(made), read_only=True)
                    await rsync.send(made / VOLUME, fd, what)
                await self._discard(made)

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            with self._folders.free(volume) as place:
                async with self._received(volume, fd, base) as made:
                    folders.settle(made, place)

    async def refresh(self, volume: Volume, fd: int) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            place = self._folders.existing(volume)
            async with self._received(volume, fd, volume) as made:
                await self._unmount(place)
                folders.exchange(made, place)
            await self._discard_old(made)

    @asynccontextmanager
    async def _received(self, volume: Volume, fd: int, base: Volume | None) -> AsyncIterator[Path]:
        """A place beside the volume's with what comes, beginning with a clone of base."""
        what = f'receive volume "{volume.name}"'
        with self._said(what):
            async with self._cloned(base, volume) if base else self._fresh(volume) as made:
                await self._mount(made, backing_of(made), read_only=False)
                await rsync.receive(made / VOLUME, fd, what)
                folders.shut(made / VOLUME, 0o711)
                folders.check_layout(made / VOLUME, volume.kind)
                if volume.is_snapshot:
                    await self._unmount(made)
                yield made

    # --- errors ----------------------------------------------------------------------------------

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise folders.failed(what, self.name, error) from error

    async def _tool(self, what: str, *argv: str) -> str:
        """Output of a program; OutOfSpace if that is why it fails."""
        completed = await to_the_end(argv)
        if completed.status == 0:
            return completed.stdout.decode(errors="replace")
        if any(words in completed.stderr for words in NO_SPACE):
            raise folders.full(what, self.name)
        raise process.ProgramFailed(f'{what} in storage pool "{self.name}"', completed)

    def _refuse_volumes(self) -> None:
        if self._folders.volumes():
            raise InvalidInput(f'storage pool "{self.name}" still holds volumes; delete them first')

    def _make_folders(self) -> None:
        self._folders.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._folders.root.chmod(0o711)
        self._folders.make()

    def _remove_folders(self) -> None:
        with self._said("delete the pool"):
            self._folders.unmake()
            with suppress(FileNotFoundError):
                self._folders.root.rmdir()


async def to_the_end(argv: Sequence[str]) -> process.Completed:
    """Run a program that is not to be stopped halfway: LVM would leave volumes suspended.

    A caller that is cancelled waits for its end first.
    """
    task = asyncio.ensure_future(process.run(argv))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await threads.ended(task)
        raise


def backing_of(place: Path) -> str:
    """The name of the file system of a place; empty if it has none."""
    try:
        name = os.readlink(place / BACKING).rpartition("/")[2]
    except FileNotFoundError:
        return ""
    return name if OURS.fullmatch(name) else ""


def mounted(place: Path) -> mounts.MountPoint | None:
    """What is mounted for a place."""
    return mounts.mount_at(Path(os.path.realpath(place)) / VOLUME)


def _unmount_one(folder: Path) -> None:
    try:
        syscalls.umount2(folder)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        syscalls.umount2(folder, syscalls.MNT_DETACH)


def _refuse_foreign_mounts(place: Path) -> None:
    folder = str(Path(os.path.realpath(place)) / VOLUME)
    inside = [mount for mount in mounts.mounts_below(Path(folder)) if mount.path != folder]
    if inside:
        raise HostFailed(
            f'cannot delete "{place.name}": {inside[-1].kind} is mounted at "{inside[-1].path}"; unmount it'
        )


def _empty(folder: Path) -> None:
    """Make a fresh file system look like a fresh folder."""
    with suppress(FileNotFoundError):
        (folder / "lost+found").rmdir()
    folder.chmod(0o711)


def make_image(image: Path, size_bytes: int) -> None:
    """A new loop file; OSError if there is one."""
    fd = os.open(image, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)
