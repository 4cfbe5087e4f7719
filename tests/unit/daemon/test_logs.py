"""The daemon's log in the system's log."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardian.daemon import logs


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "log"))
        made.settimeout(10)
        yield made


def record(level: int) -> logging.LogRecord:
    return logging.LogRecord("wardian.x", level, "", 0, "said %s", ("it",), None)


def test_records_are_datagrams_with_facility_and_severity(listener: socket.socket, tmp_path: Path) -> None:
    handler = logs.Syslog(str(tmp_path / "log"))
    for level, number in ((logging.WARNING, 28), (logging.ERROR, 27), (logging.DEBUG, 31), (25, 30)):
        handler.emit(record(level))
        assert listener.recv(100) == f"<{number}>said it".encode()
    handler.close()


def test_a_logger_that_is_away_or_busy_does_not_hold_the_daemon_up(
    listener: socket.socket, tmp_path: Path
) -> None:
    handler = logs.Syslog(str(tmp_path / "log"))
    for _ in range(5000):  # far more than the socket holds
        handler.emit(record(logging.INFO))
    (tmp_path / "log").unlink()
    listener.close()
    handler.emit(record(logging.INFO))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(tmp_path / "log"))
        handler.emit(record(logging.INFO))
        assert again.recv(100) == b"<30>said it"
    handler.close()
