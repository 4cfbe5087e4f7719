from pathlib import Path

import pytest
import yaml

from wardian.client import config
from wardian.client.config import Remote
from wardian.client.connection import ApiError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LXD_CONF", str(tmp_path / "conf"))
    return tmp_path / "conf"


def add(name: str, url: str = "https://10.0.0.1:8443") -> None:
    remote = Remote(name, url, "lxd", public=False, static=False)
    config.change(lambda changed: changed.remotes.update({name: remote}))


def test_a_remote_is_kept_and_static_ones_are_not_written(folder: Path) -> None:
    add("far")
    content = yaml.safe_load((folder / "config.yml").read_text())
    assert sorted(content["remotes"]) == ["far", "images"]
    assert content["remotes"]["far"] == {
        "addr": "https://10.0.0.1:8443",
        "auth_type": "tls",
        "public": False,
    }
    assert sorted(config.load().remotes) == ["debian", "far", "images", "local", "ubuntu", "ubuntu-daily"]


def test_what_else_the_file_says_stays(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.yml").write_text("aliases: {ls: list}\nunknown: [1]\n")
    add("far")
    content = yaml.safe_load((folder / "config.yml").read_text())
    assert (content["aliases"], content["unknown"]) == ({"ls": "list"}, [1])


def test_a_removed_remote_of_the_first_day_stays_removed() -> None:
    def remove(changed: config.Config) -> None:
        del changed.remotes["images"]

    config.change(remove)
    assert "images" not in config.load().remotes


def test_a_change_that_fails_writes_nothing(folder: Path) -> None:
    def fail(_: config.Config) -> None:
        raise ApiError("no")

    with pytest.raises(ApiError):
        config.change(fail)
    assert not (folder / "config.yml").exists()


@pytest.mark.parametrize("text", ["remotes: []\n", "aliases: x\n", "remotes: {a: 1}\n", "- 1\n", "{\n"])
def test_a_malformed_file_is_one_error(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "config.yml").write_text(text)
    with pytest.raises(ApiError, match=r"config\.yml"):
        config.load()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a:b", ".x", "-x", "a\nb", "x" * 200])
def test_a_name_that_would_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="cannot be the name of a remote"):
        config.pin(name, "text")


def test_a_pinned_certificate_is_kept_and_forgotten(folder: Path) -> None:
    assert config.pinned("far") is None
    config.pin("far", "text")
    assert config.pinned("far") == "text"
    assert (folder / "servercerts").stat().st_mode & 0o027 == 0
    config.pin("far", None)
    config.pin("far", None)
    assert config.pinned("far") is None


def test_our_certificate_is_made_once_and_never_replaced(folder: Path) -> None:
    assert not config.has_identity()
    config.make_identity()
    assert config.has_identity()
    (folder / "client.key").unlink()
    with pytest.raises(ApiError, match=r"client\.key"):
        config.make_identity()


@pytest.fixture
def always_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "SETTLED_NS", 0)


@pytest.mark.usefixtures("always_settled")
def test_what_the_file_says_is_remembered_without_the_yaml_library(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / "config.yml").write_text("aliases: {ls: list}\n")
    assert config.load().aliases == {"ls": "list"}
    monkeypatch.setattr(yaml, "safe_load", lambda _: pytest.fail("parsed again"))
    assert config.load().aliases == {"ls": "list"}


@pytest.mark.usefixtures("always_settled")
def test_a_changed_or_replaced_file_is_read_again(folder: Path) -> None:
    folder.mkdir()
    file = folder / "config.yml"
    file.write_text("aliases: {ls: list}\n")
    assert config.load().aliases == {"ls": "list"}
    file.write_text("aliases: {ls: info}\n")
    assert config.load().aliases == {"ls": "info"}
    (folder / "other").write_text("aliases: {ls: stop}\n")
    (folder / "other").rename(file)
    assert config.load().aliases == {"ls": "stop"}
    file.unlink()
    assert config.load().aliases == {}


def test_what_was_written_just_now_is_not_remembered(folder: Path) -> None:
    add("far")
    assert "far" in config.load().remotes
    assert not (folder / "config.yml.cache").exists()


@pytest.mark.usefixtures("always_settled")
@pytest.mark.parametrize("text", ["aliases: {1: list}\n", "when: 2020-01-01\n", "{}\n"])
def test_content_that_json_cannot_say_is_read_each_time(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "config.yml").write_text(text)
    first = config.load()
    assert vars(config.load())["aliases"] == first.aliases


@pytest.mark.usefixtures("always_settled")
@pytest.mark.parametrize("text", ["", "{", "[1]", "[[1, 2], {}]", "null", "[[], []]"])
def test_a_broken_memory_is_passed_over(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "config.yml").write_text("aliases: {ls: list}\n")
    (folder / "config.yml.cache").write_text(text)
    assert config.load().aliases == {"ls": "list"}


def test_a_file_that_cannot_be_used_is_told_in_one_line(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.yml").mkdir()
    with pytest.raises(ApiError, match=r'cannot read ".*config.yml": Is a directory; LXD_CONF names'):
        config.load()
    (folder / "config.yml").rmdir()
    (folder / "config.yml").write_text("remotes: {\na: [\n")
    with pytest.raises(ApiError, match=r'config.yml" is not valid YAML: while parsing') as failure:
        config.load()
    assert "\n" not in str(failure.value)
