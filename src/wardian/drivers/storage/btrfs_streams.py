"""Volumes that travel by `btrfs send` and `btrfs receive`: whole, or the difference to a snapshot.

What goes over the socket: how many bytes a list has (4, big endian), the list of the subvolumes that are
nested in the volume (JSON, paths in it), then one stream of `btrfs send` for the volume and one for each of
them, each with its end mark.
"""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wardian.drivers.storage import confined, sockets, subvolumes
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import btrfs

NAME = "btrfs"
LIST_BYTES = 1 << 20
LENGTH_BYTES = 4
POOL = "/pool"
"""Where a receiver believes the file system to be."""
RECEIVER = ("btrfs", "-q", "receive", "--chroot", "-e", "-m", POOL, "--", "/target")

OTHER_BASE = ("find parent subvolume", "not find parent", "changed your default subvolume")
"""Complaints of a receiver that cannot find, or cannot open, what a stream builds on."""


async def send(subvolumes: Sequence[tuple[str, Path]], parent: Path | None, fd: int, what: str) -> None:
    """Send read-only subvolumes: the volume itself, then each nested one with its path in the volume.

    parent: a read-only subvolume that the receiver has; of the volume itself only the difference is sent.
    """
    nested = json.dumps([path for path, _ in subvolumes[1:]]).encode()
    if len(nested) > LIST_BYTES:
        raise HostFailed(f"cannot {what}: too many subvolumes are nested in it")
    await _put(fd, len(nested).to_bytes(LENGTH_BYTES, "big") + nested, what)
    for number, (_, folder) in enumerate(subvolumes):
        difference = ["-p", str(parent)] if parent and number == 0 else []
        argv = ["btrfs", "-q", "send", *difference, "--", str(folder)]
        status, said = await sockets.run(argv, stdout=fd)
        if status:
            raise sockets.failed(what, _reason(said), said)
    sockets.end(fd)


async def receive(
    folder: Path, fd: int, what: str, base: Path | None, alike: Sequence[Path]
) -> list[tuple[str, Path]]:
    """The subvolumes that `send` was called with, made below an empty folder on btrfs.

    A stream may clone from any subvolume whose UUID it names, write to devices that it has made, and follow
    links; so all that its receiver can open of the host is the new subvolume, and to read the base. This is
    also what it finds in place of those that are alike, of which it may take any.
    """
    found = []
    pool = folder / "pool"
    pool.mkdir(mode=0o700)
    shown = [await asyncio.to_thread(_mirror, place, pool) for place in alike]
    for number, path in enumerate(["", *await _nested(fd, what)]):
        place = folder / str(number)
        place.mkdir(mode=0o700)
        beside = [(POOL, pool)]
        if base is not None and number == 0:
            beside += [(f"{POOL}/{inside}", base) for inside in shown]
        with confined.shown(place, writable=True) as target:
            status, said = await confined.run(RECEIVER, target, confined.ADMIN, stdin=fd, beside=beside)
        if status and any(words in said for words in OTHER_BASE):
            raise InvalidInput(f"cannot {what}: what came is the difference to another volume")
        if status:
            raise sockets.failed(what, _reason(said), said)
        entries = list(place.iterdir())
        if len(entries) != 1:
            raise InvalidInput(f"cannot {what}: what came is not one subvolume")
        found.append((path, entries[0]))
    return found


def _mirror(base: Path, pool: Path) -> str:
    """Make folders in a folder that are like those above a subvolume: there the receiver looks for it.

    Returns the path of the last one.
    """
    with subvolumes.folder(base.parent) as fd:
        inside = f"{btrfs.path_in_subvolume(fd)}/{base.name}".lstrip("/")
    (pool / inside).mkdir(mode=0o700, parents=True, exist_ok=True)
    return inside


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    cut = not lines or any(words in said for words in ("Broken pipe", "Connection reset", "short read"))
    return "" if cut else lines[0].removeprefix("ERROR: ")


async def _nested(fd: int, what: str) -> list[str]:
    size = int.from_bytes(await _take(fd, LENGTH_BYTES, what), "big")
    if size > LIST_BYTES:
        raise InvalidInput(f"cannot {what}: the list of nested subvolumes is too long")
    try:
        nested = json.loads(await _take(fd, size, what))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"cannot {what}: the list of nested subvolumes is damaged") from error
    if not isinstance(nested, list) or not all(
        isinstance(path, str) and _is_inside(path) for path in nested
    ):
        raise InvalidInput(f"cannot {what}: the list of nested subvolumes is damaged")
    return nested


def _is_inside(path: str) -> bool:
    """Whether it is a path below a folder. Links on the way are for whoever opens it to refuse."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


async def _put(fd: int, content: bytes, what: str) -> None:
    with socket.socket(fileno=os.dup(fd)) as ours:
        ours.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_sendall(ours, content)
        except OSError as error:
            raise sockets.failed(what, "", "") from error
        finally:
            ours.setblocking(True)


async def _take(fd: int, size: int, what: str) -> bytes:
    """Exactly so many bytes: what follows is for the program."""
    found = b""
    with socket.socket(fileno=os.dup(fd)) as ours:
        ours.setblocking(False)
        try:
            while len(found) < size:
                chunk = await asyncio.get_running_loop().sock_recv(ours, size - len(found))
                if not chunk:
                    raise sockets.failed(what, "", "")
                found += chunk
        except OSError as error:
            raise sockets.failed(what, "", "") from error
        finally:
            ours.setblocking(True)
    return found
