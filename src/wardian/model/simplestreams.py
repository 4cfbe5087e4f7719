"""The simplestreams format, read: what an image server offers (spec/rest-api.md section 23). Pure.

A document may have been written by anybody; whoever fetches it bounds its size. A product, a version
or an item that is not as it must be is left out and takes nothing else with it. Paths are relative and
stay below the server's own URL; nothing from a document ever becomes the name of a file here.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from wardian.errors import InvalidInput, NotFound
from wardian.model import architectures

INDEX_PATH = "streams/v1/index.json"
INDEX_BYTES = 1024 * 1024
PRODUCTS_BYTES = 24 * 1024 * 1024
"""The largest in use have about 5 MiB."""
STREAMS = 16
"""How many products documents of one index are read."""
IMAGE_BYTES = 64 * 1024**3
URL_LENGTH = 2048
TEXT_LENGTH = 256
NEAR = 3

METADATA = ("lxd.tar.xz", "incus.tar.xz")
COMBINED = ("lxd_combined.tar.gz", "incus_combined.tar.gz")
ROOTFS = (
    ("squashfs", "combined_squashfs_sha256"),
    ("root.tar.xz", "combined_rootxz_sha256"),
)
"""Types of root file systems, best first -> where the metadata item has the sha256 of both together."""
DELTAS = {"squashfs": "squashfs.vcdiff"}
"""Type of a root file system -> type of the differences to it from those of other versions."""
UBUNTU = "https://cloud-images.ubuntu.com"
"""Servers below it leave the distribution out of their aliases' names."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{1,64}")
_VERSION = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})[-0-9A-Za-z_.:]{0,56}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ALIAS_BYTES = 128


class _Item(msgspec.Struct):
    ftype: str = ""
    path: str = ""
    sha256: str = ""
    size: int = 0
    combined_sha256: str | None = None
    combined_rootxz_sha256: str | None = None
    combined_squashfs_sha256: str | None = None
    delta_base: str | None = None


class _Version(msgspec.Struct):
    label: str | None = None
    items: dict[str, msgspec.Raw] = {}


class _Product(msgspec.Struct):
    arch: str
    versions: dict[str, msgspec.Raw]
    aliases: str | None = None
    os: str | None = None
    release: str | None = None
    release_title: str | None = None
    version: str | None = None
    variant: str | None = None
    support_eol: str | None = None


class _Products(msgspec.Struct):
    products: dict[str, msgspec.Raw]


class _Stream(msgspec.Struct):
    path: str
    datatype: str = ""
    products: list[str] | None = None


class _Index(msgspec.Struct):
    index: dict[str, msgspec.Raw]


class File(NamedTuple):
    """A file on the server. path: relative to the server's URL; size: bytes."""

    path: str
    sha256: str
    size: int


class Delta(NamedTuple):
    """A way to the root file system from that of another version. base: fingerprint of its image."""

    base: str
    file: File


