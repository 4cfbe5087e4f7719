"""Volumes of a pool."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from wardian.model.container import Pool
from wardian.model.idmap import IdMap

VolumeKind = Literal["container", "image", "snapshot", "custom", "custom-snapshot"]


@dataclass(frozen=True, order=True)
class Volume:
    """A tree of files in a pool.

    name: of the container, the image's fingerprint, `container/snapshot`; of a custom volume, which
    belongs to nobody and is nothing but files, `volume/snapshot`.
    """

    kind: VolumeKind
    name: str

    @property
    def is_snapshot(self) -> bool:
        """Whether it is what another volume was."""
        return self.kind in ("snapshot", "custom-snapshot")


@dataclass(frozen=True)
class Space:
    """Bytes of a pool's file system."""

    used: int
    total: int


@dataclass(frozen=True)
class Traits:
    """What a storage driver can do beyond keeping trees."""

    clones: bool
    """`copy` shares blocks and takes milliseconds."""
    quotas: bool
    """`set_quota` works."""
    usage: bool
    """`usage` answers."""
    size_bytes: int = 0
    """Volumes made from nothing have this size, and hold no more until `set_quota`; 0: they have none."""
    atomic: bool = False
    """`copy` and `snapshot` keep one moment, even while the source is written to."""


Still = Callable[[], AbstractAsyncContextManager[None]]
"""Makes a block during which nobody writes to a volume."""


class Storage(Protocol):
    """One storage pool. Deals in volumes, never in containers.

    A volume is a folder at `path(volume)` (owner root, closed to others), holding for containers and images
    `metadata.yaml`, `templates/` and `rootfs/` with unshifted owners (container root = uid 0 on disk).
    Where the driver keeps the files apart, `rootfs/` is empty until `mount`.
    Each change is atomic: after a crash a volume is there whole or `sweep` removes its remains.
    """

    driver: str
    version: str
    """Version of the tools or kernel part, for `lxc info`."""
    traits: Traits

    async def create_pool(self) -> None:
        """Make the pool (loop file, file system, folders) from its configuration; all or nothing."""

    async def delete_pool(self) -> None:
        """Remove the pool and what `create_pool` made; InvalidInput if volumes are left."""

    async def open(self) -> None:
        """Make the pool usable after a boot or daemon restart (attach loop, mount); idempotent."""

    async def close(self) -> None:
        """Undo `open` if nothing uses the pool any more."""

    async def grow(self, size_bytes: int) -> None:
        """Enlarge a pool that has a size of its own; InvalidInput if it has none, or is larger."""

    def path(self, volume: Volume) -> Path:
        """The folder of the volume; valid while it exists."""

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """Put the files of the volume in place below `path(volume)`; harmless where they always are.

        idmap: that of a container about to start on the volume, which keeps it until `unmount`.
        Returns whether owners below `rootfs/` are now the host ids of that map (no mount of it is
        to be shifted again); without an idmap whether that is so for the container that has it.
        """

    async def unmount(self, volume: Volume) -> None:
        """Take the files from below `path(volume)` again; no container runs on them. Idempotent."""

    async def volumes(self) -> list[Volume]:
        """All volumes that exist, sorted."""

    async def create(self, volume: Volume) -> None:
        """An empty volume; AlreadyExists if there is one."""

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """`target` becomes an independent, writable copy of `source`; a clone where the pool can.

        still: for a source that is written to. Where the pool needs it, it is entered once, for as short
        as can be, and the copy is what the source is then.
        """

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        """`target` (kind snapshot) becomes a read-only copy of `source` as it is now; still: see `copy`."""

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """`target` gets the content of `snapshot`; on failure it keeps its own."""

    async def rename(self, volume: Volume, new: Volume) -> None:
        """Same content under a new name (its snapshots are volumes of their own)."""

    async def delete(self, volume: Volume) -> None:
        """Remove the volume and all that is nested in it; harmless if it does not exist."""

    def transports(self) -> tuple[str, ...]:
        """Ways in which volumes of this pool travel, best first, e.g. ("btrfs", "rsync").

        "rsync" is always the last and understood by every pool.
        """

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """Write the volume to the connected stream socket `fd`, which the caller owns and closes.

        One volume per socket: it is made blocking, and its end is the end of the stream. Both sides talk.
        base: a snapshot that the receiver has with the same content, if its `origin` there is the same:
        only the difference is sent (btrfs; rsync ignores it). HostFailed if the other side gives up.
        """

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """Make a volume from what `send` writes to the other end of the socket `fd`, all or nothing.

        base: the local volume that holds the sender's base; with rsync any volume much like the one that
        comes: what they share need not travel. The stream is not trusted: it reaches nothing but the
        new volume. After a failure or cancellation nothing is left, after a crash `sweep` removes it.
        AlreadyExists; InvalidInput for what is no volume; OutOfSpace; HostFailed if the other side gives up.
        """

    async def refresh(self, volume: Volume, fd: int) -> None:
        """Give a volume that exists the content that comes by "rsync", all or nothing; as `receive`.

        No container runs on it.
        """

    async def origin(self, snapshot: Volume) -> str:
        """What is the same for a snapshot and for those that were received from it, by another transport
        than "rsync"; empty where that is not known: it can be nobody's base then."""

    async def sweep(self) -> None:
        """Remove what interrupted calls left behind; called once at start-up."""

    async def usage(self, volume: Volume) -> int | None:
        """Bytes that the volume uses, or None where the pool cannot tell."""

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """Bound the volume (None: unbounded); InvalidInput where the pool cannot."""

    async def space(self) -> Space:
        """Used and total bytes of the pool."""


class StorageDrivers(Protocol):
    """Every storage pool of this host, by name."""

    def kinds(self) -> list[str]:
        """Names of the drivers that work on this host, best first."""

    def make(self, pool: Pool) -> Storage:
        """The driver for a pool (InvalidInput: unknown driver or configuration); kept by name."""

    def get(self, name: str) -> Storage:
        """The driver made earlier for the pool of this name; NotFound otherwise."""

    def drop(self, name: str) -> None:
        """Forget the pool."""
