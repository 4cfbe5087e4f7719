"""Storage driver `overlay`: clones in milliseconds on any file system, by sharing frozen layers.

    POOL/containers/NAME/volume/   the folder of the volume: metadata.yaml, templates/, rootfs/ (mount point)
    POOL/containers/NAME/chain     what its root file system is stacked from (layers.py)

A volume that was just made keeps its files in `volume/rootfs`; they become its first layer when it
is copied, snapshotted or started. What is mounted, and for whom, is read from the kernel.
"""

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wardian.drivers.storage import folders, rsync, sockets, stacks, threads, tree, twice
from wardian.drivers.storage.layers import Chain, Layers
from wardian.drivers.storage.projects import Projects
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import overlay, userns
from wardian.model.idmap import IdMap
from wardian.ports.storage import Space, Still, Traits, Volume

T = TypeVar("T")

VOLUME = "volume"
MOST_LOWER = 32
"""With more frozen layers than this, a volume gets one of its own instead."""

PROBE = Volume("container", "try.out")
"""No container has such a name."""
PROBE_IDS = IdMap.contiguous(1000000, 65536)


class OverlayStorage:
    """A pool of layers at `root`."""

    driver = "overlay"
    traits = Traits(clones=True, quotas=False, usage=False, atomic=False)

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.version = platform.release()
        self._folders = folders.Folders(root)
        self._projects = Projects(root)
        self._layers = Layers(root, self._projects)
        self._lock = threading.Lock()  # held for moments, in worker threads, while chains change
        self._userns: tuple[IdMap, int] | None = None

    # --- the pool ------------------------------------------------------------------------------

    async def create_pool(self) -> None:
        """See ports.Storage."""
        root = self._folders.root
        existed = root.exists()
        folders.refuse_content(root)
        try:
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
            await self.open()
            await self._probe()
        except BaseException as error:
            await self._remove_folders()
            if not existed and root.exists():
                root.rmdir()
            if isinstance(error, OSError):
                raise folders.failed("make the pool", self.name, error) from error
            raise

    async def _probe(self) -> None:
        """Refuse a kernel or file system that cannot have the mounts that containers will need."""
        await self.create(PROBE)
        try:
            (self.path(PROBE) / "rootfs").mkdir(mode=0o755)
            await self.mount(PROBE, PROBE_IDS)
            (self.path(PROBE) / "rootfs").chmod(0o755)  # the kernel falls back to a read-only mount
            await self.unmount(PROBE)
        except (OSError, HostFailed) as error:
            raise InvalidInput(
                f'no overlay pool can be in "{self._folders.root}": {error}; it needs Linux 5.19 or newer '
                "and a file system like ext4, xfs or btrfs; use the driver dir"
            ) from error
        finally:
            await self.delete(PROBE)

    async def _remove_folders(self) -> None:
        try:
            self._folders.unmake()
        except OSError as error:
            raise folders.failed("delete the pool", self.name, error) from error
        await tree.remove(self._layers.folder)

    async def delete_pool(self) -> None:
        """See ports.Storage."""
        await self.delete(PROBE)  # of a creation that was interrupted
        if self._folders.volumes():
            raise InvalidInput(f'storage pool "{self.name}" still holds volumes; delete them first')
        await self._remove_folders()
        if self._userns is not None:
            os.close(self._userns[1])
            self._userns = None

    async def open(self) -> None:
        """See ports.Storage."""
        try:
            self._folders.make()
            self._layers.make()
            self.traits = self._projects.look(self.traits)
        except OSError as error:
            raise folders.failed("open the pool", self.name, error) from error

    async def close(self) -> None:
        """See ports.Storage."""

    async def grow(self, size_bytes: int) -> None:
        """See ports.Storage."""
        raise InvalidInput(f'storage pool "{self.name}" is as large as the file system it is on')

    async def space(self) -> Space:
        """See ports.Storage."""
        return Space(*tree.space(self._folders.root))

    # --- mounts --------------------------------------------------------------------------------

    def path(self, volume: Volume) -> Path:
        """See ports.Storage."""
        return self._folders.path(volume) / VOLUME

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """See ports.Storage."""
        what = f'mount volume "{volume.name}"'
        if idmap is None:
            return await self._do(what, lambda: self._view(volume))
        fd = await self._namespace(idmap) if idmap.ranges else -1
        return await self._do(what, lambda: self._mount_to_run(volume, idmap, fd))

    async def _namespace(self, idmap: IdMap) -> int:
        """An fd of a user namespace with the map; the last one is kept, most containers share it."""
        if self._userns is None or self._userns[0] != idmap:
            made = await userns.create(idmap)
            if self._userns is not None:
                os.close(self._userns[1])
            self._userns = (idmap, made)
        return os.dup(self._userns[1])

    def _view(self, volume: Volume) -> bool:
        """Mount for us, unless something is mounted already; whether that is shifted."""
        place = self._existing(volume)
        rootfs = place / VOLUME / "rootfs"
        with self._lock:
            here = stacks.mounted(rootfs)
            chain = self._layers.read(place, rootfs)
            if here == "" and chain is not None:
                stacks.mount(self._layers, chain, rootfs, stacks.VIEW)
        return here == stacks.RUNS_SHIFTED

    def _mount_to_run(self, volume: Volume, idmap: IdMap, fd: int) -> bool:
        place = self._existing(volume)
        rootfs = place / VOLUME / "rootfs"
        try:
            with self._lock:
                stacks.unmount(rootfs)
                chain = self._layers.read(place, rootfs)
                if chain is None:
                    chain = self._layers.begin(place, rootfs, changes=True)
                if fd < 0:
                    stacks.mount(self._layers, chain, rootfs, stacks.RUNS)
                    return False
                with stacks.scratch(self._layers) as scratch:
                    uid, gid = idmap.host_id("uid", 0) or 0, idmap.host_id("gid", 0) or 0
                    shift = overlay.Shift(fd, uid, gid, scratch)
                    os.chown(place, 0, gid)  # the container's root comes to its root file system by path
                    place.chmod(0o710)
                    stacks.mount(self._layers, chain, rootfs, stacks.RUNS_SHIFTED, shift)
                return True
        finally:
            if fd >= 0:
                os.close(fd)

    async def unmount(self, volume: Volume) -> None:
        """See ports.Storage."""
        what = f'unmount volume "{volume.name}"'
        await self._do(what, lambda: stacks.unmount(self.path(volume) / "rootfs"))

    # --- volumes -------------------------------------------------------------------------------

    async def volumes(self) -> list[Volume]:
        """See ports.Storage."""
        return self._folders.volumes()

    def _existing(self, volume: Volume) -> Path:
        return self._folders.existing(volume)

    async def create(self, volume: Volume) -> None:
        """See ports.Storage."""
        with self._folders.free(volume) as place:
            made = folders.temporary(place)
            try:
                what = f'create volume "{volume.name}"'
                await self._do(what, lambda: self._new_place(made, volume))
                folders.settle(made, place)
            except BaseException:
                await self._remove(made)
                raise

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        with self._folders.free(target) as place:
            made = await self._cloned(source, target, target.kind == "container", still)
            try:
                what = f'copy volume "{source.name}"'
                await self._do(what, lambda: folders.settle(made, place), lambda: os.rename(place, made))
            except BaseException:
                await self._remove(made)
                raise

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """See ports.Storage."""
        await self.copy(source, target, still)

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """See ports.Storage."""
        place = self._existing(target)
        made = await self._cloned(snapshot, target, writable=True, old=place)
        try:
            await self._do(f'restore volume "{target.name}"', lambda: self._exchange(made, place, target))
        finally:
            await self._remove(made)

    def _exchange(self, made: Path, place: Path, target: Volume) -> None:
        rootfs = place / VOLUME / "rootfs"
        if stacks.mounted(rootfs) in stacks.IN_USE:
            raise InvalidInput(f'a container runs on volume "{target.name}"; stop it first')
        stacks.unmount(rootfs)
        self._projects.pass_on(place, made)
        folders.exchange(made, place)

    async def _cloned(
        self,
        source: Volume,
        target: Volume,
        writable: bool,
        still: Still | None = None,
        old: Path | None = None,
    ) -> Path:
        """A place for the target, under a temporary name, that shares the layers of source.

        writable: it has a layer of its own that takes changes. old: the place that it is to replace.
        """
        origin = self._existing(source)
        made = folders.temporary(self._folders.path(target))
        try:
            await self._do(f'copy volume "{source.name}"', lambda: self._new_place(made, target, old))
            if source.kind in ("custom", "custom-snapshot"):  # plain: what is in them is rarely an image
                await tree.copy(origin / VOLUME, made / VOLUME, self.name)
                return made
            others = [name for name in os.listdir(origin / VOLUME) if name != "rootfs"]
            await tree.copy_entries(origin / VOLUME, others, made / VOLUME, self.name)
            live = await self._do(
                f'copy volume "{source.name}"', lambda: self._share(origin, made, writable)
            )
            if live:
                await self._copy_live(live, origin, made, writable, still)
            await self._bound_depth(origin, made)
        except BaseException:
            await self._remove(made)
            raise
        return made

    def _share(self, origin: Path, made: Path, writable: bool) -> str:
        """Have `made` share the frozen layers of origin; the name of one that cannot be frozen, or ""."""
        rootfs = origin / VOLUME / "rootfs"
        with self._lock:
            live = ""
            if stacks.mounted(rootfs) in stacks.IN_USE:
                frozen = self._layers.read(origin, rootfs)
                assert frozen is not None
                live = frozen.upper
            else:
                stacks.unmount(rootfs)
                frozen = self._freeze(origin, rootfs)
            (made / VOLUME / "rootfs").mkdir(mode=0o755)
            if frozen is None:
                return ""
            below = self._layers.files(frozen.lower[0])
            upper = self._layers.new(below, made) if writable and not live else ""
            self._layers.write(made, Chain(upper, frozen.lower))
            return live

    def _freeze(self, place: Path, rootfs: Path) -> Chain | None:
        """Freeze what the volume has; None if it has no files."""
        chain = self._layers.read(place, rootfs)
        if chain is None:
            if not rootfs.is_dir():
                return None
            return self._layers.begin(place, rootfs, changes=place.parent.name == "containers")
        frozen = self._layers.frozen(chain, place)
        if frozen != chain:
            self._layers.write(place, frozen)
        return frozen

    async def _copy_live(
        self, live: str, origin: Path, made: Path, writable: bool, still: Still | None
    ) -> None:
        """Give `made` a copy of a layer that a running container writes to."""
        rootfs = made / VOLUME / "rootfs"
        name = await self._copied(self._layers.files(live), made if writable else origin, still)

        def take() -> None:
            with self._lock:
                shared = self._layers.read(made, rootfs)
                assert shared is not None
                chain = Chain(name, shared.lower)
                if not writable:
                    chain = Chain("", (name, *shared.lower))
                self._layers.write(made, chain)

        await self._do("copy a layer", take)

    async def _bound_depth(self, origin: Path, made: Path) -> None:
        """Replace too many frozen layers by one that has what they show, in both volumes."""
        rootfs = made / VOLUME / "rootfs"
        chain = self._layers.read(made, rootfs)
        if chain is None or len(chain.lower) <= MOST_LOWER:
            return
        await self._do(
            "mount layers", lambda: stacks.mount(self._layers, Chain("", chain.lower), rootfs, stacks.VIEW)
        )
        try:
            name = await self._copied(rootfs, origin)
        finally:
            stacks.unmount(rootfs)

        def take() -> list[Path]:
            with self._lock:
                self._layers.write(made, Chain(chain.upper, (name,)))
                self._layers.flatten(origin, chain.lower, name)
                return self._layers.discard(chain.lower, self._places())

        for path in await self._do("make a layer", take):
            await tree.remove(path)

    async def _copied(self, files: Path, owner: Path, still: Still | None = None) -> str:
        """A new layer of a volume with a copy of a tree; still: if a container writes to that."""
        name = await self._do("make a layer", lambda: self._layers.new(files, owner))
        try:
            await self._do("make a layer", self._layers.files(name).rmdir)
            if still is None:
                await tree.copy(files, self._layers.files(name), self.name)
            else:
                await twice.copy(files, self._layers.files(name), self.name, still)
        except BaseException:
            await tree.remove(self._layers.folder / name)
            raise
        return name

    async def rename(self, volume: Volume, new: Volume) -> None:
        """See ports.Storage."""

        def rename() -> None:
            place = self._existing(volume)
            stacks.unmount(place / VOLUME / "rootfs")
            with self._folders.free(new) as free:
                folders.settle(place, free)
            self._folders.tidy(place)

        await self._do(f'rename volume "{volume.name}"', rename)

    async def delete(self, volume: Volume) -> None:
        """See ports.Storage."""
        place = self._folders.path(volume)
        doomed = folders.temporary(place)
        stacks.unmount(place / VOLUME / "rootfs")
        try:
            os.rename(place, doomed)
        except FileNotFoundError:
            return
        await self._remove(doomed)
        self._folders.tidy(place)

    async def _remove(self, doomed: Path) -> None:
        """Remove a place that has a temporary name, with the layers that only it had."""
        number = self._projects.of(doomed)
        for path in await self._do("remove a volume", lambda: self._doomed_layers(doomed)):
            await tree.remove(path)
        await tree.remove(doomed)
        if number and number not in map(
            self._projects.of, self._places()
        ):  # of what has taken its place, too
            self._projects.forget(number)

    def _doomed_layers(self, doomed: Path) -> list[Path]:
        rootfs = doomed / VOLUME / "rootfs"
        with self._lock:
            stacks.unmount(rootfs)
            chain = self._layers.read(doomed, rootfs)
            if chain is None:
                return []
            self._layers.forget(doomed)
            return self._layers.discard(chain.names(), self._places())

    def _places(self) -> list[Path]:
        """Where volumes are, those in the making too."""
        return [self._folders.path(volume) for volume in self._folders.volumes()] + self._folders.remains()

    # --- volumes that travel -------------------------------------------------------------------

    def transports(self) -> tuple[str, ...]:
        """See ports.Storage."""
        return (rsync.NAME,)

    async def origin(self, snapshot: Volume) -> str:
        """See ports.Storage."""
        return ""

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage. What is sent is a clone: the owners in what runs may be shifted."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            what = f'send volume "{volume.name}"'
            if volume.kind in ("custom", "custom-snapshot"):
                await rsync.send(self._existing(volume) / VOLUME, fd, what)
                return
            made = await self._cloned(volume, volume, writable=False)
            try:
                await self._do(what, lambda: self._show(made))
                await rsync.send(made / VOLUME, fd, what, submounts=True)
            finally:
                await self._remove(made)

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            rsync.refuse_others(transport)
            with self._folders.free(volume) as place:
                made = await self._received(volume, fd, base)
                try:
                    folders.settle(made, place)
                except BaseException:
                    await self._remove(made)
                    raise

    async def refresh(self, volume: Volume, fd: int) -> None:
        """See ports.Storage."""
        async with sockets.ending(fd):
            place = self._existing(volume)
            made = await self._received(volume, fd, volume, place)
            try:
                await self._do(
                    f'receive volume "{volume.name}"', lambda: self._exchange(made, place, volume)
                )
            finally:
                await self._remove(made)

    async def _received(self, volume: Volume, fd: int, base: Volume | None, old: Path | None = None) -> Path:
        """A place under a temporary name with what comes, beginning with the layers of base."""
        what = f'receive volume "{volume.name}"'
        if base is not None:
            made = await self._cloned(base, volume, writable=True, old=old)
        else:
            made = folders.temporary(self._folders.path(volume))
        try:
            if base is None:
                await self._do(what, lambda: self._new_place(made, volume))
            await self._do(what, lambda: self._show(made))
            await rsync.receive(made / VOLUME, fd, what, submounts=True)
            await self._do(what, lambda: self._close_received(made, volume))
        except BaseException:
            await self._remove(made)
            raise
        return made

    def _show(self, made: Path) -> None:
        """Mount the layers of a place under a temporary name, if it has any."""
        rootfs = made / VOLUME / "rootfs"
        with self._lock:
            if (chain := self._layers.read(made, rootfs)) is not None:
                stacks.mount(self._layers, chain, rootfs, stacks.VIEW)

    def _close_received(self, made: Path, volume: Volume) -> None:
        rootfs = made / VOLUME / "rootfs"
        stacks.unmount(rootfs)
        folders.shut(made / VOLUME, 0o711)
        folders.check_layout(made / VOLUME, volume.kind)
        with self._lock:
            chain = self._layers.read(made, rootfs)
            if chain is not None and chain.upper and volume.kind != "container":
                self._layers.write(made, Chain("", (chain.upper, *chain.lower)))

    async def sweep(self) -> None:
        """See ports.Storage."""
        for path in self._folders.remains():
            await self._remove(path)
        for path in self._layers.folder.glob(f"{folders.MARK}*"):
            stacks.unmount(path)
        gone = await self._do("sweep", lambda: self._layers.discard(self._layers.all(), self._places()))
        for path in gone:
            await tree.remove(path)
        self._folders.tidy_all()

    # --- sizes ---------------------------------------------------------------------------------

    async def usage(self, volume: Volume) -> int | None:
        """See ports.Storage: what it has changed itself, in what snapshots keep as well."""
        return self._projects.usage(self._existing(volume))

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """See ports.Storage."""
        place = self._existing(volume)

        def bound() -> None:
            chain = self._layers.read(place, place / VOLUME / "rootfs")
            upper = [self._layers.folder / chain.upper] if chain and chain.upper else []
            self._projects.bound(place, size_bytes, *upper)

        await self._do(f'set the quota of volume "{volume.name}"', bound)

    def _new_place(self, made: Path, volume: Volume, old: Path | None = None) -> None:
        """Make a place under a temporary name; old: the one that it is to replace, whose size is its own."""
        made.mkdir(mode=0o700)
        if old is None or volume.kind == "custom":  # what is copied is there twice until then
            self._projects.assign(made, volume.kind)
        else:
            self._projects.share(made, old)
        (made / VOLUME).mkdir(mode=0o711)
        (made / VOLUME).chmod(0o711)

    async def _do(self, what: str, work: Callable[[], T], take_back: Callable[[], None] | None = None) -> T:
        try:
            return await threads.run(work, take_back)
        except OSError as error:
            raise folders.failed(what, self.name, error) from error
