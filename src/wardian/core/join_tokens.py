"""Join tokens: words that each let one client become trusted.

A token is an operation of class `token` that runs until the token is used, revoked or expired, as later
clients expect it: they list the tokens among the operations and revoke one by cancelling it. The store
remembers tokens from start to start; their secrets are told once and kept nowhere.
"""

import asyncio
import secrets
from datetime import UTC, datetime

from wardian.core.events import timestamp
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import AlreadyExists, InvalidInput, NotFound, StaleRevision
from wardian.model import certificates
from wardian.model import trust as model
from wardian.model.access import Access
from wardian.model.trust import Invitation

EXPIRY = "24h"


def url(name: str) -> str:
    """The address of a token in the API."""
    return f"/1.0/certificate-tokens/{name}"


async def invite(host: Host, name: str, expiry: str, access: Access) -> Operation:
    """Make a token; its operation's metadata has the secret. The name becomes that of the certificate."""
    model.check_name(name)
    lasts = model.parse_span(expiry)
    if not host.listener.addresses():
        raise InvalidInput(
            "the server does not listen on the network; "
            "`lxc config set core.https_address [::]:8443` makes it"
        )
    now = datetime.now(UTC)
    secret = secrets.token_hex(32)
    made = Invitation(
        name=name,
        secret_hash=model.hashed(secret),
        created_at=now,
        expires_at=now + lasts,
        access=access,
    )
    await _forget_expired(host)
    try:
        await host.records.tokens.insert(made)
    except AlreadyExists:
        raise AlreadyExists(
            f'a join token for "{name}" exists; revoke it with `lxc config trust revoke-token {name}`'
        ) from None
    host.events.lifecycle("certificate-token-created", url(name))
    return _announce(host, made, secret)


async def announce_all(host: Host) -> None:
    """Give the tokens that can still be used their operations (the daemon has started)."""
    await _forget_expired(host)
    for one in await host.records.tokens.all():
        _announce(host, one)


async def valid(host: Host) -> list[Invitation]:
    """Tokens that can still be used."""
    now = datetime.now(UTC)
    return [one for one in await host.records.tokens.all() if now < one.expires_at]


async def revoke(host: Host, name: str) -> None:
    """Make a token useless; NotFound if there is none of this name."""
    await host.records.tokens.get(name)
    await host.records.tokens.delete(name)
    host.events.lifecycle("certificate-token-deleted", url(name))
    end(host, name)


def end(host: Host, name: str) -> None:
    """The token is gone from the store: so is its operation."""
    for operation in host.operations.all():
        asked = operation.metadata.get("request", {})
        if operation.kind == "token" and operation.status == "Running" and asked.get("name") == name:
            host.operations.cancel(operation.id)


def _announce(host: Host, invitation: Invitation, secret: str = "") -> Operation:
    async def work(operation: Operation) -> None:
        try:
            await asyncio.sleep((invitation.expires_at - datetime.now(UTC)).total_seconds())
        except asyncio.CancelledError:
            if (
                operation.status == "Cancelling"
            ):  # somebody has asked for it; the daemon's end is no end of it
                await _forget(host, invitation)
            raise
        await _forget(host, invitation)

    return host.operations.start(
        "Executing token operation",
        work,
        kind="token",
        metadata={
            "secret": secret,
            "fingerprint": certificates.fingerprint(certificates.to_der(host.listener.certificate)),
            "addresses": list(host.listener.addresses()),
            "expiresAt": timestamp(invitation.expires_at),
            "request": {"name": invitation.name, "type": "client", "token": True},
        },
        may_cancel=True,
    )


async def _forget(host: Host, invitation: Invitation) -> None:
    """Remove the token unless it has been used, or made anew under its name."""
    try:
        revision = await host.records.tokens.revision(invitation.name)
        if await host.records.tokens.get(invitation.name) != invitation:
            return
        await host.records.batch().delete(host.records.tokens, invitation.name, revision=revision).commit()
    except (NotFound, StaleRevision):
        return
    host.events.lifecycle("certificate-token-deleted", url(invitation.name))


async def _forget_expired(host: Host) -> None:
    now = datetime.now(UTC)
    for one in await host.records.tokens.all():
        if one.expires_at <= now:
            await _forget(host, one)
