"""Who may come in from the network: trusted certificates, and tokens that admit one more.

A join token is one word that a person carries from the server to a client: where the server is, the
fingerprint of its certificate, and a secret that is good for one certificate. The server keeps only
the secret's hash.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from msgspec import Struct

from wardian.errors import InvalidInput
from wardian.model.access import FULL, Access

LONGEST_TOKEN = 8192
LONGEST_NAME = 128
_NAME = re.compile(r"[^\W_][\w.@+-]*")
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Certificate(Struct, frozen=True, kw_only=True):
    """A certificate of the trust store."""

    fingerprint: str
    name: str
    certificate: str
    """PEM."""
    added_at: datetime
    type: str = "client"
    access: Access = FULL


class Invitation(Struct, frozen=True, kw_only=True):
    """What the server remembers of a join token that has not been used."""

    name: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime
    access: Access = FULL
    """Of the certificate that it admits."""

    def admits(self, secret: str, now: datetime) -> bool:
        """Whether this is the token's secret and it is still good; in constant time."""
        right = hmac.compare_digest(self.secret_hash, hashed(secret))
        return right and now < self.expires_at


@dataclass(frozen=True)
class JoinToken:
    """The token as people carry it."""

    name: str
    """What the new certificate will be called in the trust store."""
    fingerprint: str
    """Of the server's certificate."""
    addresses: tuple[str, ...]
    """`host:port`, each to be tried."""
    secret: str
    expires_at: str
    """RFC 3339."""

    def encode(self) -> str:
        """The word to carry; later releases of the client read it too."""
        fields = {
            "client_name": self.name,
            "fingerprint": self.fingerprint,
            "addresses": list(self.addresses),
            "secret": self.secret,
            "expires_at": self.expires_at,
        }
        return base64.b64encode(json.dumps(fields).encode()).decode()


def hashed(secret: str) -> str:
    """What the server keeps of a secret: it has 256 random bits, so a plain hash cannot be undone."""
    return hashlib.sha256(secret.encode()).hexdigest()


def decode_token(text: str) -> JoinToken | None:
    """The token that the text is, or None if it is not one (a password, an address)."""
    if len(text) > LONGEST_TOKEN:
        return None
    try:
        fields = json.loads(base64.b64decode(text, validate=True))
        token = JoinToken(
            name=fields["client_name"],
            fingerprint=fields["fingerprint"],
            addresses=tuple(fields["addresses"]),
            secret=fields["secret"],
            expires_at=fields.get("expires_at", ""),
        )
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = (token.name, token.fingerprint, token.secret, token.expires_at, *token.addresses)
    return token if all(isinstance(text, str) for text in texts) else None


def check_name(name: str) -> None:
    """InvalidInput unless the name can be one of a certificate or token."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidInput(
            f'field "name": "{name[:LONGEST_NAME]}" is not a name: up to {LONGEST_NAME} letters, digits '
            "and . _ @ + -, a letter or digit first"
        )


def parse_span(text: str) -> timedelta:
    """A length of time: a number and s, m, h or d."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f'"{text[:40]}" is not a length of time: write a number and s, m, h or d, as in 24h'
        )
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


@dataclass(frozen=True)
class Bucket:
    """Tries that are left, as of a moment in seconds."""

    left: float
    at: float


class Attempts:
    """Bounds how often secrets can be guessed: a few tries at once, then one every so often.

    Counted for each source and for all together, so that neither one guesser nor many get far.
    Time is passed in, in seconds of a clock that never goes back.
    """

    def __init__(self, *, each: int = 5, each_s: float = 10, all: int = 60, all_s: float = 1) -> None:
        self._each, self._each_s = each, each_s
        self._all, self._all_s = all, all_s
        self._sources: dict[str, Bucket] = {}
        self._total = Bucket(all, 0)

    def take(self, source: str, now: float) -> float:
        """Use a try; 0 if there was one, else the seconds until there is one again."""
        own = _filled(self._sources.get(source), now, self._each, self._each_s)
        total = _filled(self._total, now, self._all, self._all_s)
        if own.left < 1 or total.left < 1:
            return max((1 - own.left) * self._each_s, (1 - total.left) * self._all_s)
        self._total = replace(total, left=total.left - 1)
        self._sources[source] = replace(own, left=own.left - 1)
        self._forget_full(now)
        return 0

    def give_back(self, source: str) -> None:
        """The try was right: it does not count."""
        own = self._sources.pop(source, None)
        if own is not None:
            self._sources[source] = replace(own, left=min(self._each, own.left + 1))
        self._total = replace(self._total, left=min(self._all, self._total.left + 1))

    def _forget_full(self, now: float) -> None:
        """Drop sources that have all their tries again: what is kept is bounded by the total rate."""
        for source, bucket in list(self._sources.items()):
            if _filled(bucket, now, self._each, self._each_s).left >= self._each:
                del self._sources[source]

    def __len__(self) -> int:
        return len(self._sources)


def _filled(bucket: Bucket | None, now: float, most: int, every_s: float) -> Bucket:
    if bucket is None:
        return Bucket(most, now)
    return Bucket(min(most, bucket.left + max(0.0, now - bucket.at) / every_s), max(now, bucket.at))
