"""Routes of the trust store (spec/rest-api.md section 6) and of join tokens."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from wardian.api import replies
from wardian.api.routes import Request, Route
from wardian.core import join_tokens, trust
from wardian.core.host import Host
from wardian.errors import InvalidInput
from wardian.model import access, certificates
from wardian.model.access import Access
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
    expiry: str = join_tokens.EXPIRY
    """Of a join token, as in `24h`."""
    read_only: bool = False
    containers: list[str] | None = None
    """What the certificate may do (model.access)."""
    # Sent by later clients:
    restricted: bool = False
    projects: list[str] | None = None


class CertificateUpdate(msgspec.Struct, forbid_unknown_fields=True):
    """PUT and PATCH /1.0/certificates/FINGERPRINT. None: left out."""

    name: str | None = None
    type: Literal["client"] | None = None
    certificate: str | None = None
    read_only: bool | None = None
    containers: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    # Sent by later clients:
    restricted: Literal[False] | None = None
    projects: list[str] | None = None
    # Read-only fields that a client sends back as it got them:
    fingerprint: Any = None


def render(certificate: Certificate) -> dict[str, Any]:
    """The object of the API."""
    return {
        "certificate": certificate.certificate,
        "fingerprint": certificate.fingerprint,
        **trust.writable(certificate),
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
    rights = access.make(read_only=wanted.read_only, containers=wanted.containers)
    if request.trusted and wanted.token:
        return replies.operation(await join_tokens.invite(host, wanted.name, wanted.expiry, rights))
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
    made = await trust.add(host, der, name, rights, admission.invitation)
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


async def get(host: Host, request: Request) -> web.Response:
    """One certificate."""
    found = await trust.get(host, request.path["fingerprint"])
    return replies.sync(render(found), etag=replies.etag_of(trust.writable(found)))


async def _change(host: Host, request: Request, *, merge: bool) -> web.StreamResponse:
    found = await trust.get(host, request.path["fingerprint"])
    wanted = await request.decode(CertificateUpdate)
    if wanted.projects:
        raise InvalidInput('field "projects" is not available in this version')
    if wanted.certificate is not None and not certificates.same(
        certificates.to_der(wanted.certificate), certificates.to_der(found.certificate)
    ):
        raise InvalidInput("a certificate cannot be replaced; add the new one, then delete this")
    name = found.name if wanted.name is None and merge else wanted.name or ""
    rights = _rights(found.access if merge else access.FULL, wanted)
    await trust.update(host, found, name, rights, request.require_match)
    return replies.empty() if rights == found.access else await _parted(host, request, found.fingerprint)


async def _parted(host: Host, request: Request, fingerprint: str) -> web.StreamResponse:
    """Answer; then end what has begun with the rights that this certificate had, this request, too."""
    answer = replies.empty()
    await answer.prepare(request.raw)
    await answer.write_eof()
    host.listener.drop(fingerprint)
    return answer


def _rights(present: Access, wanted: CertificateUpdate) -> Access:
    read_only = present.read_only if wanted.read_only is None else wanted.read_only
    containers = wanted.containers
    if isinstance(containers, msgspec.UnsetType):
        containers = None if present.containers is None else list(present.containers)
    return access.make(read_only=read_only, containers=containers)


async def put(host: Host, request: Request) -> web.StreamResponse:
    """Replace what can be written: its name, and what it may do."""
    return await _change(host, request, merge=False)


async def patch(host: Host, request: Request) -> web.StreamResponse:
    """Change some of it."""
    return await _change(host, request, merge=True)


async def delete(host: Host, request: Request) -> web.StreamResponse:
    """Trust it no longer; its connections end once this is answered."""
    removed = await trust.remove(host, request.path["fingerprint"])
    return await _parted(host, request, removed.fingerprint)


async def list_tokens(host: Host, request: Request) -> web.Response:
    """Join tokens that can still be used; without their secrets, which are not kept."""
    found = await join_tokens.valid(host)
    shown: list[dict[str, Any]] = [{"name": one.name, "expires_at": one.expires_at} for one in found]
    return replies.sync(shown)


async def revoke_token(host: Host, request: Request) -> web.Response:
    """Make a join token useless."""
    await join_tokens.revoke(host, request.path["name"])
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
