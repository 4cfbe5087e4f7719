"""X.509 certificates as values: how they are written, what they say, and which are good enough.

Trust is a comparison of bytes: the fingerprint is the SHA-256 of the certificate's DER form, in
hexadecimal. Nothing here trusts what a certificate says of itself.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from wardian.errors import InvalidInput

LARGEST_BYTES = 16 * 1024
"""Of a certificate in DER form; usual ones have one or two thousand bytes."""
LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 256

_ARMOUR = re.compile(r"-----(?:BEGIN|END) CERTIFICATE-----")
_PREFIX = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Facts:
    """What a certificate says."""

    common_name: str
    not_before: datetime
    not_after: datetime

    def valid_at(self, moment: datetime) -> bool:
        """Whether the moment lies within the certificate's dates."""
        return self.not_before <= moment <= self.not_after


def fingerprint(der: bytes) -> str:
    """The certificate's name in the trust store and in questions to people."""
    return hashlib.sha256(der).hexdigest()


def is_prefix(text: str) -> bool:
    """Whether the text can be (the beginning of) a fingerprint."""
    return _PREFIX.fullmatch(text) is not None


def same(one: bytes, other: bytes) -> bool:
    """Whether both are the same certificate, in constant time."""
    return hmac.compare_digest(one, other)


def to_pem(der: bytes) -> str:
    """The text form, as in files."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def to_der(text: str) -> bytes:
    """The bytes of a certificate in PEM or plain base64, line breaks or not; InvalidInput if it is none."""
    plain = "".join(_ARMOUR.sub("", text).split())
    if not plain or len(plain) > 2 * LARGEST_BYTES:
        raise InvalidInput(f"a certificate is base64 text of at most {LARGEST_BYTES} bytes")
    try:
        der = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"the certificate is not base64: {error}") from error
    if len(der) > LARGEST_BYTES:
        raise InvalidInput(f"the certificate is larger than {LARGEST_BYTES} bytes")
    return der


@lru_cache(maxsize=1024)
def facts(der: bytes) -> Facts:
    """What the certificate says; InvalidInput if it is none."""
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(der)
        names = parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        common_name = str(names[0].value) if names else ""
        return Facts(_printable(common_name), parsed.not_valid_before_utc, parsed.not_valid_after_utc)
    except ValueError as error:
        raise InvalidInput(f"this is not a certificate: {_one_line(error)}") from error


def check_key(der: bytes) -> None:
    """InvalidInput if the certificate's key could be guessed, or is of a kind that TLS cannot use."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"the certificate's key cannot be read: {_one_line(error)}") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise InvalidInput(f"the certificate's RSA key has {key.key_size} bits; it needs {LEAST_RSA_BITS}")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < LEAST_CURVE_BITS:
        raise InvalidInput(f"the certificate's key has {key.key_size} bits; it needs {LEAST_CURVE_BITS}")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise InvalidInput("the certificate's key is not RSA, elliptic curve or Ed25519")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:255]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
