"""One request on the web: redirects, statuses, TLS, and every failure in words."""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp

from wardian.errors import HostFailed, InvalidInput, NotFound
from wardian.model import proxies
from wardian.ports.downloads import Via

REDIRECTS = 5
REDIRECTING = (301, 302, 303, 307, 308)
LINE_ERRORS = (aiohttp.ClientError, TimeoutError, ssl.SSLError)
"""What a connection can fail with; aiohttp's own include OSErrors of sockets."""


@asynccontextmanager
async def answered(
    session: aiohttp.ClientSession, verb: str, url: str, via: Via, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a request, redirects followed. Its connection ends with a block that fails."""
    answer = await _open_answer(session, verb, url, via, headers)
    try:
        yield answer
    except BaseException:
        if answer.connection is not None and answer.connection.transport is not None:
            answer.connection.transport.abort()  # nobody waits for the rest, nor for a goodbye
        raise
    finally:
        answer.close()


async def _open_answer(
    session: aiohttp.ClientSession, verb: str, url: str, via: Via, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    first = url
    for _ in range(REDIRECTS + 1):
        proxy = via.proxies.of(url)
        answer = await session.request(
            verb, url, headers=headers, proxy=proxy or None, allow_redirects=False
        )
        if answer.status not in REDIRECTING:
            return answer
        location = answer.headers.get("Location", "")
        answer.close()
        url = await _redirected(first, url, location, is_direct=not proxy)
    raise HostFailed(f'{host_of(first)} redirects "{shown(first)}" more than {REDIRECTS} times')


async def _redirected(first: str, url: str, location: str, *, is_direct: bool) -> str:
    """Where a redirect leads; HostFailed where it must not lead."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise HostFailed(
            f'{host_of(first)} redirects "{shown(first)}" to something that is no URL'
        ) from None
    if parts.scheme != "https" or not host or "@" in parts.netloc:
        raise HostFailed(
            f'{host_of(first)} redirects "{shown(first)}" to {target[:200]!a}; only https:// is followed'
        )
    before = urlsplit(first).hostname or ""
    if (
        host != before
        and await _is_near(host, port, resolve=is_direct)
        and not await _is_near(before, urlsplit(first).port or 443, resolve=is_direct)
    ):
        raise HostFailed(
            f'{host_of(first)} redirects "{shown(first)}" to this machine or its link; not followed'
        )
    return target


async def _is_near(host: str, port: int, *, resolve: bool) -> bool:
    """Whether the host is this machine or on its link: addresses that a stranger must not lead us to."""
    try:
        found = [ipaddress.ip_address(host)]
    except ValueError:
        if not resolve:
            return host == "localhost"
        try:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return False  # it cannot be reached either
        found = [ipaddress.ip_address(info[4][0]) for info in infos]
    return any(a.is_loopback or a.is_link_local or a.is_unspecified or a.is_multicast for a in found)


def check_status(answer: aiohttp.ClientResponse, url: str, good: tuple[int, ...]) -> None:
    if answer.status in good:
        return
    if answer.status in (404, 410):
        raise NotFound(f'{host_of(url)} has no "{shown(url)}" (status {answer.status})')
    raise HostFailed(f'{host_of(url)} refuses "{shown(url)}" with status {answer.status}')


class Unreachable(HostFailed):
    """The server cannot be reached, or the line broke; trying again may help."""


@asynccontextmanager
async def explained(url: str, via: Via) -> AsyncIterator[None]:
    """Turn failures of the connection into Unreachable."""
    try:
        yield
    except LINE_ERRORS as error:
        raise Unreachable(_reason(url, via, error)) from error


def _reason(url: str, via: Via, error: BaseException) -> str:
    host, proxy = host_of(url), via.proxies.of(url)
    through = f" through the proxy {proxies.shown(proxy)}" if proxy else ""
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        found = getattr(error, "certificate_error", error)
        text = getattr(found, "verify_message", "") or str(found)
        why = text.rstrip(".").lower()
        return (
            f"{host} has a certificate that is not trusted: {why}; add its CA to the system's certificates"
        )
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return f"cannot talk TLS with {host}{through}: {getattr(error, 'reason', None) or error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"cannot reach {host}{through}: its name does not resolve; is there a network?"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"cannot reach {host}{through}: the proxy answers with status {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        return f"cannot reach {host}{through}: {os.strerror(cause.errno) if cause.errno else cause}"
    if isinstance(error, TimeoutError):
        return f"{host}{through} does not answer"
    return f"{host}{through} breaks off: {str(error) or type(error).__name__}"


def host_of(url: str) -> str:
    parts = urlsplit(url)
    return f'"{parts.hostname}{f":{parts.port}" if parts.port else ""}"'


def shown(url: str) -> str:
    """The URL as people may read it: a query can hold a secret."""
    return url.partition("?")[0]


def tls(certificate: str) -> ssl.SSLContext:
    """The system's trust (and what SSL_CERT_FILE names), or exactly one certificate."""
    if not certificate:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=certificate)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: not ASCII
        raise InvalidInput('field "certificate": not a certificate in PEM') from error
    context.check_hostname = False  # the certificate itself is what is trusted, whatever name it has
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
