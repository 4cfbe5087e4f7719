"""A document of the web as it is kept on disk, and when it counts as fresh. Pure; import-light.

The file is a line of JSON about the document, then the document. A file that does not belong to the
URL, or is cut, is no document at all: it is fetched again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

HEAD_BYTES = 4096


class Kept(NamedTuple):
    """A document. etag, modified: what the server called this version, or ""."""

    url: str
    body: bytes
    etag: str = ""
    modified: str = ""
    checked_at: float = 0.0
    """UNIX time at which the server last confirmed it."""
    proxy: str = ""
    """Through which proxy it came; another one may see another server."""

    def is_fresh(self, now: float, within_s: float, proxy: str) -> bool:
        """Whether it may be used without asking the server."""
        return self.proxy == proxy and 0 <= now - self.checked_at < within_s

    def conditions(self) -> dict[str, str]:
        """Headers with which the server answers 304 if it is unchanged."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in found.items() if value}


def filename(url: str) -> str:
    """The name of the file for a URL: nothing of the URL itself is in it."""
    return hashlib.sha256(url.encode()).hexdigest()


def received(url: str, body: bytes, headers: Mapping[str, str], now: float, proxy: str) -> Kept:
    """The document of an answer; header names in any case."""
    lower = {name.lower(): value for name, value in headers.items()}
    etag, modified = (_harmless(lower.get(name, "")) for name in ("etag", "last-modified"))
    return Kept(url, body, etag, modified, now, proxy)


def _harmless(value: str) -> str:
    """What may be sent back in a header."""
    return value if len(value) <= 256 and value.isascii() and value.isprintable() else ""


def to_bytes(kept: Kept) -> bytes:
    """The content of the file."""
    about = {**kept._asdict(), "body": hashlib.sha256(kept.body).hexdigest()}
    return json.dumps(about).encode() + b"\n" + kept.body


def from_bytes(content: bytes, url: str) -> Kept | None:
    """The document for the URL in the content of a file, or None."""
    head, newline, body = content[: HEAD_BYTES + len(url)].partition(b"\n")
    if not newline:
        return None
    body = content[len(head) + 1 :]
    try:
        about = json.loads(head)
        kept = Kept(
            about["url"], body, about["etag"], about["modified"], float(about["checked_at"]), about["proxy"]
        )
        intact = about["body"] == hashlib.sha256(body).hexdigest()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept if intact and kept.url == url else None
