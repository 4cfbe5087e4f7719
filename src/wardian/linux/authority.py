"""PKI mode: an authority of the users' own that signs all certificates (spec/behaviour.md section 18.5).

`server.ca` beside the daemon's socket has the authority's certificate, or several; `ca.crl`, if it is there,
names those that were taken back. Membership in the trust store decides as without; the signature comes on
top of it.
"""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from wardian.errors import HostFailed

log = logging.getLogger(__name__)

Version = tuple[int, int, int] | None
"""What differs once a file has been written; None: there is none."""


class Authority:
    """Who must have signed the certificates of clients; what was taken back is read when that changes."""

    def __init__(self, certificates: Path, revoked: Path) -> None:
        """HostFailed if the authority's certificate cannot be read: then nobody could be judged."""
        from cryptography import x509

        try:
            self._signers = x509.load_pem_x509_certificates(certificates.read_bytes())
        except (OSError, ValueError) as error:
            raise HostFailed(f'cannot use the authority in "{certificates}": {_one_line(error)}') from error
        self._file = revoked
        self._version: Version = None
        self._lists: list[Any] | None = []

    def vouches_for(self, der: bytes, now: datetime) -> bool:
        """Whether one of the authority's certificates has signed this one and it was not taken back.

        False, too, while `ca.crl` is there and cannot be read, or was not signed by the authority.
        """
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        self._read_revoked()
        if self._lists is None:
            return False
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError:
            return False
        for signer in self._signers:
            try:
                certificate.verify_directly_issued_by(signer)
            except (InvalidSignature, ValueError, TypeError):
                continue
            if signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
                number = certificate.serial_number
                return not any(
                    found.get_revoked_certificate_by_serial_number(number)
                    for found in self._lists
                    if found.issuer == signer.subject
                )
        return False

    def _read_revoked(self) -> None:
        version = _version(self._file)
        if version == self._version:
            return
        self._version = version
        self._lists = [] if version is None else self._lists_in(self._file)

    def _lists_in(self, file: Path) -> list[Any] | None:
        from cryptography import x509

        try:
            found = x509.load_pem_x509_crl(file.read_bytes())
            if any(found.is_signature_valid(signer.public_key()) for signer in self._signers):  # type: ignore[arg-type]
                return [found]
            log.error(
                '"%s" is not signed by the authority in server.ca: nobody is trusted over the network', file
            )
        except (OSError, ValueError, TypeError) as error:
            log.error('cannot read "%s": %s: nobody is trusted over the network', file, _one_line(error))
        return None


def _version(file: Path) -> Version:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
