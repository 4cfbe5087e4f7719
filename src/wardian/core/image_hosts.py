"""Images of other hosts: what a daemon of the protocol `lxd` says of an image, read as a stranger's words.

A public image is asked for as a guest; a private one with a secret that its owner's client has got
for us (spec/rest-api.md sections 13.4 and 14.3).
"""

import re
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from wardian.errors import HostFailed, InvalidInput, NotFound
from wardian.model.container import ImageSource
from wardian.ports.downloads import Downloads, Via

ANSWER_BYTES = 1024 * 1024
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
PREFIX = re.compile(r"[0-9a-f]{1,64}")
SECRET = re.compile(r"[0-9A-Za-z_-]{1,512}")
LARGEST = 1024**4
"""Bytes that an image may claim to have."""

T = TypeVar("T")


class Offered(Struct, frozen=True):
    """What a host says of one of its images."""

    fingerprint: str
    size: int
    properties: dict[str, str] | None = None
    public: bool = False


class _Target(Struct, frozen=True):
    target: str


class _Answer(Struct, frozen=True):
    metadata: msgspec.Raw


class Offer(Struct, frozen=True):
    """An image of another host, and where its files are."""

    image: Offered
    url: str
    """Answers with the image's one file, or with both as multipart."""
    by_alias: bool


async def find(downloads: Downloads, origin: ImageSource, via: Via, secret: str = "") -> Offer:
    """The image of a host; NotFound if it has none of that name for us."""
    if secret and not SECRET.fullmatch(secret):
        raise InvalidInput('field "source.secret" is not a secret of an image')
    base = f"{origin.server}/1.0/images"
    target, by_alias = origin.alias, False
    if not FINGERPRINT.fullmatch(target):
        try:
            url = f"{base}/aliases/{quote(target)}"
            target = _read(await downloads.ask(url, via, limit=ANSWER_BYTES), _Target, origin).target
            by_alias = True
        except NotFound:
            if not PREFIX.fullmatch(target):
                raise NotFound(
                    f'"{origin.server}" has no image "{origin.alias}"; if it is not public, '
                    "copy it with a client that may see it"
                ) from None
    if not PREFIX.fullmatch(target):
        raise _nonsense(origin)
    query = f"?secret={secret}" if secret else ""
    try:
        answer = await downloads.ask(f"{base}/{target}{query}", via, limit=ANSWER_BYTES)
    except NotFound:
        raise NotFound(f'"{origin.server}" has no image "{origin.alias}" for us; is it public?') from None
    image = _read(answer, Offered, origin)
    if (
        not FINGERPRINT.fullmatch(image.fingerprint)
        or not image.fingerprint.startswith(target)
        or not 0 < image.size <= LARGEST
    ):
        raise _nonsense(origin)
    return Offer(image, f"{base}/{image.fingerprint}/export{query}", by_alias)


def _read(answer: bytes, kind: type[T], origin: ImageSource) -> T:
    try:
        return msgspec.json.decode(msgspec.json.decode(answer, type=_Answer).metadata, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise _nonsense(origin) from None


def _nonsense(origin: ImageSource) -> HostFailed:
    return HostFailed(f'"{origin.server}" does not answer as an image host does; is it one?')
