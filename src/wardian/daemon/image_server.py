"""`lxd image-server build`: images of the store as a folder that any web server can serve.

Whoever reads the folder meanwhile sees the old state or the new one: files of images never change
once they are in place, and the lists are replaced after them.
"""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardian.daemon import control
from wardian.errors import HostFailed, InvalidInput, NotFound, OutOfSpace
from wardian.model import image as image_model
from wardian.model import streamtree
from wardian.model.paths import Paths
from wardian.model.streamtree import Content, Published

TEMPORARY = ".tmp-"
CHUNK = 1024 * 1024
FINGERPRINT_LENGTH = 64


def build(paths: Paths, folder: str, wanted: Sequence[str], *, everything: bool, prune: bool) -> int:
    """Write the tree and say what is in it; the exit status.

    wanted: aliases or fingerprints; none: all public images, or with `everything` all there are.
    """
    chosen = choose(_images(paths), wanted, everything=everything)
    if not chosen:
        raise InvalidInput(
            "there is no public image; name images, or mark them with `lxc image edit` (public: true)"
        )
    root = Path(folder)
    try:
        _prepare(root)
        published = [_publish(paths, root, image) for image in chosen]
        for path, content in streamtree.documents(published, datetime.now(UTC)).items():
            _replace(root / path, content)
        if prune:
            _prune(root, {image.fingerprint for image in published})
    except OSError as error:
        if error.errno in (28, 122):
            raise OutOfSpace(f'no space left in "{folder}"; free some, then retry') from error
        raise HostFailed(f'cannot write to "{error.filename or folder}": {error.strerror}') from error
    print(f'{len(published)} images in "{folder}"; serve it over https as it is, then use it with')
    print("  lxc remote add NAME https://HOST --protocol simplestreams")
    return 0


def _images(paths: Paths) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = control.ask(paths, "GET", "/1.0/images?recursion=1")
    return found


def choose(
    images: Sequence[dict[str, Any]], wanted: Sequence[str], *, everything: bool
) -> list[dict[str, Any]]:
    """The images that are meant; NotFound names the first that there is none of."""
    if not wanted:
        return [image for image in images if everything or image["public"]]
    chosen = {}
    for text in wanted:
        named = [i for i in images if text in [alias["name"] for alias in i["aliases"]]]
        found = named or [i for i in images if text and i["fingerprint"].startswith(text)]
        if len(found) != 1:
            raise NotFound(f'image "{text}" not found' if not found else f'"{text}" matches several images')
        chosen[found[0]["fingerprint"]] = found[0]
    return list(chosen.values())


def _prepare(root: Path) -> None:
    """Make the folders; InvalidInput for a folder that holds other things or that others can change."""
    if root.is_dir() and {path.name for path in root.iterdir()} - {streamtree.IMAGES, "streams"}:
        raise InvalidInput(f'"{root}" holds other things; name a folder that is empty or does not exist')
    for path in (root, root / streamtree.IMAGES, root / "streams", root / "streams/v1"):
        if not path.is_symlink():
            path.mkdir(mode=0o755, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise InvalidInput(
                f'"{path}" can be changed by others; it must be a folder of root that only root writes to: '
                "a web server needs to read it only"
            )
    for left in (root / streamtree.IMAGES).glob(f"{TEMPORARY}*"):
        shutil.rmtree(left)


def _publish(paths: Paths, root: Path, image: dict[str, Any]) -> Published:
    """Put the files of an image in place, verified, unless they are there."""
    fingerprint = image["fingerprint"]
    sources = [paths.images / fingerprint]
    rootfs = sources[0].with_name(f"{fingerprint}.rootfs")
    if rootfs.exists():
        sources.append(rootfs)
    kinds = [_kind(source) for source in sources]
    places = [root / path for path in streamtree.paths(fingerprint, kinds)]
    if all(place.is_file() for place in places):
        contents = [_copy(place, None, kind) for place, kind in zip(places, kinds, strict=True)]
    else:
        contents = _place(root, fingerprint, sources, places, kinds)
    aliases, unsaid = streamtree.own_aliases(
        (alias["name"] for alias in image["aliases"]), image["architecture"]
    )
    for name in unsaid:
        print(f'alias "{name}" of {fingerprint[:12]} is left out: lists cannot hold "," or ":"')
    print(f"{fingerprint[:12]} {' '.join(aliases)}")
    created = datetime.fromisoformat(image["created_at"])
    return Published(
        fingerprint, image["architecture"], created, image["properties"], aliases, tuple(contents)
    )


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        return image_model.kind_of(file.read(image_model.MAGIC_BYTES))


def _place(
    root: Path, fingerprint: str, sources: list[Path], places: list[Path], kinds: list[str]
) -> list[Content]:
    """Copy the files into a new folder, which gets its name when all of them are right."""
    new = root / streamtree.IMAGES / f"{TEMPORARY}{secrets.token_hex(8)}"
    new.mkdir(mode=0o755)
    try:
        whole = hashlib.sha256()
        contents = [
            _copy(source, new / place.name, kind, whole)
            for source, place, kind in zip(sources, places, kinds, strict=True)
        ]
        if whole.hexdigest() != fingerprint:
            raise HostFailed(
                f'the files of image "{fingerprint}" in the store are damaged; delete the image'
            )
        final = places[0].parent
        if final.exists():
            shutil.rmtree(final)
        new.rename(final)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return contents


def _copy(source: Path, target: Path | None, kind: str, whole: "hashlib._Hash | None" = None) -> Content:
    """Hash a file while it is copied (target None: only hash it). whole: gets the bytes as well."""
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as reader, open(target or os.devnull, "xb" if target else "wb") as writer:
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            if whole is not None:
                whole.update(chunk)
            writer.write(chunk)
            size += len(chunk)
        if target is not None:
            writer.flush()
            os.fchmod(writer.fileno(), 0o644)
            os.fsync(writer.fileno())
    return Content(kind, digest.hexdigest(), size)


def _replace(path: Path, content: bytes) -> None:
    """Put a list in place of the one before."""
    new = path.with_name(f"{TEMPORARY}{path.name}")
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    new.rename(path)


def _prune(root: Path, kept: set[str]) -> None:
    for path in (root / streamtree.IMAGES).iterdir():
        if len(path.name) == FINGERPRINT_LENGTH and path.name not in kept:
            shutil.rmtree(path)
