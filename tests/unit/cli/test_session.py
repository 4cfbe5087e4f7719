"""Interrupts while the daemon works: wherever the client is, the first one counts."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian.cli.interrupts import GivenUp, Interrupts
from wardian.cli.session import Session
from wardian.client import connection
from wardian.client.config import Config
from wardian.client.connection import Connection, UnixPlace
from wardian.client.websocket import WebSocket


class FakeConnection(Connection):
    """Begins an operation while the user interrupts."""

    asked: list[str]

    def request(self, verb: str, path: str, *_: Any, **__: Any) -> tuple[dict[str, Any], dict[str, str]]:
        self.asked.append(f"{verb} {path}")
        if verb == "POST":
            os.kill(os.getpid(), signal.SIGINT)
            return {"type": "async", "metadata": {"id": "op1"}}, {}
        return {"type": "sync", "metadata": {"id": "op1", "status_code": 401, "err": "cancelled"}}, {}


def test_an_operation_that_was_begun_meanwhile_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeConnection.asked = []
    monkeypatch.setattr("wardian.cli.session.Connection", FakeConnection)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(connection.ApiError):
        Session(Config({})).run(FakeConnection(UnixPlace("/nowhere")), "POST", "/1.0/containers", {})
    assert FakeConnection.asked == [
        "POST /1.0/containers",
        "DELETE /1.0/operations/op1",
        "GET /1.0/operations/op1/wait",
    ]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_time_counts_at_once() -> None:
    with Interrupts() as held:
        signal.raise_signal(signal.SIGINT)
        assert held.came == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_are_never_interrupted() -> None:
    came: list[int] = []

    def run() -> None:
        with Interrupts() as held:
            came.append(held.came)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert came == [0]


@pytest.fixture
def streams() -> Iterator[list[WebSocket]]:
    """Two on which the daemon says nothing."""
    pairs = [socket.socketpair() for _ in range(2)]
    yield [WebSocket(ours, b"") for ours, _ in pairs]
    for ends in pairs:
        for end in ends:
            end.close()


def test_what_waits_is_woken_and_what_is_about_to_wait_does_not(streams: list[WebSocket]) -> None:
    events, more = streams
    with Interrupts() as interrupts:
        interrupts.watch(events)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert events.receive() == [] and events.closed and interrupts.is_due
        interrupts.watch(more)  # nobody has answered it yet
        assert more.receive() == [] and more.closed


class Callback:
    """What Python runs while it cannot raise: an exception in here is printed, and lost."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_one_in_a_callback_of_python_is_not_lost(streams: list[WebSocket]) -> None:
    events = streams[0]
    with Interrupts() as interrupts:
        interrupts.watch(events)
        Callback()
        assert events.receive() == [] and interrupts.is_due


def test_the_third_time_the_client_ends_whatever_it_waits_for(streams: list[WebSocket]) -> None:
    events = streams[0]
    with Interrupts() as interrupts:
        interrupts.watch(events)
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(GivenUp, match="three times"):
            signal.raise_signal(signal.SIGINT)


def test_a_connection_that_is_yet_to_be_made_is_cut_too(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        asking = Connection(UnixPlace(path))
        asking.cut()
        with pytest.raises(connection.Unreachable):
            asking.get("/1.0")
        asking.close()