class Offer(NamedTuple):
    """One version of an image."""

    fingerprint: str
    architecture: str
    """Our name of it, e.g. x86_64."""
    files: tuple[File, ...]
    """Metadata and root file system, or the one file of a unified image."""
    aliases: tuple[str, ...]
    """As the product has them, without architecture."""
    properties: dict[str, str]
    created_at: datetime
    expires_at: datetime | None
    deltas: tuple[Delta, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def filename(self) -> str:
        """The last part of the metadata file's path, for people."""
        return self.files[0].path.rpartition("/")[2]


class Catalogue:
    """All offers of a server, and the names under which they are asked for."""

    def __init__(self, server: str, offers: Iterable[Offer], native: str) -> None:
        self.server = server
        self.offers = sorted(offers, key=lambda offer: _natural(offer.properties["serial"]), reverse=True)
        self.offers.sort(key=lambda o: (o.properties.get("os", ""), o.properties.get("release", "")))
        self.names: dict[str, Offer] = {}
        """Alias -> offer; the first come has it."""
        self._names_of: dict[str, list[str]] = {}
        own = "ubuntu/" if server.startswith(UBUNTU) else ""
        for offer in self.offers:
            for alias in offer.aliases:
                alias = alias.removeprefix(own)
                if offer.architecture == native:
                    self._add(alias, offer)
                self._add(f"{alias}/{offer.properties['architecture']}", offer)

    def _add(self, name: str, offer: Offer) -> None:
        if self.names.setdefault(name, offer) is offer:
            self._names_of.setdefault(offer.fingerprint, []).append(name)

    def names_of(self, offer: Offer) -> list[str]:
        """The aliases that lead to this offer."""
        return self._names_of.get(offer.fingerprint, [])

    def find(self, text: str) -> tuple[Offer, bool]:
        """(offer, whether it was named by alias) of an alias or the beginning of a fingerprint.

        NotFound names aliases that look alike; InvalidInput if several fingerprints begin so.
        """
        if text in self.names:
            return self.names[text], True
        found = {o.fingerprint: o for o in self.offers if o.fingerprint.startswith(text)}
        if not _PREFIX.fullmatch(text) or not found:
            near = self.near(text)
            hint = f"did you mean {' or '.join(near)}?" if near else "`lxc image list` shows what there is"
            shown = text[:_ALIAS_BYTES].encode("unicode_escape").decode()
            raise NotFound(
                f'The requested image couldn\'t be found. "{shown}" is not on {self.server}; {hint}'
            )
        if len(found) > 1:
            raise InvalidInput("Provided partial image fingerprint matches more than one image")
        return next(iter(found.values())), False

    def near(self, text: str) -> list[str]:
        """A few aliases that somebody may have meant."""
        import difflib

        text = text[:_ALIAS_BYTES]
        starting = sorted((n for n in self.names if text and n.startswith(text)), key=len)
        if starting:
            return starting[:NEAR]
        return difflib.get_close_matches(text, self.names, NEAR, cutoff=0.7)


# --- documents ---------------------------------------------------------------------------------

_T = TypeVar("_T")


def _decode(text: bytes | msgspec.Raw, kind: type[_T]) -> _T | None:
    """The value, or None if it is not what it must be."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_index(text: bytes) -> list[str]:
    """Paths of the products documents with images; InvalidInput if the text is no index."""
    index = _decode(text, _Index)
    if index is None:
        raise InvalidInput("the index of the image server is not in the simplestreams format")
    streams = [stream for raw in index.index.values() if (stream := _decode(raw, _Stream)) is not None]
    paths = [
        s.path for s in streams if s.datatype == "image-downloads" and s.products and is_safe_path(s.path)
    ]
    return list(dict.fromkeys(paths))[:STREAMS]


def parse_products(text: bytes) -> list[Offer]:
    """All images of a products document; InvalidInput if the text is none."""
    document = _decode(text, _Products)
    if document is None:
        raise InvalidInput("the list of images of the image server is not in the simplestreams format")
    offers: list[Offer] = []
    for raw in document.products.values():
        product = _decode(raw, _Product)
        if product is not None and _known_architecture(product.arch):
            offers += _product_offers(product)
    return offers


def _product_offers(product: _Product) -> list[Offer]:
    """The images of all versions, with the differences between them that the server has."""
    versions = {name: _decode(content, _Version) for name, content in product.versions.items()}
    offers = {name: offer for name, version in versions.items() for offer in _offers(product, name, version)}
    for name, offer in offers.items():
        version = versions[name]
        assert version is not None
        offers[name] = offer._replace(deltas=_deltas(version, offer, offers))
    return list(offers.values())


def _deltas(version: _Version, offer: Offer, offers: dict[str, Offer]) -> tuple[Delta, ...]:
    """The differences that are smaller than the file that they lead to."""
    items = [item for raw in version.items.values() if (item := _usable(raw)) is not None]
    root = next((item for item in items if _file(item) == offer.files[-1] and item.ftype in DELTAS), None)
    if root is None:
        return ()
    return tuple(
        Delta(offers[item.delta_base].fingerprint, _file(item))
        for item in items
        if item.ftype == DELTAS[root.ftype] and item.delta_base in offers and item.size < root.size
    )


def _known_architecture(name: str) -> bool:
    try:
        architectures.find(name)
    except InvalidInput:
        return False
    return True


def _offers(product: _Product, name: str, version: _Version | None) -> list[Offer]:
    """The image of a version: none or one."""
    created = _created(name)
    if version is None or created is None:
        return []
    items = {item.ftype: item for raw in version.items.values() if (item := _usable(raw)) is not None}
    found = _split(items) or _unified(items)
    if found is None:
        return []
    fingerprint, files = found
    return [
        Offer(
            fingerprint=fingerprint,
            architecture=architectures.canonical(product.arch),
            files=files,
            aliases=_aliases(product.aliases or ""),
            properties=_properties(product, name, _text(version.label)),
            created_at=created,
            expires_at=_date(product.support_eol or ""),
        )
    ]


def _usable(raw: msgspec.Raw) -> _Item | None:
    item = _decode(raw, _Item)
    if item is None or not _SHA256.fullmatch(item.sha256) or not 0 < item.size <= IMAGE_BYTES:
        return None
    return item if is_safe_path(item.path) else None


def _split(items: dict[str, _Item]) -> tuple[str, tuple[File, ...]] | None:
    metadata = next((items[kind] for kind in METADATA if kind in items), None)
    if metadata is None:
        return None
    for kind, key in ROOTFS:
        fingerprint = getattr(metadata, key) or metadata.combined_sha256 or ""
        if kind in items and _SHA256.fullmatch(fingerprint):
            return fingerprint, (_file(metadata), _file(items[kind]))
    return None


def _unified(items: dict[str, _Item]) -> tuple[str, tuple[File, ...]] | None:
    item = next((items[kind] for kind in COMBINED if kind in items), None)
    return (item.sha256, (_file(item),)) if item is not None else None


def _file(item: _Item) -> File:
    return File(item.path, item.sha256, item.size)


def _properties(product: _Product, serial: str, label: str) -> dict[str, str]:
    os, title, arch = _text(product.os), _text(product.release_title), _text(product.arch)
    words = [os, title or _text(product.release), arch, f"({label})" if label else "", f"({serial})"]
    found = {
        "os": os,
        "release": _text(product.release),
        "version": _text(product.version),
        "variant": _text(product.variant),
        "architecture": arch,
        "label": label,
        "serial": serial,
        "description": " ".join(word for word in words if word),
    }
    return {key: value for key, value in found.items() if value}


def _text(value: str | None) -> str:
    """A text that can be shown on one line; "" for any other."""
    return value if value and len(value) <= TEXT_LENGTH and value.isprintable() else ""


def _aliases(text: str) -> tuple[str, ...]:
    return tuple(name for word in text.split(",") if can_be_alias(name := word.strip()))


def can_be_alias(name: str) -> bool:
    """Whether the format can say this alias, and a client can use it as REMOTE:ALIAS."""
    return (
        bool(name)
        and name.isprintable()
        and not set(name) & set(",:")
        and len(name.encode()) <= _ALIAS_BYTES
    )


def is_version(name: str) -> bool:
    """Whether a version can be called so: it begins with its date."""
    return _created(name) is not None


def _created(version: str) -> datetime | None:
    match = _VERSION.fullmatch(version)
    return _date("-".join(match.groups())) if match else None


def _date(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _natural(version: str) -> list[int]:
    """Sorts 20160420.10 after 20160420.9."""
    return [int(number) for number in re.findall(r"[0-9]+", version)]


# --- addresses ---------------------------------------------------------------------------------


def check_server(url: str) -> str:
    """The URL of an image server without a final slash; InvalidInput if it is not https and plain."""
    try:
        parts = urlsplit(url)
        is_plain = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        parts, is_plain = urlsplit(""), False
    if parts.scheme == "http" and is_plain:
        raise InvalidInput(f'Only https URLs are supported for simplestreams: "{url[:URL_LENGTH]}"')
    if not is_plain or parts.scheme != "https" or "@" in parts.netloc or not _is_url_text(url):
        raise InvalidInput(
            f"{url[:80]!a} is not the URL of an image server: write https://HOST[:PORT][/PATH]"
        )
    return url.rstrip("/")


def _is_url_text(url: str) -> bool:
    return (
        len(url) <= URL_LENGTH and url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    )


def is_safe_path(path: str) -> bool:
    """Whether the path is relative, stays below its root and is plain text."""
    if not 0 < len(path) <= URL_LENGTH or not path.isprintable() or set(path) & set("\\?#%"):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def url_of(server: str, path: str) -> str:
    """The URL of a path of a document."""
    return f"{server}/{quote(path, safe='/:+~,@=._-')}"
