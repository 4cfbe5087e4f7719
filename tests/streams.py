"""A made-up image server for tests: its documents and files, as a dictionary of the web."""

import hashlib
import json
from typing import Any

SERVER = "https://images.example.org"


def image(label: str, *, architecture: str = "x86_64", created: int = 1) -> tuple[bytes, bytes]:
    """(metadata, root file system) of an image that FakeRootfs takes."""
    return f"architecture: {architecture}\ncreation_date: {created}\n".encode(), f"root {label}".encode()


def sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def version(folder: str, metadata: bytes, rootfs: bytes, **changes: Any) -> dict[str, Any]:
    """A version of a product with squashfs; changes are made to the root file system's item."""
    meta = {
        "ftype": "lxd.tar.xz",
        "path": f"{folder}/lxd.tar.xz",
        "sha256": sha256(metadata),
        "size": len(metadata),
        "combined_squashfs_sha256": sha256(metadata, rootfs),
    }
    root = {
        "ftype": "squashfs",
        "path": f"{folder}/root.squashfs",
        "sha256": sha256(rootfs),
        "size": len(rootfs),
    }
    return {"label": "release", "items": {"lxd.tar.xz": meta, "root.squashfs": {**root, **changes}}}


def product(versions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A product of the distribution `ubuntu`."""
    return {
        "aliases": "14.04,trusty,default",
        "arch": "amd64",
        "os": "ubuntu",
        "release": "trusty",
        "release_title": "14.04 LTS",
        "version": "14.04",
        "support_eol": "2019-04-17",
        "versions": versions,
    } | changes


def index(path: str = "streams/v1/images.json") -> dict[str, Any]:
    entry = {"datatype": "image-downloads", "path": path, "products": ["a"], "format": "products:1.0"}
    return {"format": "index:1.0", "index": {"images": entry}}


def web(products: dict[str, Any], files: dict[str, bytes], server: str = SERVER) -> dict[str, bytes]:
    """URL -> content of a server with these products and files."""
    documents = {
        "streams/v1/index.json": json.dumps(index()).encode(),
        "streams/v1/images.json": json.dumps({"products": products}).encode(),
    }
    return {f"{server}/{path}": content for path, content in (documents | files).items()}


def trusty(label: str = "one", serial: str = "20160401", **changes: Any) -> tuple[dict[str, bytes], str]:
    """(the web, fingerprint) of a server with one image."""
    metadata, rootfs = image(label)
    files = {f"{serial}/lxd.tar.xz": metadata, f"{serial}/root.squashfs": rootfs}
    products = {"trusty": product({serial: version(serial, metadata, rootfs, **changes)})}
    return web(products, files), sha256(metadata, rootfs)
