"""Keys of storage pools: one table. Pure.

Readers: validation by core/pools, the reference in docs/.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import units
from wardian.model.container import Config, Pool

DRIVERS = ("zfs", "btrfs", "overlay", "lvm", "dir")
"""All that there are, best first."""
LEAST_BYTES = 128 * 1024**2
"""Smallest loop file."""


_GROUP = re.compile(r"[a-zA-Z0-9_+.][a-zA-Z0-9_+.-]{0,62}")
_DATASET = re.compile(r"[a-zA-Z][a-zA-Z0-9_.:-]{0,62}(/[a-zA-Z0-9][a-zA-Z0-9_.:-]{0,62})*")
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")
"""What can be on the volumes of LVM."""


def _source(value: str) -> None:
    if not value.startswith("/") or not value.isprintable():
        raise InvalidInput(f'source "{value}" is not an absolute path')


def _group_or_device(value: str) -> None:
    if value.startswith("/"):
        _source(value)
    else:
        check_group(value)


def _dataset_or_device(value: str) -> None:
    if value.startswith("/"):
        _source(value)
    else:
        check_dataset(value)


def check_group(value: str) -> None:
    """A name that LVM takes for a volume group or a thin pool."""
    if not _GROUP.fullmatch(value) or value in (".", ".."):
        raise InvalidInput(f'"{value}" is not a name for LVM: 1 to 63 letters, digits and + . _ -')


def check_dataset(value: str) -> None:
    """A pool of ZFS, or a dataset in it."""
    if not _DATASET.fullmatch(value) or len(value) > 200:
        raise InvalidInput(f'"{value}" is not a pool of ZFS or a dataset in one: write POOL or POOL/DATASET')


def _zpool(value: str) -> None:
    check_dataset(value)
    if "/" in value:
        raise InvalidInput(f'"{value}" is not the name of a pool')


def check_file_system(value: str) -> None:
    """One that volumes of LVM can have."""
    if value not in FILE_SYSTEMS:
        known = " ".join(FILE_SYSTEMS)
        raise InvalidInput(f"Invalid value, only the following values are allowed: [{known}]")


def check_size(value: str) -> None:
    """A size that a file system can have."""
    if units.parse_size(value) < LEAST_BYTES:
        raise InvalidInput("size must be at least 128MB")


def _text(value: str) -> None:
    if "\0" in value:
        raise InvalidInput("a NUL character is not allowed")


@dataclass(frozen=True)
class PoolKey:
    """One key. drivers: which ones know it, none: all; fixed: it cannot change later."""

    name: str
    check: Callable[[str], object]
    default: str
    help: str
    drivers: tuple[str, ...] = ()
    fixed: bool = False


KEYS = (
    PoolKey(
        "source",
        _source,
        "a folder or loop file of the daemon's",
        "where the pool is: an empty folder, for btrfs also a block device (formatted) or a folder on btrfs",
        drivers=("btrfs", "overlay", "dir"),
        fixed=True,
    ),
    PoolKey(
        "source",
        _group_or_device,
        "a loop file of the daemon's",
        "where the pool is: a volume group that exists, or an empty block device",
        drivers=("lvm",),
        fixed=True,
    ),
    PoolKey(
        "source",
        _dataset_or_device,
        "a loop file of the daemon's",
        "where the pool is: a pool of ZFS that exists, a dataset in it (made if it is missing), or an empty "
        "block device",
        drivers=("zfs",),
        fixed=True,
    ),
    PoolKey(
        "size",
        check_size,
        "20% of the disk, 5GB to 100GB",
        "size of the loop file; can be made larger later",
        drivers=("btrfs", "lvm", "zfs"),
    ),
    PoolKey(
        "lvm.vg_name",
        check_group,
        "the name of the pool",
        "name of the volume group that is made on a loop file or device",
        drivers=("lvm",),
        fixed=True,
    ),
    PoolKey(
        "lvm.thinpool_name",
        check_group,
        "LXDPool",
        "thin pool in the volume group; made with all the space that is free if it is missing",
        drivers=("lvm",),
        fixed=True,
    ),
    PoolKey(
        "volume.size", check_size, "10GB", "size of new volumes; no space is used by it", drivers=("lvm",)
    ),
    PoolKey(
        "volume.block.filesystem",
        check_file_system,
        "ext4",
        "file system of new volumes: ext4, xfs or btrfs",
        drivers=("lvm",),
    ),
    PoolKey(
        "zfs.pool_name",
        _zpool,
        "the name of the pool",
        "name of the pool of ZFS that is made on a loop file or device",
        drivers=("zfs",),
        fixed=True,
    ),
    PoolKey("user.*", _text, "", "free-form"),
)


def reader(pool: Pool) -> Callable[[str], str]:
    """What applies for a key with a default of its own: what the pool's configuration says, or that."""
    defaults = {key.name: key.default for key in KEYS}
    return lambda name: pool.config.get(name) or defaults[name]


def for_new_volumes(config: Mapping[str, str]) -> dict[str, str]:
    """The part of a configuration that the driver must be told of when it changes."""
    return {name: value for name, value in config.items() if name.startswith("volume.")}


def check(driver: str, config: Mapping[str, str]) -> None:
    """Accept the configuration of a pool, or raise InvalidInput naming the key."""
    known = [key for key in KEYS if not key.drivers or driver in key.drivers]
    for name, value in config.items():
        key = next(
            (k for k in known if k.name == name or (k.name[-1] == "*" and name[:5] == k.name[:-1])), None
        )
        if key is None:
            names = ", ".join(k.name for k in known)
            raise InvalidInput(f'unknown key "{name}" for a pool of the driver {driver} (known: {names})')
        try:
            key.check(value)
        except InvalidInput as error:
            raise InvalidInput(f'key "{name}": {error}') from None


def check_change(driver: str, before: Config, after: Config) -> None:
    """Accept a change, or raise InvalidInput naming the key that must stay as it is."""
    check(driver, after)
    for key in KEYS:
        if key.fixed and before.get(key.name, "") != after.get(key.name, ""):
            raise InvalidInput(f'"{key.name}" of a storage pool cannot be changed')
