import subprocess
import sys
from pathlib import Path

import pytest

import wardian
from wardian.cli import main, remote
from wardian.client import config
from wardian.client.connection import ApiError

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LXD_CONF", str(tmp_path / "conf"))
    return tmp_path / "conf"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host", "https://host:8443"),
        ("host:99", "https://host:99"),
        ("10.0.0.1", "https://10.0.0.1:8443"),
        ("https://host", "https://host:8443"),
        ("fd00::1", "https://[fd00::1]:8443"),
        ("[fd00::1]:99", "https://[fd00::1]:99"),
        ("unix:/run/lxd.socket", "unix:/run/lxd.socket"),
        ("/run/lxd.socket", "unix:/run/lxd.socket"),
    ],
)
def test_what_users_call_an_address(address: str, url: str) -> None:
    assert remote.normalised(address) == url


@pytest.mark.parametrize("address", ["http://host", "ftp://host"])
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(ApiError, match="Invalid URL scheme"):
        remote.normalised(address)


def test_an_image_server_is_added_without_contact(capsys: Captured) -> None:
    words = ["remote", "add", "mirror", "https://images.example", "--protocol", "simplestreams"]
    assert main.main(words) == 0
    assert main.main(words) == 1
    assert capsys.readouterr().err == "error: remote mirror exists as <https://images.example>\n"
    assert main.main(["remote", "list", "--format", "csv"]) == 0
    assert "mirror,https://images.example,simplestreams,YES,NO" in capsys.readouterr().out


WRONG = [
    (["add", "x", "http://images.example", "--protocol", "simplestreams"], "Only https URLs are supported"),
    (["add", "x", "host", "--protocol", "smb"], 'invalid protocol "smb"'),
    (["remove", "nosuch"], "remote nosuch doesn't exist"),
    (["remove", "local"], "remote local is static and cannot be modified"),
    (["rename", "local", "x"], "remote local is static and cannot be modified"),
    (["rename", "images", "local"], "remote local already exists"),
    (["set-url", "local", "https://x"], "remote local is static and cannot be modified"),
    (["set-default", "nosuch"], "remote nosuch doesn't exist"),
]


@pytest.mark.parametrize(("words", "error"), WRONG)
def test_what_cannot_be_is_refused(words: list[str], error: str, folder: Path, capsys: Captured) -> None:
    assert main.main(["remote", *words]) == 1
    assert error in capsys.readouterr().err
    assert not (folder / "config.yml").exists()


def test_a_renamed_default_stays_the_default_and_keeps_its_certificate(capsys: Captured) -> None:
    config.pin("images", "text")
    assert main.main(["remote", "set-default", "images"]) == 0
    assert main.main(["remote", "rename", "images", "pictures"]) == 0
    assert main.main(["remote", "get-default"]) == 0
    assert capsys.readouterr().out == "pictures\n"
    assert (config.pinned("pictures"), config.pinned("images")) == ("text", None)


def test_the_client_starts_without_what_few_commands_need() -> None:
    heavy = {"ssl", "yaml", "cryptography", "asyncio", "msgspec", "hashlib", "json", "re", "enum", "socket"}
    site = str(Path(wardian.__file__).parent.parent)
    script = (
        f"import sys; sys.path.insert(0, {site!r}); from wardian.cli import main; "
        f"from wardian.cli import list, exec, container, config; print(sorted({heavy} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, check=True)
    assert said.stdout == b"[]\n", said.stderr
