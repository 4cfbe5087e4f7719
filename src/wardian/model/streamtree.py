"""The simplestreams format, written: a folder that makes an image server of any web server. Pure.

`model.simplestreams` reads it back; clients of LXD and Incus do, too. An image lives in a folder named
by its fingerprint, so that files never change under a name, and the lists can be replaced at any time.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wardian.model import architectures, simplestreams
from wardian.model.image import extension

PRODUCTS_PATH = "streams/v1/images.json"
IMAGES = "images"
KINDS = ("lxd", "incus")
"""Each file is offered under the names that both kinds of clients look for."""


class Content(NamedTuple):
    """A file of an image. kind: as `model.image.kind_of` says."""

    kind: str
    sha256: str
    size: int


class Published(NamedTuple):
    """An image that the tree offers. files: metadata and root file system, or the unified file."""

    fingerprint: str
    architecture: str
    created_at: datetime
    properties: dict[str, str]
    aliases: tuple[str, ...]
    files: tuple[Content, ...]


def paths(fingerprint: str, kinds: Sequence[str]) -> list[str]:
    """Where the files of an image are, below the tree. kinds: formats of the files."""
    names = ("metadata", "rootfs") if len(kinds) > 1 else ("image",)
    return [
        f"{IMAGES}/{fingerprint}/{name}.{extension(kind)}" for name, kind in zip(names, kinds, strict=True)
    ]


def own_aliases(names: Iterable[str], architecture: str) -> tuple[tuple[str, ...], list[str]]:
    """(aliases that a product has, names that the format cannot say).

    Readers add `/ARCHITECTURE` to each alias themselves, so that ending is left out.
    """
    ending = f"/{architectures.debian(architecture)}"
    plain = dict.fromkeys(name.removesuffix(ending) for name in names)
    said = tuple(sorted(name for name in plain if name and simplestreams.can_be_alias(name)))
    return said, sorted(set(plain) - set(said))


def documents(images: Iterable[Published], now: datetime) -> dict[str, bytes]:
    """Path -> content of the lists, in the order in which they are to be put in place."""
    products: dict[str, dict[str, Any]] = {}
    for image in sorted(images, key=lambda i: (i.created_at, i.fingerprint)):
        product = _product(image)
        name = _product_name(image)
        if name in products and products[name]["aliases"] != product["aliases"]:
            name += f":{image.fingerprint[:12]}"
        versions = products.setdefault(name, product)["versions"]
        version = _version_name(image)
        if version in versions:
            version += f"_{image.fingerprint[:12]}"
        versions[version] = {"label": image.properties.get("label", ""), "items": _items(image)}
    updated = now.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    common = {"datatype": "image-downloads", "format": "products:1.0", "updated": updated}
    listed = {"content_id": IMAGES, **common, "products": products}
    entry = {**common, "path": PRODUCTS_PATH, "products": sorted(products)}
    index = {"format": "index:1.0", "updated": updated, "index": {IMAGES: entry}}
    return {PRODUCTS_PATH: _text(listed), simplestreams.INDEX_PATH: _text(index)}


def _text(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def _product(image: Published) -> dict[str, Any]:
    given = image.properties
    found = {
        "aliases": ",".join(image.aliases),
        "arch": architectures.debian(image.architecture),
        "os": given.get("os", ""),
        "release": given.get("release", ""),
        "release_title": given.get("version") or given.get("release", ""),
        "version": given.get("version", ""),
        "variant": given.get("variant", ""),
    }
    return {key: value for key, value in found.items() if value or key == "aliases"} | {"versions": {}}


def _product_name(image: Published) -> str:
    arch = architectures.debian(image.architecture)
    words = [image.properties.get("os"), image.properties.get("release"), arch]
    words.append(image.properties.get("variant") or "default")
    return ":".join(re.sub(r"[^a-z0-9._-]+", "-", (word or "other").lower()) for word in words)


def _version_name(image: Published) -> str:
    serial = image.properties.get("serial", "")
    if simplestreams.is_version(serial):
        return serial
    return image.created_at.astimezone(UTC).strftime("%Y%m%d_%H%M")


def _items(image: Published) -> dict[str, Any]:
    places = paths(image.fingerprint, [file.kind for file in image.files])
    files = [
        {"path": path, "sha256": file.sha256, "size": file.size}
        for path, file in zip(places, image.files, strict=True)
    ]
    if len(files) == 1:
        return {
            f"{kind}_combined.tar.gz": {"ftype": f"{kind}_combined.tar.gz", **files[0]} for kind in KINDS
        }
    is_squashfs = image.files[1].kind == "squashfs"
    rootfs = "squashfs" if is_squashfs else "root.tar.xz"
    combined = dict.fromkeys(("combined_sha256", dict(simplestreams.ROOTFS)[rootfs]), image.fingerprint)
    metadata = {f"{kind}.tar.xz": {"ftype": f"{kind}.tar.xz", **files[0], **combined} for kind in KINDS}
    return {**metadata, rootfs: {"ftype": rootfs, **files[1]}}
