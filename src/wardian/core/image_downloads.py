"""Downloads of images: what is to be fetched, as a `Plan`, and the fetching of it, verified file by file."""

import asyncio
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wardian.core import images
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.errors import HostFailed, InvalidInput, NotFound, OutOfSpace
from wardian.model.container import Image, ImageSource
from wardian.model.idmap import IdMap
from wardian.model.units import shown_bytes
from wardian.ports.downloads import Expected, Via
from wardian.ports.rootfs import ImageFiles

log = logging.getLogger(__name__)

SPARE_BYTES = 16 * 1024 * 1024
"""What a download leaves free."""


@dataclass(frozen=True)
class Part:
    """A file to download."""

    url: str
    expected: Expected


@dataclass(frozen=True)
class Shortcut:
    """A difference that makes the root file system out of that of an image that is here."""

    base: Image
    difference: Part


@dataclass(frozen=True)
class Plan:
    """An image to download: one file, or metadata and root file system."""

    fingerprint: str
    parts: tuple[Part, ...]
    via: Via
    filename: str
    source: ImageSource | None
    """Where updates come from, if it was named by something that moves on."""
    properties: Mapping[str, str]
    expires_at: datetime | None = None
    bundle: str = ""
    """URL of an answer with all files, instead of `parts`: they are verified together."""
    bundle_size: int = 0
    shortcut: Shortcut | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files, where that is known."""
        if self.bundle:
            return self.bundle_size
        sizes = [part.expected.size for part in self.parts]
        return sum(size or 0 for size in sizes) if None not in sizes else None


async def download_files(host: Host, found: Plan, folder: Path, operation: Operation) -> ImageFiles:
    """Fetch the files of a plan into a new folder. OutOfSpace, before any of it, if they do not fit."""
    _check_room(host, found)
    meter, targets = Meter(operation, "download", found.size), (folder / "meta", folder / "root")
    if found.bundle:
        count = await host.downloads.bundle(found.bundle, found.via, targets, meter, limit=found.bundle_size)
    elif found.shortcut and await _take_shortcut(host, found, found.shortcut, targets, operation):
        count = 2
    else:
        count = len(found.parts)
        await _download_parts(host, found, targets, meter)
    return ImageFiles(targets[0], targets[1] if count > 1 else None)


async def _take_shortcut(
    host: Host, found: Plan, shortcut: Shortcut, targets: tuple[Path, Path], operation: Operation
) -> bool:
    """Fetch only what differs from an image that is here. False, and no files, if that fails."""
    metadata, rootfs = found.parts
    delta = targets[1].with_name("delta")
    sizes = [part.expected.size or 0 for part in (metadata, shortcut.difference)]
    meter = Meter(operation, "download", sum(sizes))
    base = images.files(host, shortcut.base).rootfs
    assert base is not None and rootfs.expected.size is not None
    try:
        with images.in_use(host, shortcut.base):
            await host.downloads.file(metadata.url, found.via, targets[0], metadata.expected, meter)
            url, expected = shortcut.difference.url, shortcut.difference.expected
            await host.downloads.file(url, found.via, delta, expected, lambda n: meter(sizes[0] + n))
            operation.progress("download", "applying the difference")
            ids = host.idmap or IdMap()
            await host.rootfs.patch(base, delta, targets[1], rootfs.expected.size, ids)
            if await asyncio.to_thread(images.sha256_of, targets[1]) == rootfs.expected.sha256:
                return True
            raise InvalidInput("the result is not the file that was announced")
    except (HostFailed, InvalidInput, NotFound) as error:
        log.warning('image "%s": %s; fetching all of it', found.fingerprint[:12], error)
        for path in targets:
            path.unlink(missing_ok=True)
        return False
    finally:
        delta.unlink(missing_ok=True)


async def _download_parts(host: Host, found: Plan, targets: Sequence[Path], meter: Meter) -> None:
    done = 0
    for part, target in zip(found.parts, targets, strict=False):
        before = done

        def received(position: int, before: int = before) -> None:
            meter(before + position)

        await host.downloads.file(part.url, found.via, target, part.expected, received)
        done += part.expected.size or 0


def _check_room(host: Host, found: Plan) -> None:
    free = shutil.disk_usage(host.paths.images).free
    if found.size is not None and found.size + SPARE_BYTES > free:
        raise OutOfSpace(
            f'the image takes {shown_bytes(found.size)}, but "{host.paths.images}" has only '
            f"{shown_bytes(free)} free; free some, then retry"
        )
