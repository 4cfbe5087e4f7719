"""The way to a daemon over the network: TCP, TLS, and whom to believe.

A pinned certificate is the only one that its remote may show. Without one, the system's authorities
vouch for the server, and for its name. With an authority of the users' own (`client.ca`, PKI mode), every
server must come from that one, pinned or not. Imported only for remotes on the network: ssl is slow to load.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import ssl

from wardian.client.connection import ApiError, Unreachable

DEFAULT_PORT = 8443
CONNECT_S = 10.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A peer that is silent for a minute is asked whether it is still there."""


class HttpsPlace:
    """A daemon on the network (see client.connection.Place).

    pinned: the certificate (DER) that it must show; None: one that the authorities vouch for.
    identity: files of our certificate and key; None: we come as a guest.
    authority: the file of the only authority that counts; None: those of the system do.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        pinned: bytes | None = None,
        identity: tuple[str, str] | None = None,
        authority: str | None = None,
    ) -> None:
        self.name, self.url = name, url
        self.address, self.port = split(url)
        self.host = f"[{self.address}]" if ":" in self.address else self.address
        self._pinned = pinned
        self._identity = identity
        self._authority = authority

    def dial(self) -> socket.socket:
        """See Place; nothing has been said to a server that is not the right one."""
        context = _trusting(self._authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._pinned is not None:
            context.check_hostname = False
            if self._authority is None:
                context.verify_mode = ssl.CERT_NONE
        if self._identity is not None:
            _load(context, self._identity)
        sock = self._shake_hands(context)
        if self._pinned is not None and sock.getpeercert(binary_form=True) != self._pinned:
            shown = fingerprint(sock.getpeercert(binary_form=True) or b"")
            sock.close()
            raise ApiError(
                f'remote "{self.name}" at {self._where()} shows another certificate than when it was added '
                f"({shown[:12]}, not {fingerprint(self._pinned)[:12]}): it was set up anew, or somebody "
                "listens in; nothing was sent. If you know why: `lxc remote remove` it and add it again"
            )
        return sock

    def shown_certificate(self) -> bytes:
        """The certificate (DER) that the server shows now, whoever it is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self._shake_hands(context) as sock:
            return sock.getpeercert(binary_form=True) or b""

    def explain(self, error: ApiError) -> ApiError:
        """See Place."""
        if error.code == 403 and str(error) == "not authorized" and self._identity is not None:
            return ApiError(
                f'not authorized: remote "{self.name}" does not trust this client; '
                "`lxc config trust add --name NAME` there makes a token for `lxc remote add`",
                error.code,
            )
        return error

    def _where(self) -> str:
        return f"{self.host}:{self.port}"

    def _shake_hands(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            plain = socket.create_connection((self.address, self.port), CONNECT_S)
        except OSError as error:
            raise Unreachable(
                f'cannot reach remote "{self.name}" at {self._where()}: {_cause(error)}'
            ) from None
        try:
            sock = context.wrap_socket(plain, server_hostname=self.address)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise Unverified(
                f'the certificate of remote "{self.name}" at {self._where()} cannot be verified: '
                f"{error.verify_message or error}"
            ) from None
        except OSError as error:
            plain.close()
            raise Unreachable(
                f'remote "{self.name}" at {self._where()} does not speak TLS as it should: '
                f"{getattr(error, 'reason', None) or _cause(error)}; is it an LXD server?"
            ) from None
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return sock


class Unverified(ApiError):
    """No authority of the system vouches for the server's certificate, or it is for another name."""


def _trusting(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise ApiError(f'cannot use the authority in "{authority}": {error.strerror or error}') from None


def _load(context: ssl.SSLContext, identity: tuple[str, str]) -> None:
    try:
        context.load_cert_chain(*identity)
    except OSError as error:
        raise ApiError(
            f'cannot use the client\'s certificate "{identity[0]}" and key "{identity[1]}": '
            f"{error.strerror or error}"
        ) from None


def _cause(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no host of this name"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:g} s; is the address right, and does a firewall let it through?"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; does the server listen there (core.https_address)?"
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "no way leads there; is the address right?"
    return os.strerror(error.errno) if error.errno else str(error)


def fingerprint(der: bytes) -> str:
    """What people compare: SHA-256 of the certificate, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def split(url: str) -> tuple[str, int]:
    """(host, port) of `https://HOST[:PORT][/]`; ApiError if it is malformed."""
    text = url.removeprefix("https://").rstrip("/")
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0 if port else DEFAULT_PORT
    if not host or "/" in host or not 0 < number < 65536:
        raise ApiError(f'"{url}" is not an address: write https://HOST:PORT')
    return host, number
