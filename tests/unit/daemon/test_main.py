"""What the words of `lxd` mean, and how wrong ones are refused."""

import os

import pytest

from wardian.daemon import main
from wardian.errors import WardianError
from wardian.programs import run


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    monkeypatch.setenv("LXD_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nonsense", "Unknown arguments"),
        ("waitready --timeout x", 'argument --timeout: "x" is not a number of seconds'),
        ("waitready --timeout -1", 'argument --timeout: "-1" is not a number of seconds'),
        ("waitready --timeout nan", 'argument --timeout: "nan" is not a number of seconds'),
        ("waitready --time 3", "unrecognized arguments: --time 3"),
        ("waitready --timeout 0", "LXD still not running after 0s timeout."),
        ("ready", "is not running"),
        ("--debug shutdown", "is not running"),
        ("shutdown --syslog --logfile /nix/file", "/nix/file"),
    ],
)
def test_wrong_words_are_one_line_and_status_1(
    words: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["lxd", *words.split()])
    with pytest.raises(SystemExit) as ended:
        run(main.main)
    last = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 1
    assert last.startswith("error: ") and said in last


@pytest.mark.parametrize("words", ["--help", "init --help", "shutdown -h", "--version", "init --version"])
def test_help_and_version_are_on_standard_output(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(words.split())
    assert ended.value.code == 0
    assert capsys.readouterr().out


def test_a_folder_whose_socket_has_too_long_a_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LXD_DIR", "/" + "x" * 96)
    with pytest.raises(WardianError, match="longer than 107 bytes"):
        main.main(["waitready"])


@pytest.mark.parametrize("words", ["", "daemon", "activateifneeded", "init --auto", "image-server build x"])
def test_what_only_root_may(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(WardianError, match="This must be run as root"):
        main.main(words.split())
