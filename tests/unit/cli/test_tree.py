"""Fetching folders from a server that means harm: nothing is written outside the destination."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian.model import entries

CLIENT = "from wardian.cli.main import run; run()"
END = {"type": "end"}


def file_entry(path: str, content: bytes = b"evil", **more: Any) -> list[bytes]:
    """A file's entry with its content."""
    entry = {"path": path, "type": "file", "uid": os.getuid(), "gid": os.getgid(), "mode": 0o644, **more}
    return [entries.entry_frame(entry), entries.frame(content), entries.END]


def other(path: str, kind: str, **more: Any) -> list[bytes]:
    """An entry without content."""
    entry = {"path": path, "type": kind, "uid": os.getuid(), "gid": os.getgid(), "mode": 0o755, **more}
    return [entries.entry_frame(entry)]


Serve = Callable[..., None]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Begin to answer the client: every HEAD with a folder, every GET with these bytes as a tree."""
    folder = tmp_path / "lxd"
    folder.mkdir()
    monkeypatch.setenv("LXD_DIR", str(folder))
    monkeypatch.setenv("LXD_CONF", str(tmp_path / "client"))
    threads: list[threading.Thread] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "unix.socket"))
    listener.listen()

    def answer(body: bytes) -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as requests:
            while line := requests.readline():
                while requests.readline().strip():
                    pass
                length = 0 if line.startswith(b"HEAD") else len(body)
                head = f"HTTP/1.1 200 OK\r\nX-LXD-type: directory\r\nContent-Length: {length}\r\n\r\n"
                sock.sendall(head.encode() + (b"" if line.startswith(b"HEAD") else body))

    def start(*pieces: list[bytes], end: bool = True) -> None:
        body = b"".join(frame for piece in pieces for frame in piece)
        body += entries.entry_frame(END) if end else b""
        threads.append(threading.Thread(target=answer, args=(body,), daemon=True))
        threads[-1].start()

    yield start
    listener.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty destination beside a file that must stay as it is."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def pull(target: Path) -> str:
    """`lxc file pull -r c1/top TARGET`: what it says on stderr; "" if it succeeds without a word."""
    argv = [sys.executable, "-c", CLIENT, "file", "pull", "-r", "c1/top", str(target)]
    completed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (completed.returncode == 0) == ("error: " not in completed.stderr)
    return completed.stderr


@pytest.mark.parametrize(
    "path",
    [
        "../precious",
        "a/../../precious",
        "/etc/evil",
        "",
        ".",
        "..",
        "a//b",
        "a/./b",
        "a\0b",
        7,
        None,
        "x" * 5000,
    ],
)
def test_names_that_lead_elsewhere_are_refused(serve: Serve, target: Path, path: Any) -> None:
    serve(other("", "directory"), file_entry(path))
    assert pull(target).startswith("error: ")
    assert (target.parent / "precious").read_text() == "precious"
    assert (
        sorted(os.listdir(target.parent)) == ["client", "lxd", "precious", "target"]
        or not (target.parent / "client").exists()
    )


@pytest.mark.parametrize("aim", ["..", "../precious", "/", "{parent}"])
def test_a_link_first_and_then_a_file_through_it(serve: Serve, target: Path, aim: str) -> None:
    aim = aim.format(parent=target.parent)
    serve(other("", "directory"), other("link", "symlink", target=aim), file_entry("link/precious"))
    assert "cannot write" in pull(target)
    assert (target.parent / "precious").read_text() == "precious"


def test_a_link_first_and_then_a_file_in_its_place(serve: Serve, target: Path) -> None:
    serve(other("", "directory"), other("a", "symlink", target="../../precious"), file_entry("a", b"new"))
    assert pull(target) == ""
    assert (target / "top/a").read_text() == "new" and not (target / "top/a").is_symlink()
    assert (target.parent / "precious").read_text() == "precious"


def test_a_folder_becomes_a_link_before_its_mode_is_set(serve: Serve, target: Path) -> None:
    target.parent.chmod(0o700)
    serve(
        other("", "directory"),
        other("d", "directory", mode=0o777),
        other("d", "symlink", target="../.."),
        file_entry("d/precious"),
    )
    assert pull(target).startswith("error: ")
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    assert (target.parent / "precious").read_text() == "precious"


def test_links_that_were_there_are_not_followed(serve: Serve, target: Path) -> None:
    (target / "top").symlink_to(target.parent)
    serve(other("", "directory"), file_entry("precious"))
    assert pull(target).startswith("error: ")
    assert (target.parent / "precious").read_text() == "precious"


def test_modes_that_give_rights_are_dropped(serve: Serve, target: Path) -> None:
    serve(
        other("", "directory", mode=0o6755),
        file_entry("f", mode=0o6755),
        other("d", "directory", mode=0o2700),
    )
    assert pull(target) == ""
    assert [stat.S_IMODE((target / "top" / n).stat().st_mode) for n in ("", "f", "d")] == [
        0o755,
        0o755,
        0o700,
    ]


def test_a_stream_that_is_cut_is_an_error(serve: Serve, target: Path) -> None:
    serve(other("", "directory"), file_entry("f"), end=False)
    assert "a stream that was cut" in pull(target)


@pytest.mark.parametrize(
    "junk", [b"\xff\xff\xff\xff", entries.frame(b"[1]"), entries.frame(b"{"), entries.frame(b"[" * 50000)]
)
def test_junk_is_an_error(serve: Serve, target: Path, junk: bytes) -> None:
    serve(other("", "directory"), [junk])
    assert pull(target).startswith("error: the server sent")


def test_numbers_that_are_none_are_refused(serve: Serve, target: Path) -> None:
    wrong: list[tuple[str, Any]] = [
        ("mode", -1),
        ("mode", 0o10000),
        ("uid", 2**32),
        ("gid", "0"),
        ("uid", True),
    ]
    for field, value in wrong:
        serve(other("", "directory"), file_entry("f", **{field: value}))
        assert pull(target).startswith("error: ")


def test_what_the_server_says_does_no_harm_on_a_terminal(serve: Serve, target: Path) -> None:
    serve(other("", "directory"), other("f\x1b[2J", "skipped", why="is \x1b]0;evil\x07"))
    said = pull(target)
    assert "is left out" in said and "\x1b" not in said
