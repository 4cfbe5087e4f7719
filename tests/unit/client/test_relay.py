"""A relay passes on what two daemons say, in both directions at once, and ends when one of them does."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.unit.client.test_websocket import server_frame
from wardian.client import relay as relay_module
from wardian.client.relay import relay
from wardian.client.websocket import BINARY, CLOSE, TEXT, WebSocket, masked

MESSAGES = [random.Random(n).randbytes(size) for n, size in enumerate((0, 5, 300_000, 1_000_000, 1))]


class FarEnd:
    """A daemon at the other end of a websocket of the client."""

    def __init__(self) -> None:
        self.sock, ours = socket.socketpair()
        self.websocket = WebSocket(ours, b"")

    def say(self, opcode: int, payload: bytes) -> None:
        self.sock.sendall(server_frame(opcode, payload))

    def hear(self) -> tuple[int, bytes]:
        """The next message, which a client masks; CLOSE at the end."""
        head = self._read(2)
        if not head:
            return CLOSE, b""
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
        mask = self._read(4)
        return head[0] & 0x0F, masked(self._read(size), mask)

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (data := self.sock.recv(size - len(found))):
            found += data
        return found


@pytest.fixture
def ends() -> Iterator[tuple[FarEnd, FarEnd]]:
    """Two daemons with a relay in between, which must have ended after the test."""
    one, other = FarEnd(), FarEnd()
    running = threading.Thread(target=relay, args=([(one.websocket, other.websocket)],))
    running.start()
    yield one, other
    for end in (one, other):
        end.sock.close()
    running.join(10)
    assert not running.is_alive()


def test_both_say_much_at_once(ends: tuple[FarEnd, FarEnd]) -> None:
    heard: dict[int, list[bytes]] = {0: [], 1: []}

    def speak(end: FarEnd) -> None:
        for message in MESSAGES:
            end.say(BINARY, message)
        end.say(TEXT, b"")

    def listen(number: int) -> None:
        while (message := ends[number].hear()) != (TEXT, b""):
            heard[number].append(message[1])

    threads = [threading.Thread(target=speak, args=(end,)) for end in ends]
    threads += [threading.Thread(target=listen, args=(number,)) for number in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert heard == {0: MESSAGES, 1: MESSAGES}


def test_what_was_said_before_the_end_arrives(ends: tuple[FarEnd, FarEnd]) -> None:
    ends[0].say(TEXT, b"the last word")
    ends[0].say(CLOSE, b"\x03\xe8")
    assert ends[1].hear() == (TEXT, b"the last word")
    assert ends[1].hear()[0] == CLOSE
    assert ends[0].hear()[0] == CLOSE


def test_the_end_of_one_is_told_to_the_other_though_it_does_not_listen(ends: tuple[FarEnd, FarEnd]) -> None:
    speaker = threading.Thread(target=lambda: ends[0].say(BINARY, b"x" * 4_000_000))
    speaker.start()
    assert ends[1].sock.recv(1)
    ends[1].sock.close()
    speaker.join(10)
    assert ends[0].hear()[0] == CLOSE


def test_an_interrupt_ends_it_though_one_side_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saying goodbye to that side would wait for ever."""
    one, other = FarEnd(), FarEnd()
    talking = threading.Thread(target=flood, args=(one,))
    talking.start()
    wait = relay_module._wait

    def interrupted(sides: list[relay_module._Side]) -> None:
        if sides[1].out:  # more than it takes now
            raise KeyboardInterrupt
        wait(sides)

    monkeypatch.setattr(relay_module, "_wait", interrupted)
    ended: list[bool] = []

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            relay([(one.websocket, other.websocket)])
        ended.append(True)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(30)
    assert ended == [True]
    for end in (one, other):
        end.sock.close()
    talking.join(30)


def flood(end: FarEnd) -> None:
    """Say much more than any buffer takes, until nobody is there any more."""
    with contextlib.suppress(OSError):
        for _ in range(100):
            end.say(BINARY, bytes(1 << 20))
