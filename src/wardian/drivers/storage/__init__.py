"""Storage drivers by name. A new one is one file here and a row in `Drivers.make`."""

import os
import shutil
from pathlib import Path

from wardian.drivers.storage.btrfs import BtrfsStorage
from wardian.drivers.storage.dir import DirStorage
from wardian.drivers.storage.overlay import OverlayStorage
from wardian.errors import InvalidInput, NotFound
from wardian.linux import btrfs, mounts
from wardian.model.container import Pool
from wardian.model.paths import Paths
from wardian.model.pool_keys import LEAST_BYTES
from wardian.model.units import parse_size
from wardian.ports import Storage

GIB = 1024**3
DEFAULT_SHARE = 5
"""A loop file gets one part in so many of its file system, within the bounds below."""
DEFAULT_BOUNDS = (5 * GIB, 100 * GIB)


class Drivers:
    """Every storage pool of this daemon."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._made: dict[str, Storage] = {}

    def kinds(self) -> list[str]:
        """See ports.StorageDrivers."""
        found = ["btrfs"] if shutil.which("mkfs.btrfs") and mounts.is_supported("btrfs") else []
        return [*found, *(["overlay"] if mounts.is_supported("overlay") else []), "dir"]

    def make(self, pool: Pool) -> Storage:
        """See ports.StorageDrivers."""
        source = pool.config.get("source", "")
        if pool.driver == "dir":
            made: Storage = DirStorage(pool.name, Path(source) if source else self._paths.pools / pool.name)
        elif pool.driver == "overlay":
            made = OverlayStorage(pool.name, Path(source) if source else self._paths.pools / pool.name)
        elif pool.driver == "btrfs":
            made = self._btrfs(pool, source)
        else:
            raise InvalidInput(
                f"The requested backend '{pool.driver}' isn't supported; use btrfs, overlay or dir"
            )
        self._made[pool.name] = made
        return made

    def _btrfs(self, pool: Pool, source: str) -> Storage:
        own = self._paths.pools / pool.name
        if not source or source == str(self._image(pool)):
            return BtrfsStorage(pool.name, own, image=self._image(pool), size_bytes=self._size(pool))
        if Path(source).is_block_device():
            return BtrfsStorage(pool.name, own, device=source)
        if not Path(source).is_dir() or mounts.magic_of(Path(source)) != btrfs.MAGIC:
            raise InvalidInput(f'"{source}" is neither a block device nor a folder on btrfs')
        return BtrfsStorage(pool.name, Path(source))

    def _image(self, pool: Pool) -> Path:
        return self._paths.disks / f"{pool.name}.img"

    def _size(self, pool: Pool) -> int:
        if pool.config.get("size"):
            return parse_size(pool.config["size"])
        found = os.statvfs(self._paths.disks)
        least, most = DEFAULT_BOUNDS
        wanted = max(least, min(most, found.f_blocks * found.f_frsize // DEFAULT_SHARE))
        return max(LEAST_BYTES, min(wanted, found.f_bavail * found.f_frsize))

    def get(self, name: str) -> Storage:
        """See ports.StorageDrivers."""
        try:
            return self._made[name]
        except KeyError:
            raise NotFound(f'storage pool "{name}" not found') from None

    def drop(self, name: str) -> None:
        """See ports.StorageDrivers."""
        self._made.pop(name, None)
