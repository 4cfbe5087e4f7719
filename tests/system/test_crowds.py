"""Strangers by the thousand: they get little, others are served, and the daemon stays small."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.system.farhost import Far
from tests.system.harness import READY_S, Daemon

TRIES = 10_000
AT_ONCE = 8
"""Connections of the one who guesses."""
PIPELINED = 50
MORE_MB = 112
"""By how much the daemon may grow meanwhile: a connection takes 280 kB, most of it Python's buffer for what
comes by TLS, and strangers have 256; checking a password takes 16 MB."""


@pytest.fixture
def modest(far: Far) -> Iterator[None]:
    """The daemon is not much larger at any time of the test than before it, nor its files."""

    def status(field: str) -> int:
        assert far.daemon.process is not None
        text = Path(f"/proc/{far.daemon.process.pid}/status").read_text()
        return int(text.split(f"{field}:")[1].split()[0]) >> 10

    def on_disk() -> int:
        return sum(file.stat().st_size for file in (far.daemon.folder / "lxd").glob("*.db*"))

    assert far.daemon.process is not None
    Path(f"/proc/{far.daemon.process.pid}/clear_refs").write_text("5")  # forget how large it was before
    before, files, log = status("VmRSS"), on_disk(), len(far.daemon.log())
    yield
    assert status("VmHWM") - before < MORE_MB
    assert on_disk() - files < 1 << 20
    assert len(far.daemon.log()) - log < 1 << 17
    assert "Traceback" not in far.daemon.log()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(far: Far) -> AsyncIterator[Streams]:
    """A connection of somebody without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", far.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(*lines: str, verb: str = "POST", path: str = "/1.0/certificates") -> bytes:
    """The head of a request, without its end."""
    return "".join(f"{line}\r\n" for line in (f"{verb} {path} HTTP/1.1", "Host: x", *lines)).encode()


def request(body: object) -> bytes:
    content = json.dumps(body).encode()
    return head(f"Content-Length: {len(content)}") + b"\r\n" + content


