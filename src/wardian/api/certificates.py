"""Routes of the trust store (spec/rest-api.md section 6) and of join tokens."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import trust
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import InvalidInput
from wardian.model import certificates
from wardian.model.trust import Certificate

PREFIX = "/1.0/certificates"
TOKENS = "/1.0/certificate-tokens"


class CertificatePost(msgspec.Struct, forbid_unknown_fields=True):
    """POST /1.0/certificates."""

    type: str = ""
    certificate: str = ""
    name: str = ""
    password: str = ""
    trust_token: str = ""
    token: bool = False
    """True: make a join token instead of adding a certificate."""
    expiry: str = trust.TOKEN_EXPIRY
    """Of a join token, as in `24h`."""
    # Sent by later clients:
    restricted: bool = False
    projects: list[str] | None = None


class CertificateUpdate(msgspec.Struct, forbid_unknown_fields=True):
    """PUT and PATCH /1.0/certificates/FINGERPRINT. None: left out."""

    name: str | None = None
    type: Literal["client"] | None = None
    certificate: str | None = None
    # Sent by later clients:
    restricted: Literal[False] | None = None
    projects: list[str] | None = None
    # Read-only fields that a client sends back as it got them:
    fingerprint: Any = None


def render(certificate: Certificate) -> dict[str, str]:
    """The object of the API."""
    return {
        "certificate": certificate.certificate,
        "fingerprint": certificate.fingerprint,
        "name": certificate.name,
        "type": certificate.type,
    }


async def list_certificates(host: Host, request: Request) -> web.Response:
    """URLs, or objects with recursion=1."""
    found = await host.records.certificates.all()
    if request.recursion:
        return replies.sync([render(one) for one in found])
    return replies.sync([f"{PREFIX}/{one.fingerprint}" for one in found])


async def create(host: Host, request: Request) -> web.Response:
    """Add a certificate or make a join token; a guest needs the trust password or a token."""
    wanted = await request.decode(CertificatePost)
    if request.trusted and wanted.token:
        return await _invite(host, wanted)
    admission = trust.Admission("")
    if not request.trusted:
        secret = wanted.trust_token or wanted.password
        admission = await trust.admit(host, secret, source=request.caller.source)
    # Later clients leave the type out where a token says it.
    if wanted.type != "client" and not (admission.invitation and not wanted.type):
        raise InvalidInput(f"Unknown request type {wanted.type}")
    if wanted.restricted or wanted.projects:
        raise InvalidInput('fields "restricted" and "projects" are not available in this version')
    der = _shown(wanted, request)
    name = admission.name or wanted.name or _name_of(request.caller.source)
    made = await trust.add(host, der, name, admission.invitation)
    return replies.created(f"{PREFIX}/{made.fingerprint}")


def _name_of(source: str) -> str:
    """What to call a certificate of which nobody said a name: the peer's address."""
    return source.partition("/")[0].replace(":", "-").strip("-") or "client"


def _shown(wanted: CertificatePost, request: Request) -> bytes:
    if wanted.certificate:
        return certificates.to_der(wanted.certificate)
    if request.caller.local:
        raise InvalidInput("Can't use TLS data on non-TLS link")
    if not request.caller.certificate:
        raise InvalidInput("No client certificate provided")
    return request.caller.certificate


async def _invite(host: Host, wanted: CertificatePost) -> web.Response:
    token = await trust.invite(host, wanted.name, wanted.expiry)

    async def nothing(_: Operation) -> None:
        """The token is made; the operation is how its answer is shaped for clients."""

    return replies.operation(
        host.operations.start(
            "Executing token operation",
            nothing,
            kind="token",
            metadata={
                "secret": token.secret,
                "fingerprint": token.fingerprint,
                "addresses": list(token.addresses),
                "expiresAt": token.expires_at,
                "request": {"name": token.name, "type": "client", "token": True},
            },
        )
    )


async def get(host: Host, request: Request) -> web.Response:
    """One certificate."""
    found = await trust.get(host, request.path["fingerprint"])
    return replies.sync(render(found), etag=replies.etag_of(trust.writable(found)))


async def _change(host: Host, request: Request, *, merge: bool) -> web.Response:
    found = await trust.get(host, request.path["fingerprint"])
    wanted = await request.decode(CertificateUpdate)
    if wanted.projects:
        raise InvalidInput('field "projects" is not available in this version')
    if wanted.certificate is not None and not certificates.same(
        certificates.to_der(wanted.certificate), certificates.to_der(found.certificate)
    ):
        raise InvalidInput("a certificate cannot be replaced; add the new one, then delete this")
    name = found.name if wanted.name is None and merge else wanted.name or ""
    await trust.rename(host, found, name, request.require_match)
    return replies.empty()


async def put(host: Host, request: Request) -> web.Response:
    """Replace what can be written: its name."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.Response:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def delete(host: Host, request: Request) -> web.StreamResponse:
    """Trust it no longer; its connections end once this is answered."""
    removed = await trust.remove(host, request.path["fingerprint"])
    answer = replies.empty()
    await answer.prepare(request.raw)
    await answer.write_eof()
    host.listener.drop(removed.fingerprint)
    return answer


async def list_tokens(host: Host, request: Request) -> web.Response:
    """Join tokens that can still be used; without their secrets, which are not kept."""
    found = await trust.invitations(host)
    shown: list[dict[str, Any]] = [{"name": one.name, "expires_at": one.expires_at} for one in found]
    return replies.sync(shown)


async def revoke_token(host: Host, request: Request) -> web.Response:
    """Make a join token useless."""
    await trust.revoke(host, request.path["name"])
    return replies.empty()


ROUTES = [
    Route("GET", PREFIX, list_certificates),
    Route("POST", PREFIX, create, guest=True),
    Route("GET", PREFIX + "/{fingerprint}", get),
    Route("PUT", PREFIX + "/{fingerprint}", put),
    Route("PATCH", PREFIX + "/{fingerprint}", patch),
    Route("DELETE", PREFIX + "/{fingerprint}", delete),
    Route("GET", TOKENS, list_tokens),
    Route("DELETE", TOKENS + "/{name}", revoke_token),
]
