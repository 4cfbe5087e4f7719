"""The API on the network: accepts connections over TLS and hands them to the web server."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from datetime import UTC, datetime

from aiohttp import web

from wardian.api.conversations import Conversation, Crowd, source_of
from wardian.errors import HostFailed
from wardian.linux import keypair, netlink, process, tls
from wardian.model import certificates
from wardian.model.paths import Paths
from wardian.model.server_keys import parse_address

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
"""How long a peer may take to shake hands."""
GOODBYE_S = 5.0
"""How long it may take to say goodbye."""
BACKLOG = 256
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RETRY_S = 0.5
"""Pause after the kernel had no descriptor or memory for one more connection."""


class HttpsListener:
    """See ports.Listener. Its files are `server.crt` and `server.key`, made at the first start."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._server: web.Server | None = None
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._context: ssl.SSLContext | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self.crowd = Crowd()
        self.certificate = ""

    # --- the key pair --------------------------------------------------------------------------

    async def prepare(self, server: web.Server) -> None:
        """Make the server's key pair if there is none. server: answers what comes in later."""
        self._server = server
        self.certificate = await asyncio.to_thread(self._key_pair)

    def _key_pair(self) -> str:
        certificate, key = self._paths.server_certificate, self._paths.server_key
        try:
            if not certificate.exists():
                name = socket.gethostname()
                names = (name, *_own_addresses())
                keypair.create(certificate, key, keypair.Subject(f"root@{name}", server=True, names=names))
            elif not key.exists():
                raise HostFailed(
                    f'"{key}" is missing; put it back, or remove "{certificate}" to have a new pair made'
                )
            text = certificate.read_text()
            certificates.to_der(text)
        except OSError as error:
            raise HostFailed(f'cannot make or read "{certificate}": {error.strerror}') from error
        return text

    async def _tls(self) -> ssl.SSLContext:
        """The context, after the self-test has passed once."""
        if self._context is None:
            argv = process.python(tls.__file__)
            await process.check("check TLS with client certificates, so the network is left alone", argv)
            facts = await asyncio.to_thread(certificates.facts, certificates.to_der(self.certificate))
            if not facts.valid_at(datetime.now(UTC)):
                log.warning('"%s" is not valid at this date', self._paths.server_certificate)
            try:
                self._context = tls.server_context(self._paths.server_certificate, self._paths.server_key)
            except OSError as error:  # ssl.SSLError is one: files that do not fit
                raise HostFailed(f'cannot use "{self._paths.server_certificate}": {error}') from error
        return self._context

    # --- listening -----------------------------------------------------------------------------

    async def move(self, address: str) -> None:
        """See ports.Listener."""
        if not address:
            await self._stop()
            for conversation in self.crowd.all():
                if not conversation.answering:
                    conversation.end()
            return
        context = await self._tls()
        target = await _resolve(address)
        try:
            fresh = _bind(*target)
        except OSError as error:
            fresh = await self._bind_instead(address, target, error)
        await self._stop()
        self._start(fresh, context)

    async def _bind_instead(
        self, address: str, target: tuple[int, tuple[str, int]], error: OSError
    ) -> socket.socket:
        """Bind where our present socket is in the way; it comes back if that fails."""
        if self._socket is None or error.errno != errno.EADDRINUSE:
            raise _refused(address, error) from error
        present = (self._socket.family, self._socket.getsockname()[:2])
        context = self._context
        assert context is not None
        await self._stop()
        try:
            return _bind(*target)
        except OSError as still:
            self._start(_bind(*present), context)
            raise _refused(address, still) from still

    def _start(self, fresh: socket.socket, context: ssl.SSLContext) -> None:
        self._socket = fresh
        self._accepting = asyncio.create_task(self._accept(fresh, context), name="https listener")
        log.info("listening on https://%s", ", ".join(self.addresses()))

    async def _stop(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """Accept nothing more; what is being answered is ended by the web server."""
        await self._stop()
        for task in self._handshakes:
            task.cancel()
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    # --- connections ---------------------------------------------------------------------------

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in NO_DESCRIPTORS:
                    log.error("cannot accept connections from the network: %s", error.strerror)
                    await asyncio.sleep(RETRY_S)
                continue
            task = asyncio.create_task(self._welcome(peer, address[0], context), name="https handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _welcome(self, peer: socket.socket, address: str, context: ssl.SSLContext) -> None:
        assert self._server is not None
        conversation = Conversation(source_of(address), self._server, self.crowd)
        task = asyncio.current_task()
        assert task is not None
        conversation.end = task.cancel
        self.crowd.enter(conversation)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: conversation,
                peer,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=GOODBYE_S,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError among them
            log.debug("no connection with %s: %s", address, error)
            self.crowd.leave(conversation)
        except asyncio.CancelledError:
            self.crowd.leave(conversation)

    def drop(self, fingerprint: str) -> None:
        """See ports.Listener."""
        for conversation in self.crowd.all():
            if (
                conversation.certificate
                and certificates.fingerprint(conversation.certificate) == fingerprint
            ):
                conversation.end()

    def addresses(self) -> list[str]:
        """See ports.Listener."""
        if self._socket is None:
            return []
        host, port = self._socket.getsockname()[:2]
        hosts = [host]
        if host in ("::", "0.0.0.0"):
            hosts = [one for one in _own_addresses() if host == "::" or ":" not in one]
        return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in hosts]


def _own_addresses() -> list[str]:
    """The host's own addresses that others can use."""
    found = (netlink.address(payload) for payload in netlink.dump(netlink.GETADDR))
    return [one.address for one in found if one is not None and one.scope == "global"]


async def _resolve(address: str) -> tuple[int, tuple[str, int]]:
    host, port = parse_address(address)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _refused(address, error) from error
    family, _, _, _, place = found[0]
    return family, (str(place[0]), port)


def _bind(family: int, place: tuple[str, int]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # [::] is for all: IPv4 too
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(place)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _refused(address: str, error: OSError) -> HostFailed:
    return HostFailed(
        f'cannot listen on "{address}": {error.strerror or error}; '
        "set core.https_address to a free address of this host"
    )
