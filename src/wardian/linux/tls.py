"""TLS for a server that asks for client certificates and judges them itself.

OpenSSL can ask for a certificate and let the program decide; Python's ssl module cannot: there an unknown
certificate ends the handshake. So the context's verify callback is set through ctypes, to one that lets
every certificate pass. The handshake still proves that the peer has the certificate's key; whether it
is trusted is decided per request, by fingerprint (core/trust.py).

The pointer to OpenSSL's context is the first field of Python's object. That is no promise of CPython,
so `self_test` (this file as a program, in a process of its own) must pass before a server listens.
"""

import _ssl
import contextlib
import ctypes
import ssl
import sys
import tempfile
from pathlib import Path

from wardian.linux import keypair

SUITES = ":".join(
    f"ECDHE-{kind}-{cipher}"
    for kind in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES256-SHA", "AES128-GCM-SHA256", "AES128-SHA")
)
"""Of TLS 1.2, in order of preference (spec/behaviour.md section 18.5); TLS 1.3 has its own."""

_Verify = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_SSL_VERIFY_PEER = 1


_let_pass = _Verify(lambda _preverified, _store: 1)
"""Lives as long as the program: OpenSSL keeps a pointer to it."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context that asks for client certificates and refuses none. OSError, ssl.SSLError: bad files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    # Every connection proves its key anew: nothing is resumed, renegotiated or compressed.
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_OPTIONAL
    _ask_and_let_pass(context)
    return context


def _ask_and_let_pass(context: ssl.SSLContext) -> None:
    library = ctypes.CDLL(_ssl.__file__)
    set_verify = library.SSL_CTX_set_verify
    set_verify.restype = None
    set_verify.argtypes = (ctypes.c_void_p, ctypes.c_int, _Verify)
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    set_verify(pointer, _SSL_VERIFY_PEER, _let_pass)


def self_test() -> None:
    """Shake hands with and without a client certificate; RuntimeError saying what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("server.crt", "server.key", "client.crt", "client.key")]
        keypair.create(files[0], files[1], keypair.Subject("server", server=True))
        keypair.create(files[2], files[3], keypair.Subject("client", server=False))
        server = server_context(files[0], files[1])
        expected = ssl.PEM_cert_to_DER_cert(files[2].read_text())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for shown in (expected, None):
                client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                client.check_hostname = False
                client.verify_mode = ssl.CERT_NONE
                client.minimum_version = client.maximum_version = version
                if shown is not None:
                    client.load_cert_chain(files[2], files[3])
                if _shake_hands(server, client) != shown:
                    raise RuntimeError(
                        f"{version.name}: the server saw another client certificate than was shown"
                    )


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """The client's certificate as the server saw it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    if ends[1].version() is None:
        raise RuntimeError("the handshake did not end")
    return ends[1].getpeercert(binary_form=True)


if __name__ == "__main__":
    try:
        self_test()
    except (OSError, RuntimeError, AttributeError) as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
