"""Storage driver `dir`: plain folders on any file system; copies are whole (shared where it can)."""

import os
import platform
from pathlib import Path

from wardian.drivers.storage import folders, rsync, sockets, threads, tree, twice
from wardian.drivers.storage.projects import Projects
from wardian.errors import InvalidInput
from wardian.model.idmap import IdMap
from wardian.ports.storage import Space, Still, Traits, Volume


class DirStorage:
    """A pool of plain folders at `root`."""

    driver = "dir"
    traits = Traits(clones=False, quotas=False, usage=False)

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.version = platform.release()
        self._folders = folders.Folders(root)
        self._projects = Projects(root)

    async def create_pool(self) -> None:
        """See ports.Storage."""
        root = self._folders.root
        try:
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
            folders.refuse_content(root)
            await self.open()
        except OSError as error:
            raise folders.failed("make the pool", self.name, error) from error

    async def delete_pool(self) -> None:
        """See ports.Storage."""
        if self._folders.volumes():
            raise InvalidInput(f'storage pool "{self.name}" still holds volumes; delete them first')
        try:
            self._folders.unmake()
        except OSError as error:
            raise folders.failed("delete the pool", self.name, error) from error

    async def open(self) -> None:
        """See ports.Storage."""
        self._folders.make()
        self.traits = self._projects.look(self.traits)

    async def close(self) -> None:
        """See ports.Storage."""

    async def grow(self, size_bytes: int) -> None:
        """See ports.Storage."""
        raise InvalidInput(f'storage pool "{self.name}" is as large as the file system it is on')

    def path(self, volume: Volume) -> Path:
        """See ports.Storage."""
        return self._folders.path(volume)

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """See ports.Storage: the files are always there."""
        try:
            folders.admit(self._folders.existing(volume), idmap)
        except OSError as error:
            raise folders.failed(f'open volume "{volume.name}"', self.name, error) from error
        return False

    async def unmount(self, volume: Volume) -> None:
        """See ports.Storage."""

    async def volumes(self) -> list[Volume]:
        """See ports.Storage."""
        return self._folders.volumes()

    async def create(self, volume: Volume) -> None:
        """See ports.Storage."""
        try:
            with self._folders.free(volume) as place:
                folders.settle(self._new(place, volume), place)
        except OSError as error:
            raise folders.failed(f'create volume "{volume.name}"', self.name, error) from error

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        origin = self._folders.existing(source)
        with self._folders.free(target) as place:
            made = self._new(place, target)
            try:
                if still is None:
                    await tree.copy(origin, made, self.name)
                else:
                    await twice.copy(origin, made, self.name, still)
                folders.close(made, target.kind)
                folders.settle(made, place)
            except BaseException:
                await self._remove(made)
                raise

    def _new(self, place: Path, volume: Volume) -> Path:
        """An empty folder under a temporary name."""
        try:
            made = folders.temporary(place)
            made.mkdir(mode=0o700)
            self._projects.assign(made, volume.kind)
        except OSError as error:
            raise folders.failed(f'create volume "{volume.name}"', self.name, error) from error
        return made

    def _take_over(self, made: Path, place: Path) -> None:
        """Put what was made in place of a volume, which is then under the temporary name."""
        self._projects.pass_on(place, made)
        folders.exchange(made, place)

    async def _remove(self, doomed: Path) -> None:
        number = self._projects.of(doomed)
        await tree.remove(doomed)
        self._projects.forget(number)

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        await self.copy(source, target, still)

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """See ports.Storage."""
        origin, place = self._folders.existing(snapshot), self._folders.existing(target)
        made = self._new(place, target)
        try:
            await tree.copy(origin, made, self.name)
            folders.close(made, target.kind)
            self._take_over(made, place)
        finally:
            await self._remove(made)

    async def rename(self, volume: Volume, new: Volume) -> None:
        """See ports.Storage."""
        origin = self._folders.existing(volume)
        with self._folders.free(new) as place:
            folders.settle(origin, place)
        self._folders.tidy(origin)

    async def delete(self, volume: Volume) -> None:
        """See ports.Storage."""
        place = self._folders.path(volume)
        tree.refuse_mounts(place)
        doomed = folders.temporary(place)
        try:
            os.rename(place, doomed)
        except FileNotFoundError:
            return
        await self._remove(doomed)
        self._folders.tidy(place)

    def transports(self) -> tuple[str, ...]:
        """See ports.Storage."""
        return (rsync.NAME,)

    async def origin(self, snapshot: Volume) -> str:
        """See ports.Storage."""
        return ""

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            await rsync.send(self._folders.existing(volume), fd, f'send volume "{volume.name}"')

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            with self._folders.free(volume) as place:
                made = self._new(place, volume)
                try:
                    await self._receive(made, volume, fd, self._folders.existing(base) if base else None)
                    folders.settle(made, place)
                except BaseException:
                    await self._remove(made)
                    raise

    async def refresh(self, volume: Volume, fd: int) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            place = self._folders.existing(volume)
            made = self._new(place, volume)
            try:
                await self._receive(made, volume, fd, place)
                self._take_over(made, place)
            finally:
                await self._remove(made)

    async def _receive(self, made: Path, volume: Volume, fd: int, base: Path | None) -> None:
        """Make a folder from what comes, beginning with a copy of base."""
        what = f'receive volume "{volume.name}"'
        try:
            if base is not None:
                await tree.copy(base, made, self.name)
            await rsync.receive(made, fd, what)
            folders.shut(made)
        except OSError as error:
            raise folders.failed(what, self.name, error) from error
        folders.check_layout(made, volume.kind)

    async def sweep(self) -> None:
        """See ports.Storage."""
        for path in self._folders.remains():
            await self._remove(path)
        self._folders.tidy_all()

    async def usage(self, volume: Volume) -> int | None:
        """See ports.Storage: of snapshots nothing is known."""
        return self._projects.usage(self._folders.existing(volume))

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """See ports.Storage."""
        place, what = self._folders.existing(volume), f'set the quota of volume "{volume.name}"'
        try:
            await threads.run(lambda: self._projects.bound(place, size_bytes))
        except OSError as error:
            raise folders.failed(what, self.name, error) from error

    async def space(self) -> Space:
        """See ports.Storage."""
        return Space(*tree.space(self._folders.root))
