"""What image servers offer, as the client sees it: fetched over https, kept on disk, usable offline.

Nothing here is imported before it is needed: a list that is fresh on disk costs no TLS and no network.
"""

from __future__ import annotations

import os
import sys
import time

from wardian.client import config
from wardian.client.connection import ApiError
from wardian.errors import InvalidInput, WardianError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable
    from typing import Any, TypeVar

    from wardian.client.config import Remote
    from wardian.model.simplestreams import Catalogue, File, Offer
    from wardian.model.webcache import Kept

    T = TypeVar("T")

FRESH_S = 600
"""How long a list on disk is used without asking the server."""


def cache_folder() -> str:
    """Where documents are kept."""
    if os.environ.get("LXD_CONF"):
        return os.path.join(config.folder(), "cache")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "lxc")


def certificate(remote: Remote) -> str:
    """The certificate (PEM) that the user pinned for a remote, or "": the system's trust counts."""
    try:
        with open(os.path.join(config.folder(), "servercerts", f"{remote.name}.crt")) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def catalogue(remote: Remote, *, offline: bool = False) -> Catalogue:
    """All that the server of a remote offers; ApiError if it cannot be had.

    offline: only from what is on disk, however old; completion must not wait for a network.
    """
    from wardian.model import architectures, simplestreams

    try:
        server = simplestreams.check_server(remote.url)
        documents = Documents(certificate(remote), offline=offline)
        index = simplestreams.url_of(server, simplestreams.INDEX_PATH)
        offers: list[Offer] = []
        for path in documents.get(index, simplestreams.parse_index, simplestreams.INDEX_BYTES):
            url = simplestreams.url_of(server, path)
            offers += documents.get(url, simplestreams.parse_products, simplestreams.PRODUCTS_BYTES)
        return simplestreams.Catalogue(server, offers, architectures.native(os.uname().machine)[0])
    except WardianError as error:
        raise ApiError(str(error)) from None


def find(remote: Remote, name: str) -> tuple[Catalogue, Offer]:
    """(catalogue, offer) of an alias or fingerprint; an empty name is the server's default image."""

    found = catalogue(remote)
    try:
        return found, found.find(name or "default")[0]
    except WardianError as error:
        raise ApiError(str(error), error.status) from None


def as_object(found: Catalogue, offer: Offer) -> dict[str, Any]:
    """An offer in the shape of an image of the API."""
    expires = offer.expires_at
    return {
        "fingerprint": offer.fingerprint,
        "filename": offer.filename,
        "size": offer.size,
        "architecture": offer.architecture,
        "public": True,
        "auto_update": False,
        "cached": False,
        "properties": offer.properties,
        "aliases": [{"name": name, "description": ""} for name in found.names_of(offer)],
        "created_at": offer.created_at.isoformat(),
        "uploaded_at": offer.created_at.isoformat(),
        "expires_at": expires.isoformat() if expires else "",
        "last_used_at": "",
    }


def images(remote: Remote) -> list[dict[str, Any]]:
    """All offers, in the shape of images of the API."""
    found = catalogue(remote)
    return [as_object(found, offer) for offer in found.offers]


def aliases(remote: Remote) -> list[dict[str, Any]]:
    """All aliases, in the shape of the API."""
    return [
        {"name": name, "target": offer.fingerprint, "description": ""}
        for name, offer in catalogue(remote).names.items()
    ]


