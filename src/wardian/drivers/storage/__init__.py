"""Storage drivers by name. A new one is one file here and a row in `AVAILABLE` and in `Drivers.make`."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from wardian.drivers.storage import lvm, zfs
from wardian.drivers.storage.btrfs import BtrfsStorage
from wardian.drivers.storage.dir import DirStorage
from wardian.drivers.storage.lvm import LvmStorage
from wardian.drivers.storage.overlay import OverlayStorage
from wardian.drivers.storage.zfs import ZfsStorage
from wardian.errors import InvalidInput, NotFound
from wardian.linux import btrfs, mounts
from wardian.model import pool_keys
from wardian.model.container import Pool
from wardian.model.paths import Paths
from wardian.model.pool_keys import LEAST_BYTES
from wardian.model.units import parse_size
from wardian.ports.storage import Storage

GIB = 1024**3
DEFAULT_SHARE = 5
"""A loop file gets one part in so many of its file system, within the bounds below."""
DEFAULT_BOUNDS = (5 * GIB, 100 * GIB)


def _has_btrfs() -> bool:
    return bool(shutil.which("mkfs.btrfs")) and mounts.is_supported("btrfs")


AVAILABLE: dict[str, Callable[[], bool]] = {
    "zfs": zfs.is_available,
    "btrfs": _has_btrfs,
    "overlay": lambda: mounts.is_supported("overlay"),
    "lvm": lvm.is_available,
    "dir": lambda: True,
}
"""Driver -> whether this host has what it takes; best first."""


def available() -> list[str]:
    """Drivers that work on this host, best first."""
    return [name for name, works in AVAILABLE.items() if works()]


class Drivers:
    """Every storage pool of this daemon."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._made: dict[str, Storage] = {}

    def kinds(self) -> list[str]:
        """See ports.StorageDrivers."""
        return available()

    def make(self, pool: Pool) -> Storage:
        """See ports.StorageDrivers."""
        makers: dict[str, Callable[[Pool, str], Storage]] = {
            "zfs": self._zfs,
            "btrfs": self._btrfs,
            "overlay": self._overlay,
            "lvm": self._lvm,
            "dir": self._dir,
        }
        if pool.driver not in makers:
            known = ", ".join(makers)
            raise InvalidInput(f"The requested backend '{pool.driver}' isn't supported; use {known}")
        made = makers[pool.driver](pool, pool.config.get("source", ""))
        self._made[pool.name] = made
        return made

    def _own(self, pool: Pool) -> Path:
        """The folder of a pool that is not in one of the user's."""
        return self._paths.pools / pool.name

    def _dir(self, pool: Pool, source: str) -> Storage:
        return DirStorage(pool.name, Path(source) if source else self._own(pool))

    def _overlay(self, pool: Pool, source: str) -> Storage:
        return OverlayStorage(pool.name, Path(source) if source else self._own(pool))

    def _btrfs(self, pool: Pool, source: str) -> Storage:
        own = self._own(pool)
        if not source or source == str(self._image(pool)):
            return BtrfsStorage(pool.name, own, image=self._image(pool), size_bytes=self._size(pool))
        if Path(source).is_block_device():
            return BtrfsStorage(pool.name, own, device=source)
        if not Path(source).is_dir() or mounts.magic_of(Path(source)) != btrfs.MAGIC:
            raise InvalidInput(f'"{source}" is neither a block device nor a folder on btrfs')
        return BtrfsStorage(pool.name, Path(source))

    def _lvm(self, pool: Pool, source: str) -> Storage:
        value = pool_keys.reader(pool)
        name, thinpool = value("lvm.vg_name") or pool.name, value("lvm.thinpool_name")
        if not source:
            group = lvm.Group(name, thinpool, image=self._image(pool), size_bytes=self._size(pool))
        elif source.startswith("/"):
            group = lvm.Group(name, thinpool, device=_device(source))
        else:
            group = lvm.Group(source, thinpool)
        return LvmStorage(
            pool.name,
            self._own(pool),
            group,
            filesystem=value("volume.block.filesystem"),
            volume_bytes=parse_size(value("volume.size")),
        )

    def _zfs(self, pool: Pool, source: str) -> Storage:
        name = pool.config.get("zfs.pool_name") or pool.name
        if not source:
            place = zfs.Dataset(name, image=self._image(pool), size_bytes=self._size(pool))
        elif source.startswith("/"):
            place = zfs.Dataset(name, device=_device(source))
        else:
            place = zfs.Dataset(source)
        return ZfsStorage(pool.name, self._own(pool), place)

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


def _device(source: str) -> str:
    if not Path(source).is_block_device():
        raise InvalidInput(f'"{source}" is not a block device')
    return source
