"""An HTTPS server and a CONNECT proxy of the tests' own, in threads; the server can be made hostile."""

import contextlib
import datetime
import hashlib
import http.server
import ipaddress
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "cloud-images.ubuntu.com", "images.linuxcontainers.org")

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from the server's dictionary, with ranges and ETags."""

    protocol_version = "HTTP/1.1"
    server: "WebServer"

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        if self.path in self.server.answers:
            self.close_connection = True
            self.server.answers[self.path](self)
            return
        content = self.server.content.get(self.path)
        if content is None:
            self.reply(404, b"")
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            self.reply(304, b"", ETag=etag)
            return
        start = self.range_start()
        if start and self.headers.get("If-Range", etag) == etag:
            said = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[start:], ETag=etag, Content_Range=said)
        else:
            self.reply(200, content, ETag=etag)

    do_HEAD = do_GET

    def range_start(self) -> int:
        """From which byte on the content is asked for."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer."""
        self.head(status, Content_Length=str(len(body)), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def head(self, status: int, **headers: str) -> None:
        """The status and the headers; `_` in a name is `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class WebServer(http.server.ThreadingHTTPServer):
    """content: path -> body. answers: path -> what is done instead. requests: (verb, path, headers)."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.ca, chain = certificates(folder)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError):  # peers that do not trust us, or hang up
            request.settimeout(60)
            with self._tls.wrap_socket(request, server_side=True) as tls:
                Handler(tls, client_address, self)

    def paths(self, end: str = "") -> list[str]:
        """Paths that were asked for and end so."""
        return [path for _, path, _ in self.requests if path.endswith(end)]


class Proxy(http.server.ThreadingHTTPServer):
    """Lets every CONNECT end at one server, whatever host was asked for; `hosts` are those."""

    daemon_threads = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.target = target
        self.hosts: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _ProxyHandler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.hosts.append(self.path)
        with contextlib.suppress(OSError), socket.create_connection(self.server.target) as there:
            self.send_response(200)
            self.end_headers()
            here = self.connection
            while True:
                for side, other in ((here, there), (there, here)):
                    if side in select.select([here, there], [], [])[0]:
                        data = side.recv(65536)
                        if not data:
                            return
                        other.sendall(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def running(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    """The server answers while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificates(folder: Path) -> tuple[Path, Path]:
    """(certificate of a new authority, key and certificate of a server for NAMES), both PEM files."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Server")])
    authority = (
        _certificate(issuer, issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    names.append(x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")))
    certificate = (
        _certificate(subject, issuer, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    ca, chain = folder / "ca.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    ca.write_bytes(authority.public_bytes(pem))
    with open(os.open(chain, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        plain = serialization.NoEncryption()
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        file.write(certificate.public_bytes(pem))
    return ca, chain


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
