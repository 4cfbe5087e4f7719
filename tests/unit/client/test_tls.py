"""The way to a server: addresses, whom to believe, and what is said when it fails."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wardian.client import tls
from wardian.client.connection import ApiError, Connection
from wardian.linux import keypair
from wardian.linux.tls import server_context

REFUSAL = b'{"type": "error", "error": "not authorized", "error_code": 403}'
ANSWER = b"HTTP/1.1 403 no\r\nContent-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://host", ("host", 8443)),
        ("https://host:1/", ("host", 1)),
        ("https://[fd00::1]", ("fd00::1", 8443)),
        ("https://[fd00::1]:9", ("fd00::1", 9)),
    ],
)
def test_addresses(url: str, place: tuple[str, int]) -> None:
    assert tls.split(url) == place


@pytest.mark.parametrize("url", ["https://", "https://h:x", "https://h:0", "https://h:65536", "https://h/p"])
def test_no_addresses(url: str) -> None:
    with pytest.raises(ApiError, match="is not an address"):
        tls.split(url)


class Server:
    """Shakes hands, notes the client's certificate, answers each request with ANSWER."""

    def __init__(self, folder: Path) -> None:
        files = folder / "server.crt", folder / "server.key"
        keypair.create(*files, keypair.Subject("server", server=True))
        self.der = ssl.PEM_cert_to_DER_cert(files[0].read_text())
        self._context = server_context(*files)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.seen: list[bytes | None] = []
        self.heard = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as peer:
                    self.seen.append(peer.getpeercert(binary_form=True))
                    while data := peer.recv(65536):
                        self.heard += data
                        peer.sendall(ANSWER)
            except OSError:
                continue

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def test_a_server_that_nobody_vouches_for_is_not_talked_to(server: Server) -> None:
    place = tls.HttpsPlace("far", f"https://127.0.0.1:{server.port}")
    with pytest.raises(tls.Unverified, match="cannot be verified"):
        place.dial()
    assert place.shown_certificate() == server.der


def test_another_certificate_than_the_pinned_one_ends_it_before_a_word(server: Server) -> None:
    place = tls.HttpsPlace("far", f"https://127.0.0.1:{server.port}", pinned=b"another")
    with pytest.raises(ApiError, match="shows another certificate than when it was added"):
        Connection(place).get("/1.0")
    assert server.heard == b""


def test_our_certificate_is_shown_and_a_refusal_says_what_to_do(server: Server, tmp_path: Path) -> None:
    files = tmp_path / "client.crt", tmp_path / "client.key"
    keypair.create(*files, keypair.Subject("client", server=False))
    identity = (str(files[0]), str(files[1]))
    place = tls.HttpsPlace("far", f"https://127.0.0.1:{server.port}", pinned=server.der, identity=identity)
    with closing(Connection(place)) as daemon, pytest.raises(ApiError) as refused:
        daemon.get("/1.0/containers")
    assert str(refused.value).startswith('not authorized: remote "far" does not trust this client')
    assert server.seen == [ssl.PEM_cert_to_DER_cert(files[0].read_text())]
    assert server.heard.startswith(b"GET /1.0/containers HTTP/1.1\r\nHost: 127.0.0.1\r\n")


def test_a_server_without_tls_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            plain, _ = listening.accept()
            with plain:
                plain.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        place = tls.HttpsPlace("far", f"https://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(ApiError, match=r'remote "far" .* does not speak TLS as it should'):
            place.dial()
        thread.join()


def test_nobody_there_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ApiError, match="connection refused; does the server listen there"):
        tls.HttpsPlace("far", f"https://127.0.0.1:{port}").dial()
