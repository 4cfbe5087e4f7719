"""Order of processing and exit statuses of the client, without a daemon."""

from pathlib import Path

import pytest

from wardian import __version__
from wardian.cli import commands, main

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for the client and the server; the path of the client's configuration."""
    monkeypatch.setenv("LXD_CONF", str(tmp_path / "client"))
    monkeypatch.setenv("LXD_DIR", str(tmp_path / "server"))
    (tmp_path / "client").mkdir()
    return tmp_path / "client" / "config.yml"


def test_no_argument_prints_the_help_page_and_fails(capsys: Captured) -> None:
    assert main.main([]) == 1
    assert capsys.readouterr() == (commands.help_page(everything=False), "")


@pytest.mark.parametrize("arguments", [["help"], ["-h"], ["--help"]])
def test_help_prints_the_help_page(arguments: list[str], capsys: Captured) -> None:
    assert main.main(arguments) == 0
    assert capsys.readouterr() == (commands.help_page(everything=False), "")


@pytest.mark.parametrize("arguments", [["--all"], ["help", "--all"], ["-h", "--all"]])
def test_all_shows_the_less_common_commands(arguments: list[str], capsys: Captured) -> None:
    assert main.main(arguments) == 0
    assert capsys.readouterr() == (commands.help_page(everything=True), "")


def test_help_of_an_unknown_command_says_so_and_goes_on(capsys: Captured) -> None:
    assert main.main(["help", "nope", "list"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "error: unknown command: nope\n"
    assert printed.out.startswith("Usage: lxc list")


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["list", "--version"]])
def test_the_version_is_printed(arguments: list[str], capsys: Captured) -> None:
    assert main.main(arguments) == 0
    assert capsys.readouterr() == (f"{__version__}\n", "")


@pytest.mark.parametrize("flag", ["--debug", "--verbose", "-q", "--force-local"])
def test_flags_of_every_command_may_come_first(flag: str, capsys: Captured) -> None:
    assert main.main([flag, "version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_command_prints_the_help_page_and_an_error(capsys: Captured) -> None:
    assert main.main(["frobnicate", "--x"]) == 1
    assert capsys.readouterr() == (
        commands.help_page(everything=False),
        "\nerror: unknown command: frobnicate\n",
    )


@pytest.mark.parametrize("name", [c.name for c in commands.table()])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_each_command_explains_itself(name: str, flag: str, capsys: Captured) -> None:
    assert main.main([name, flag]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"Usage: lxc {name}")
    assert "\n\nOptions:\n" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("name", [c.name for c in commands.table() if c.is_group])
def test_a_group_without_subcommand_explains_itself(name: str, capsys: Captured) -> None:
    assert main.main([name]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: lxc {name}")


@pytest.mark.parametrize(
    "arguments", [["exec"], ["start"], ["launch"], ["version", "x"], ["profile", "show"], ["info", "a", "b"]]
)
def test_a_wrong_number_of_words_prints_the_usage_as_an_error(
    arguments: list[str], capsys: Captured
) -> None:
    assert main.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(
        f"error: wrong number of subcommand arguments\n\nUsage: lxc {arguments[0]}"
    )


def test_a_bad_flag_is_one_line_and_status_2(capsys: Captured) -> None:
    assert main.main(["list", "--nope"]) == 2
    assert capsys.readouterr() == ("", "error: flag provided but not defined: --nope\n")


def test_without_a_daemon_one_line_says_so(capsys: Captured) -> None:
    assert main.main(["list"]) == 1
    assert capsys.readouterr() == ("", "LXD socket not found; is LXD installed and running?\n")


def test_an_unknown_remote_is_named(capsys: Captured) -> None:
    assert main.main(["start", "elsewhere:c1"]) == 1
    assert capsys.readouterr() == ("", 'error: The remote "elsewhere" doesn\'t exist\n')


def test_a_container_cannot_be_on_an_image_server(capsys: Captured) -> None:
    assert main.main(["start", "debian:c1"]) == 1
    assert capsys.readouterr() == ("", "error: The remote isn't a private LXD server\n")


def test_config_profile_is_the_old_name_of_profile(capsys: Captured) -> None:
    assert main.main(["config", "profile"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: lxc profile")
    assert len(printed.err.splitlines()) == 1


def test_an_alias_stands_for_its_words(no_daemon: Path, capsys: Captured) -> None:
    no_daemon.write_text("aliases:\n  v: version\n  list: help list\n")
    assert main.main(["v"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert main.main(["list"]) == 0
    assert capsys.readouterr().out.startswith("Usage: lxc list")


@pytest.mark.parametrize(
    ("arguments", "expanded"),
    [
        (["ls", "-c", "n"], ["list", "-c", "n"]),
        (["c1", "sh"], ["exec", "sh", "--", "bash"]),
        (["my", "list"], ["list", "--fast"]),
        (["my"], ["info"]),
        (["other", "x"], ["other", "x"]),
    ],
)
def test_the_longest_alias_wins(arguments: list[str], expanded: list[str]) -> None:
    aliases = {"ls": "list", "c1": "exec @ARGS@ -- bash", "my": "info", "my list": "list --fast"}
    assert main.expand_alias(aliases, arguments) == expanded


def test_a_broken_configuration_file_is_one_error(no_daemon: Path, capsys: Captured) -> None:
    no_daemon.write_text("aliases: [unclosed\n")
    assert main.main(["version"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
