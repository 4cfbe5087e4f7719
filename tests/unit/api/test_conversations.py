import asyncio
import socket

import pytest
from aiohttp import web

from wardian.api.conversations import Conversation, Crowd, source_of


def join(crowd: Crowd, source: str, ended: list[str] | None = None, label: str = "") -> Conversation:
    made = Conversation(source, asyncio.Protocol, crowd)
    made.end = lambda: (ended if ended is not None else []).append(label)
    crowd.enter(made)
    return made


def test_one_too_many_ends_the_oldest_idle_one_of_the_biggest_source() -> None:
    crowd, ended = Crowd(limit=4), list[str]()
    busy = join(crowd, "many", ended, "busy")
    busy.answering = 1
    for label in ("second", "third"):
        join(crowd, "many", ended, label)
    join(crowd, "few", ended, "few")
    join(crowd, "new", ended, "new")
    assert ended == ["second"]
    join(crowd, "newer", ended, "newer")
    assert ended == ["second", "third"]


def test_where_all_are_busy_the_oldest_goes() -> None:
    crowd, ended = Crowd(limit=2), list[str]()
    for label in ("first", "second"):
        join(crowd, "many", ended, label).answering = 1
    join(crowd, "many", ended, "third").answering = 1
    assert ended == ["first"]


def test_trusted_connections_are_not_counted_and_never_ended() -> None:
    crowd, ended = Crowd(limit=2), list[str]()
    known = [join(crowd, "friend", ended, "friend") for _ in range(2)]
    for one in known:
        crowd.judge(one, trusted=True)
    for number in range(10):
        join(crowd, "friend", ended, str(number))
    assert ended == [str(number) for number in range(8)]
    crowd.judge(known[0], trusted=False)
    assert ended[-1] == "8"


def test_what_has_left_does_not_come_back() -> None:
    crowd = Crowd(limit=2)
    gone = join(crowd, "a")
    gone.connection_lost(None)
    crowd.judge(gone, trusted=True)
    crowd.leave(gone)
    assert crowd.all() == []


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whom_an_address_is_counted_for(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize("sent", [b"", b"GET /1.0 HTTP/1.1\r\nX-Slow: 1\r\n"])
async def test_a_head_has_its_time_to_come(sent: bytes) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError("no request is complete")

    server = web.Server(answer, keepalive_timeout=0.01)
    theirs, ours = socket.socketpair()
    crowd = Crowd()
    loop = asyncio.get_running_loop()
    with theirs:
        theirs.setblocking(False)
        conversation = Conversation("a", server, crowd)
        crowd.enter(conversation)
        await loop.connect_accepted_socket(lambda: conversation, ours)
        await loop.sock_sendall(theirs, sent)
        assert await asyncio.wait_for(loop.sock_recv(theirs, 1), 10) == b""
    assert crowd.all() == []
    await server.shutdown()
