"""GET over https for the client: proxies of the environment, redirects, bounded, in words.

Imported late: TLS alone costs more than a whole `lxc list`.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import time
from urllib.parse import unquote, urljoin, urlsplit

from wardian import __version__
from wardian.client.connection import ApiError
from wardian.model import proxies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REDIRECTS = 5
REDIRECTING = (301, 302, 303, 307, 308)
SILENCE_S = 20
WHOLE_S = 120
PIECE = 256 * 1024


def get(
    url: str, headers: dict[str, str], *, limit: int, certificate: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """(status 200 or 304, headers, body) of a document of at most `limit` bytes.

    certificate: PEM of the only one that the server may have; empty: one that the system trusts.
    ApiError with code 0 if the server cannot be reached, and with the status if it says no.
    """
    deadline = time.monotonic() + WHOLE_S
    answer, found = _open(url, headers, certificate), bytearray()
    for piece in _pieces(answer, url):
        found += piece
        if len(found) > limit:
            raise ApiError(f'"{url}" is larger than the {limit} bytes allowed for it', 413)
        if time.monotonic() > deadline:
            raise ApiError(f"{_host(url)} takes longer than {WHOLE_S} s")
    return answer.status, dict(answer.headers), bytes(found)


def pieces(url: str, *, certificate: str = "") -> Iterator[bytes]:
    """The content of a file, as it comes; failures as those of `get`."""
    yield from _pieces(_open(url, {}, certificate), url)


def _open(url: str, headers: dict[str, str], certificate: str) -> http.client.HTTPResponse:
    """An answer with status 200 or 304, redirects followed."""
    first = url
    for _ in range(REDIRECTS + 1):
        try:
            answer = _request(url, headers, certificate)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(_reason(url, error)) from None
        if answer.status in REDIRECTING:
            url = _redirected(first, url, answer.headers.get("Location", ""))
        elif answer.status in (200, 304):
            return answer
        else:
            raise ApiError(f'{_host(url)} answers "{url}" with status {answer.status}', answer.status)
    raise ApiError(f'{_host(first)} redirects "{first}" more than {REDIRECTS} times', 502)


def _pieces(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while piece := answer.read1(PIECE):
            yield piece
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
    except (OSError, http.client.HTTPException) as error:
        raise ApiError(_reason(url, error)) from None


def _request(url: str, headers: dict[str, str], certificate: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    proxy = proxies.configured({}, os.environ).of(url)
    context = _tls(certificate)
    if proxy:
        through = urlsplit(proxy)
        if through.scheme != "http":
            raise ApiError(
                f"cannot use the proxy {proxies.shown(proxy)}: only http:// proxies are supported"
            )
        connection = http.client.HTTPSConnection(
            through.hostname or "", through.port or 80, timeout=SILENCE_S, context=context
        )
        connection.set_tunnel(host, port, _credentials(through.username, through.password))
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=SILENCE_S, context=context)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    common = {"User-Agent": f"LXD {__version__}", "Accept-Encoding": "identity", "Connection": "close"}
    connection.request("GET", target or "/", headers=common | headers)
    return connection.getresponse()


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    text = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {text}"}


def _tls(certificate: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=certificate or None)
    except (ssl.SSLError, ValueError, TypeError):  # TypeError: not ASCII
        raise ApiError("the pinned certificate is not in PEM") from None
    if certificate:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _redirected(first: str, url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        is_good = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
        is_good = is_good and parts.port != 0 and target.isascii() and target.isprintable()
    except ValueError:
        target, is_good = location, False
    if not is_good:
        raise ApiError(
            f'{_host(first)} redirects "{first}" to {target[:200]!a}; only https:// is followed', 502
        )
    return target


def _reason(url: str, error: Exception) -> str:
    host, proxy = _host(url), proxies.configured({}, os.environ).of(url)
    through = f" through the proxy {proxies.shown(proxy)}" if proxy else ""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".").lower()
        return (
            f"{host} has a certificate that is not trusted: {why}; add its CA to the system's certificates"
        )
    if isinstance(error, ssl.SSLError):
        return f"cannot talk TLS with {host}{through}: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"cannot reach {host}{through}: its name does not resolve; is there a network?"
    if isinstance(error, TimeoutError):
        return f"{host}{through} does not answer"
    if isinstance(error, http.client.HTTPException):
        return f'{host}{through} breaks off "{url}"'
    return f"cannot reach {host}{through}: {getattr(error, 'strerror', None) or error}"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f'"{parts.hostname}{f":{parts.port}" if parts.port else ""}"'
