"""An interrupt while the daemon has not yet said which operation it began."""

import os
import signal
import threading
from typing import Any

import pytest

from wardian.cli.session import HeldInterrupt, Session
from wardian.client import connection
from wardian.client.config import Config
from wardian.client.connection import Connection, UnixPlace


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
    with HeldInterrupt() as held:
        signal.raise_signal(signal.SIGINT)
        assert held.came == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_are_never_interrupted() -> None:
    came: list[int] = []

    def run() -> None:
        with HeldInterrupt() as held:
            came.append(held.came)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert came == [0]