async def status(reader: asyncio.StreamReader) -> int:
    """That of the next answer, which is read to its end; 0: there is none, the connection has ended."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(text.lower().split("content-length:")[1].split()[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    return int(text.split()[1])


async def guess(far: Far, body: object, until: asyncio.Event) -> Counter[int]:
    """The statuses that somebody gets who sends this again and again, until then at least."""
    seen: Counter[int] = Counter()
    async with connected(far) as (reader, writer):
        while seen.total() < TRIES / AT_ONCE or not until.is_set():
            writer.write(request(body) * PIPELINED)
            seen.update([await status(reader) for _ in range(PIPELINED)])
    return seen


async def assert_served(friend: Daemon, far: Far) -> None:
    """The friend and a guest get their answers."""
    assert await asyncio.to_thread(friend.lxc, "list", "far:", "--format", "csv") == ""
    assert (await asyncio.to_thread(far.ask, "/1.0"))[0] == 200


def test_ten_thousand_wrong_passwords_and_tokens(friend: Daemon, far: Far, modest: None) -> None:
    token = json.loads(base64.b64decode(far.token("desk")))
    wrong = [
        base64.b64encode(json.dumps(token | change).encode()).decode()
        for change in ({"secret": "0" * 64}, {"client_name": "nobody"})
    ]
    far.daemon.lxc("config", "set", "core.trust_password", "sesame")
    bodies: list[object] = [{"type": "client", "password": "sesam"}]
    bodies += [{"type": "client", "trust_token": word} for word in wrong]

    async def flood() -> tuple[Counter[int], Counter[int]]:
        served = asyncio.Event()
        tasks = [asyncio.create_task(guess(far, bodies[0], served)) for _ in range(AT_ONCE)]
        tasks += [asyncio.create_task(guess(far, bodies[1 + n % 2], served)) for n in range(AT_ONCE)]
        await assert_served(friend, far)
        served.set()
        found = await asyncio.gather(*tasks)
        return sum(found[:AT_ONCE], Counter()), sum(found[AT_ONCE:], Counter())

    try:
        passwords, tokens = asyncio.run(flood())
        assert tokens.keys() == {403} and tokens[403] >= TRIES
        assert passwords.keys() == {403, 429} and passwords[403] < 100
        assert passwords.total() >= TRIES
        trusted = friend.lxc("config", "trust", "list", "far:", "--format", "json")
        names = [one["name"] for one in json.loads(trusted)]
        assert names == ["friend"]
        assert far.daemon.lxc("config", "trust", "list-tokens", "--format", "csv").startswith("desk,")
    finally:
        far.daemon.lxc("config", "unset", "core.trust_password")
        far.daemon.lxc("config", "trust", "revoke-token", "desk")


async def opened(far: Far, held: contextlib.AsyncExitStack, *sent: bytes) -> list[Streams]:
    """Connections on each of which somebody has sent one of these, and no more."""
    entered = (held.enter_async_context(connected(far)) for _ in sent)
    streams = [await one for one in entered]
    for (_, writer), content in zip(streams, sent, strict=True):
        writer.write(content)
    return streams


def test_those_who_dawdle_keep_nobody_out(friend: Daemon, far: Far, modest: None) -> None:
    """Half a head, half a body, and a handshake that is done and followed by nothing."""
    halves = [head("X-Slow: 1"), head("Content-Length: 60000") + b"\r\n{", b""]

    async def crowd() -> None:
        async with contextlib.AsyncExitStack() as held:
            first = await opened(far, held, *halves * 50)
            await opened(far, held, *halves * 50)
            await assert_served(friend, far)
            async with asyncio.timeout(READY_S):  # those who have sent nothing, or half a head, go first
                assert await first[0][0].read() == await first[2][0].read() == b""

    asyncio.run(crowd())


MEGABYTES = MORE_MB
PIECE = b"x" * (1 << 16)
PIECES = MEGABYTES << 20 >> 16
CHUNK = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
HUGE = {
    "a line": (b"GET /", PIECE, 400),
    "a header": (head() + b"X-Long: ", PIECE, 400),
    "headers": (head(), b"X-A: 1\r\n" * (len(PIECE) // 8), 400),
    "a body": (head(f"Content-Length: {MEGABYTES << 20}") + b"\r\n", PIECE, 400),
    "chunks": (head("Transfer-Encoding: chunked") + b"\r\n", CHUNK, 400),
    "chunk extensions": (head("Transfer-Encoding: chunked") + b"\r\n1;", PIECE, None),
    "a body for nobody": (head(f"Content-Length: {MEGABYTES << 20}", path="/1.0/x") + b"\r\n", PIECE, 403),
    "no HTTP": (b"", PIECE, 404),
}
"""What a guest begins with, what it then sends again and again, and what it is told; None: nothing yet."""


@pytest.mark.parametrize("begun", HUGE)
def test_what_is_huge_is_refused_or_dropped(far: Far, modest: None, begun: str) -> None:
    first, more, refusal = HUGE[begun]

    async def send() -> int | None:
        async with connected(far) as (reader, writer):
            answered = asyncio.create_task(status(reader))
            writer.write(first)
            with contextlib.suppress(ConnectionError):
                for _ in range(PIECES):
                    if answered.done() or writer.is_closing():
                        break
                    writer.write(more)
                    await writer.drain()
            if refusal is None:
                assert not answered.done()
                answered.cancel()
                return None
            return await answered

    said = asyncio.run(asyncio.wait_for(send(), READY_S))
    assert said == refusal or (refusal and said == 0)  # the refusal may be lost as the connection is cut


def test_one_who_asks_and_does_not_read_is_held_back(friend: Daemon, far: Far, modest: None) -> None:
    question = head(verb="GET", path="/1.0") + b"\r\n"

    async def ask() -> None:
        async with connected(far) as (reader, writer):
            writer.transport.set_write_buffer_limits(0)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            many = question * (len(PIECE) // len(question))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        writer.write(many)
                        await writer.drain()
            await assert_served(friend, far)

    asyncio.run(ask())
