"""The table of commands and the help that is made from it."""

import importlib
import re
from pathlib import Path

import pytest

from wardian.cli import commands
from wardian.cli.command import Command
from wardian.cli.options import COMMON

GOLDEN = Path(__file__).parent / "golden"
NAMES = [command.name for command in commands.table()]


@pytest.mark.parametrize(("file", "everything"), [("help.txt", False), ("help-all.txt", True)])
def test_the_help_page_is(file: str, everything: bool) -> None:
    assert commands.help_page(everything=everything) == (GOLDEN / file).read_text()


@pytest.mark.parametrize("name", ["stop", "launch"])
def test_the_help_of_a_command_is(name: str) -> None:
    command = commands.find(name)
    assert command is not None
    assert command.help_text() == (GOLDEN / f"{name}.txt").read_text()


def test_commands_are_sorted_and_without_doubles() -> None:
    assert sorted(set(NAMES)) == NAMES == commands.names()


@pytest.mark.parametrize("command", commands.table(), ids=NAMES)
def test_every_command_has_a_synopsis_a_summary_and_an_example(command: Command) -> None:
    lines = command.usage.splitlines()
    assert lines[0].startswith(f"Usage: lxc {command.name}")
    assert f"{command.summary}." in lines
    assert command.summary[0].isupper()
    assert re.search(r"^Examples?:\n    ", command.usage, re.MULTILINE)


@pytest.mark.parametrize("command", commands.table(), ids=NAMES)
def test_every_command_has_a_function(command: Command) -> None:
    module, _, function = command.where.partition(":")
    assert callable(getattr(importlib.import_module(f"wardian.cli.{module}"), function))


@pytest.mark.parametrize("command", [c for c in commands.table() if c.is_group], ids=lambda c: c.name)
def test_the_usage_of_a_group_explains_every_subcommand(command: Command) -> None:
    words = set(re.findall(r"[a-z-]+", command.usage))
    assert set(command.subcommands) <= words


def test_no_two_flags_of_a_command_share_a_name() -> None:
    for command in commands.table():
        names = [name for flag in (*command.flags, *COMMON) for name in flag.names]
        assert len(names) == len(set(names)), command.name
