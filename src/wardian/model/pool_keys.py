"""Keys of storage pools: one table. Pure.

Readers: validation by core/pools, the reference in docs/.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import units
from wardian.model.container import Config

LEAST_BYTES = 128 * 1024**2
"""Smallest loop file."""


def _source(value: str) -> None:
    if not value.startswith("/") or not value.isprintable():
        raise InvalidInput(f'source "{value}" is not an absolute path')


def _size(value: str) -> None:
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
        fixed=True,
    ),
    PoolKey(
        "size",
        _size,
        "20% of the disk, 5GB to 100GB",
        "size of the loop file; can be made larger later",
        drivers=("btrfs",),
    ),
    PoolKey("user.*", _text, "", "free-form"),
)


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