def save(remote: Remote, name: str, target: str) -> None:
    """Fetch the files of an image to a folder, or of one file to a file name, verified.

    ApiError, and no file is left, if they are not what the server's lists say.
    """
    import hashlib

    from wardian.model import simplestreams
    from wardian.model.image import MAGIC_BYTES, extension, kind_of

    found_in, offer = find(remote, name)
    is_folder, is_split = os.path.isdir(target), len(offer.files) > 1
    if target == "-":
        raise ApiError(f'an image of remote "{remote.name}" is saved to a folder, not to standard output')
    if is_split and not is_folder:
        raise ApiError(f'"{target}" is not a folder, which an image of two files needs')
    folder = target if is_folder else os.path.dirname(target) or "."
    parts = [os.path.join(folder, f".{offer.fingerprint}.{n}.part") for n in range(len(offer.files))]
    whole = hashlib.sha256()
    try:
        for part, file in zip(parts, offer.files, strict=True):
            _save_file(
                simplestreams.url_of(found_in.server, file.path), file, part, certificate(remote), whole
            )
        if whole.hexdigest() != offer.fingerprint:
            raise ApiError(f"the files on {found_in.server} are not the image {offer.fingerprint}")
        for part, prefix in zip(parts, ("meta-", "") if is_split else ("",), strict=True):
            with open(part, "rb") as opened:
                ending = extension(kind_of(opened.read(MAGIC_BYTES)))
            plain = os.path.join(folder, f"{prefix}{offer.fingerprint}") if is_folder else target
            os.rename(part, f"{plain}.{ending}")
    except OSError as error:
        raise ApiError(f'cannot write to "{folder}": {error.strerror}') from None
    except WardianError as error:
        raise ApiError(str(error)) from None
    finally:
        for part in parts:
            if os.path.exists(part):
                os.unlink(part)


def _save_file(url: str, file: File, path: str, pinned: str, whole: hashlib._Hash) -> None:
    """Write a file, verified; `whole` gets its bytes as well."""
    import hashlib

    from wardian.client import https

    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as target:
        for piece in https.pieces(url, certificate=pinned):
            digest.update(piece)
            whole.update(piece)
            size += len(piece)
            if size > file.size:
                break
            target.write(piece)
    if size != file.size or digest.hexdigest() != file.sha256:
        raise ApiError(f'"{url}" is not the file that was announced; the server may be changing, try again')


class Documents:
    """Documents by URL, from the disk or the web. certificate: PEM of the server's own, if pinned."""

    def __init__(self, certificate: str = "", *, offline: bool = False) -> None:
        self._certificate, self._offline = certificate, offline

    def get(self, url: str, read: Callable[[bytes], list[T]], limit: int) -> list[T]:
        """What `read` makes of the document, which is kept if that works; InvalidInput if it does not.

        ApiError if it cannot be had, or is larger than `limit` bytes.
        """
        from wardian.model import proxies, webcache

        path = os.path.join(cache_folder(), webcache.filename(url))
        kept = _read(path, url, limit)
        if self._offline:
            if kept is None:
                raise ApiError(f'"{url}" has not been fetched yet')
            return read(kept.body)
        proxy = proxies.configured({}, os.environ).of(url)
        if kept is not None and kept.is_fresh(time.time(), FRESH_S, proxy):
            return read(kept.body)
        try:
            new = self._ask(url, kept, limit, proxy)
            found = read(new.body)
        except (ApiError, InvalidInput) as error:
            if kept is None:
                raise
            when = time.strftime("%Y/%m/%d %H:%M UTC", time.gmtime(kept.checked_at))
            sys.stderr.write(f"warning: {error}; this is what it said at {when}\n")
            return read(kept.body)
        _write(path, new)
        return found

    def _ask(self, url: str, kept: Kept | None, limit: int, proxy: str) -> Kept:
        """The document as the server has it now."""
        from wardian.client import https
        from wardian.model import webcache

        status, headers, body = https.get(
            url, kept.conditions() if kept else {}, limit=limit, certificate=self._certificate
        )
        if status == 304 and kept is not None:
            return kept._replace(checked_at=time.time(), proxy=proxy)
        return webcache.received(url, body, headers, time.time(), proxy)


def _read(path: str, url: str, limit: int) -> Kept | None:
    from wardian.model import webcache

    try:
        with open(path, "rb") as file:
            return webcache.from_bytes(file.read(limit + webcache.HEAD_BYTES + len(url)), url)
    except OSError:
        return None


def _write(path: str, kept: Kept) -> None:
    """Put the document in place, whole or not at all; without a disk for it the next call fetches again."""
    from wardian.model import webcache

    new = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(new, "wb") as file:
            file.write(webcache.to_bytes(kept))
        os.rename(new, path)
    except OSError as error:
        if os.path.exists(new):
            os.unlink(new)
        sys.stderr.write(f'warning: cannot keep a list of images in "{path}": {error.strerror}\n')
