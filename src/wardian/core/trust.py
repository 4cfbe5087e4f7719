"""Who is trusted over the network: the trust store, and how the trust password and tokens let one in."""

import asyncio
import hashlib
import hmac
import logging
import math
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from wardian.core import join_tokens
from wardian.core.events import timestamp
from wardian.core.host import Host, Precondition, no_precondition
from wardian.errors import Forbidden, InvalidInput, NotFound, StaleRevision, TooManyAttempts
from wardian.model import certificates, server_keys
from wardian.model import trust as model
from wardian.model.access import FULL, Access
from wardian.model.trust import Certificate, Invitation

log = logging.getLogger(__name__)

SALT_BYTES = 32


def url(fingerprint: str) -> str:
    """The address of a certificate in the API."""
    return f"/1.0/certificates/{fingerprint}"


# --- the store ---------------------------------------------------------------------------------


async def access_of(host: Host, der: bytes) -> Access | None:
    """What a certificate, whose key the peer has proven to have, may do; None: it is not trusted today."""
    if not der:
        return None
    known = await host.records.certificates.find(certificates.fingerprint(der))
    if known is None or not certificates.same(certificates.to_der(known.certificate), der):
        return None
    now = datetime.now(UTC)
    if not certificates.facts(der).valid_at(now):
        return None
    if host.authority is not None and not host.authority.vouches_for(der, now):
        return None
    return known.access


async def get(host: Host, text: str) -> Certificate:
    """The certificate of a fingerprint or unique beginning of one; NotFound, InvalidInput if not unique."""
    found = []
    if certificates.is_prefix(text):
        found = [one for one in await host.records.certificates.all() if one.fingerprint.startswith(text)]
    if not found:
        raise NotFound(f'certificate "{text[:64]}" not found')
    if len(found) > 1:
        raise InvalidInput(f'"{text}" is the beginning of {len(found)} fingerprints; write more of it')
    return found[0]


async def add(
    host: Host, der: bytes, name: str, access: Access = FULL, invitation: Invitation | None = None
) -> Certificate:
    """Trust a certificate; the invitation that admits it is used up in the same step, and says its rights.

    InvalidInput: it is none, its dates or key are no good, or it is there already.
    """
    facts = certificates.facts(der)
    certificates.check_key(der)
    if not facts.valid_at(datetime.now(UTC)):
        raise InvalidInput(
            f"the certificate is valid from {timestamp(facts.not_before)} to "
            f"{timestamp(facts.not_after)} only; make a new one"
        )
    if host.authority is not None and not host.authority.vouches_for(der, datetime.now(UTC)):
        raise InvalidInput("the certificate is not signed by the authority in server.ca, or was taken back")
    model.check_name(name)
    made = Certificate(
        fingerprint=certificates.fingerprint(der),
        name=name,
        certificate=certificates.to_pem(der),
        added_at=datetime.now(UTC),
        access=invitation.access if invitation is not None else access,
    )
    if await host.records.certificates.find(made.fingerprint) is not None:
        raise InvalidInput("Certificate already in trust store")
    batch = host.records.batch().insert(host.records.certificates, made)
    if invitation is not None:
        batch.delete(host.records.tokens, invitation.name, revision=await _revision(host, invitation))
    try:
        await batch.commit()
    except StaleRevision:  # another caller was faster with the certificate or the token
        raise Forbidden() from None
    log.info('certificate "%s" (%s) is trusted now', made.name, made.fingerprint[:12])
    if invitation is not None:
        join_tokens.end(host, invitation.name)
    host.events.lifecycle("certificate-created", url(made.fingerprint))
    return made


async def _revision(host: Host, invitation: Invitation) -> int:
    """The revision of an unused token; Forbidden if it was used or made anew meanwhile."""
    try:
        revision = await host.records.tokens.revision(invitation.name)
        present = await host.records.tokens.get(invitation.name)
    except NotFound:
        raise Forbidden() from None
    if present != invitation:
        raise Forbidden()
    return revision


def writable(certificate: Certificate) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    access = certificate.access
    containers = None if access.containers is None else list(access.containers)
    return {
        "name": certificate.name,
        "type": certificate.type,
        "read_only": access.read_only,
        "containers": containers,
    }


async def update(
    host: Host,
    certificate: Certificate,
    name: str,
    access: Access,
    precondition: Precondition = no_precondition,
) -> None:
    """Give a trusted certificate a name and rights; InvalidInput if that is no name."""
    model.check_name(name)

    def changed(now: Certificate) -> Certificate:
        precondition(writable(now))
        return replace(now, name=name, access=access)

    await host.records.certificates.change(certificate.fingerprint, changed)
    host.events.lifecycle("certificate-updated", url(certificate.fingerprint))


async def remove(host: Host, text: str) -> Certificate:
    """Trust a certificate no longer; returns it. The caller ends the connections that it has."""
    found = await get(host, text)
    await host.records.certificates.delete(found.fingerprint)
    host.events.lifecycle("certificate-deleted", url(found.fingerprint))
    return found


# --- how strangers come in ---------------------------------------------------------------------


@dataclass(frozen=True)
class Admission:
    """That a stranger may add a certificate, under this name (empty: one of its own choice)."""

    name: str
    invitation: Invitation | None = None


async def admit(host: Host, secret: str, *, source: str) -> Admission:
    """What a join token or the trust password admits; Forbidden, or TooManyAttempts of this source."""
    token = model.decode_token(secret)
    if token is not None:
        known = await host.records.tokens.find(token.name)
        if known is None or not known.admits(token.secret, datetime.now(UTC)):
            if not host.noted.take(source, time.monotonic()):
                log.warning("a wrong, used or expired join token was shown by %s", source)
            raise Forbidden()
        return Admission(known.name, known)
    await _check_password(host, secret, source)
    return Admission("")


async def _check_password(host: Host, password: str, source: str) -> None:
    if not password or server_keys.TRUST_PASSWORD not in await host.records.server.get():
        raise Forbidden()
    wait_s = host.attempts.take(source, time.monotonic())
    if wait_s:
        raise TooManyAttempts(math.ceil(wait_s))
    async with host.once("trust password"):  # one at a time: each takes 16 MB and much work
        sealed = (await host.records.server.get()).get(server_keys.TRUST_PASSWORD, "")
        right = await asyncio.to_thread(is_password, password, sealed)
    if not right:
        log.warning("a wrong trust password was sent by %s", source)
        raise Forbidden()
    host.attempts.give_back(source)


def password_hash(password: str, salt: bytes = b"") -> str:
    """Salt (32 bytes) and scrypt hash (64 bytes) as hexadecimal; takes tens of milliseconds."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    return (salt + hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=64)).hex()


def is_password(password: str, sealed: str) -> bool:
    """Whether the password is the one whose hash is kept, in constant time; False if none is kept."""
    if not sealed:
        return False
    return hmac.compare_digest(password_hash(password, bytes.fromhex(sealed)[:SALT_BYTES]), sealed)
