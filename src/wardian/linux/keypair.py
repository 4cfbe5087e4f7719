"""A key and its self-signed certificate, made once and kept in two files."""

import contextlib
import ipaddress
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

ORGANISATION = "linuxcontainers.org"
VALID = timedelta(days=3652)
CLOCKS_DIFFER = timedelta(hours=1)
"""The certificate is valid from this long ago: peers' clocks may be behind ours."""


@dataclass(frozen=True)
class Subject:
    """What the certificate says. names: DNS names and addresses of a server."""

    common_name: str
    server: bool
    names: tuple[str, ...] = ()


def create(certificate: Path, key: Path, subject: Subject) -> None:
    """Write a new P-384 key (mode 0600) and its certificate for ten years; OSError if that fails.

    Each file is there whole or not at all, the key first: a certificate always has its key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP384R1())
    made = _signed(private, subject)
    _write(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        0o600,
    )
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _signed(private: "ec.EllipticCurvePrivateKey", subject: Subject) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, subject.common_name[:64]),
        ]
    )
    usage = ExtendedKeyUsageOID
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([usage.SERVER_AUTH if subject.server else usage.CLIENT_AUTH]),
            critical=False,
        )
    )
    if subject.names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(list(_general(subject.names))), critical=False
        )
    return builder.sign(private, hashes.SHA384())


def _general(names: Iterable[str]) -> "Iterable[x509.GeneralName]":
    from cryptography import x509

    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            if name.isascii():
                yield x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file at once; what is on disk survives a power loss."""
    fresh = path.with_name(f".tmp-{path.name}-{secrets.token_hex(8)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
