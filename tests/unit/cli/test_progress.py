"""How far a transfer is."""

import sys

import pytest

from wardian.cli import progress
from wardian.cli.session import Session
from wardian.client.config import Config


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (420_000, 1_000_000, "Exporting the image: 42% (205.08kB/s)"),
        (1_000_001, 1_000_000, "Exporting the image: 100% (488.28kB/s)"),
        (2048, 0, "Exporting the image: 2.00kB (1.00kB/s)"),
    ],
)
def test_a_line(done: int, total: int, shown: str) -> None:
    assert progress.line("Exporting the image", done, total, 2.0) == shown


def test_pieces_pass_and_the_line_is_erased(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 0.0)
    session, data = Session(Config({})), [b"a" * 50, b"b" * 50]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert list(progress.watched(session, "Sending", iter(data), 100)) == data
    *drawn, blanks, end = capsys.readouterr().out.split("\r")
    assert drawn[1].startswith("Sending: 50% (") and drawn[2].startswith("Sending: 100% (")
    assert blanks.strip() == "" and len(blanks) >= len(drawn[2].rstrip()) and end == ""


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.watched(Session(Config({})), "Sending", iter([b"x"]), 1)) == [b"x"]
    assert capsys.readouterr().out == ""
