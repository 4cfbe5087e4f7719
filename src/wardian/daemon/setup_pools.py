"""The storage pool that `lxd init` makes: by its options or by questions; bodies of API requests."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardian.drivers import storage
from wardian.errors import InvalidInput
from wardian.model.pool_keys import DRIVERS

FOLDERS = ("overlay", "dir")
"""Those that take no device and no loop file."""
EXISTING = {"zfs": "zfs.pool_name", "lvm": "lvm.vg_name"}
"""Those that can be on what other tools have made -> the key that names what is made for them."""
WORDS = {"zfs": ("ZFS pool", "ZFS pool or dataset"), "lvm": ("LVM volume group", "LVM volume group")}
DEFAULT, NAME = "default", "lxd"
GIB = 1024**3


class Asks(Protocol):
    """See daemon.setup.Asker."""

    def ask(self, question: str, default: str, accept: Callable[[str], bool]) -> str:
        """The first acceptable answer."""

    def yes(self, question: str, default: bool) -> bool:
        """A yes or no."""


def best() -> str:
    """The best driver that this host has."""
    return storage.available()[0]


def check(options: argparse.Namespace) -> None:
    """Refuse options that cannot be."""
    backend = options.storage_backend
    if backend is not None and backend not in DRIVERS:
        raise InvalidInput(f"The requested backend '{backend}' isn't supported by lxd init.")
    if backend is not None and backend not in storage.available():
        raise InvalidInput(
            f"The requested backend '{backend}' isn't available on your system (missing tools)."
        )
    if backend in FOLDERS and (
        options.storage_pool or options.storage_create_device or options.storage_create_loop
    ):
        raise InvalidInput(
            "None of --storage-pool, --storage-create-device or --storage-create-loop "
            f"may be used with the '{backend}' backend."
        )
    if options.storage_create_device and options.storage_create_loop:
        raise InvalidInput("Only one of --storage-create-device or --storage-create-loop can be specified.")


def by_options(options: argparse.Namespace) -> dict[str, Any]:
    """The pool of `--auto`. Its name is `--storage-pool`, which for ZFS and LVM names what is below it."""
    backend = options.storage_backend or best()
    config = {}
    if options.storage_create_device:
        config["source"] = options.storage_create_device
    if options.storage_create_loop:
        config["size"] = f"{options.storage_create_loop}GB"
    name = options.storage_pool or DEFAULT
    if backend in EXISTING:
        name = DEFAULT
        if options.storage_pool and not config:
            config["source"] = options.storage_pool
        else:
            config[EXISTING[backend]] = options.storage_pool or NAME
    return {"name": name, "driver": backend, "config": config}


def by_questions(asker: Asks, taken: Sequence[str] = ()) -> dict[str, Any]:
    """The pool that the answers make. taken: the pools that there are."""
    kinds, preferred = storage.available(), best()
    listed = f"{', '.join(kinds[:-1])} or {kinds[-1]}" if kinds[1:] else kinds[0]
    question = f"Name of the storage backend to use ({listed}) [default={preferred}]:"
    backend = asker.ask(question, preferred, lambda a: a in kinds)
    name = DEFAULT
    if DEFAULT in taken:
        name = asker.ask("Name of the new storage pool:", "", lambda a: a not in taken)
    config: dict[str, str] = {}
    if backend in EXISTING:
        what, place = WORDS[backend]
        if not asker.yes(f"Create a new {what}", True):
            config["source"] = asker.ask(f"Name of the existing {place}:", "", bool)
            return {"name": name, "driver": backend, "config": config}
        config[EXISTING[backend]] = asker.ask(f"Name of the new {what} [default={NAME}]:", NAME, bool)
    if backend not in FOLDERS:
        config |= _ask_disk(asker)
    return {"name": name, "driver": backend, "config": config}


def _ask_disk(asker: Asks) -> dict[str, str]:
    if asker.yes("Would you like to use an existing block device", False):
        question = "Path to the existing block device:"
        return {"source": asker.ask(question, "", lambda a: Path(a).is_block_device())}
    size = loop_size_gb()
    question = f"Size in GB of the new loop device (1GB minimum) [default={size}]:"
    return {"size": asker.ask(question, str(size), lambda a: a.isdigit() and int(a) > 0) + "GB"}


def loop_size_gb() -> int:
    """20 % of the file system, between 15 and 100."""
    found = os.statvfs("/var/lib")
    return max(15, min(100, found.f_blocks * found.f_frsize // 5 // GIB))
