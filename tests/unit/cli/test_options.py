"""The grammar of flags."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.cli.options import Flag, FlagError, options_text, parse

FLAGS = (
    Flag("f,force", "bool", "Force"),
    Flag("i,interactive", "bool", "Ask"),
    Flag("timeout", "int", "Seconds", -1),
    Flag("c,config", "list", "Keys"),
    Flag("format", "str", "Format", "table"),
    Flag("p,profile", "list", "Profile", bare=""),
)


@pytest.mark.parametrize(
    ("line", "values", "words"),
    [
        ("c1 c2", {"force": False, "timeout": -1, "config": [], "format": "table"}, ["c1", "c2"]),
        ("c1 --force c2", {"force": True}, ["c1", "c2"]),
        ("-fi c1", {"force": True, "interactive": True}, ["c1"]),
        ("--force=false c1", {"force": False}, ["c1"]),
        ("--timeout 5 c1", {"timeout": 5}, ["c1"]),
        ("--timeout=-1 c1", {"timeout": -1}, ["c1"]),
        ("-c a=1 -cb=2 --config=c=3 c1", {"config": ["a=1", "b=2", "c=3"]}, ["c1"]),
        ("--format json -- --force -x", {"format": "json", "force": False}, ["--force", "-x"]),
        ("- c1", {}, ["-", "c1"]),
        ("c1 --help", {"help": True}, ["c1"]),
        ("--force=1 --interactive=off c1", {"force": True, "interactive": False}, ["c1"]),
        ("c1 -p a", {"profile": ["a"]}, ["c1"]),
        ("c1 -p", {"profile": [""]}, ["c1"]),
        ("c1 -p -f", {"profile": [""], "force": True}, ["c1"]),
    ],
)
def test_flags_and_words_are_mixed(line: str, values: dict[str, Any], words: list[str]) -> None:
    found, rest = parse(FLAGS, line.split())
    assert {key: getattr(found, key) for key in values} == values
    assert rest == words


def test_flags_after_the_command_to_run_are_its_own() -> None:
    values, words = parse(FLAGS, ["-f", "c1", "ls", "-l", "--force", "--"], stop_at=2)
    assert values.force is True
    assert words == ["c1", "ls", "-l", "--force", "--"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "flag provided but not defined: --nope"),
        ("-x", "flag provided but not defined: -x"),
        ("-fx", "flag provided but not defined: -x"),
        ("--timeout", "flag needs an argument: --timeout"),
        ("-c", "flag needs an argument: -c"),
        ("--timeout soon", 'invalid value "soon" for flag --timeout: not a number'),
        ("--force=maybe", 'invalid value "maybe" for flag --force: not true or false'),
    ],
)
def test_a_bad_flag_is_named(line: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(FLAGS, line.split())
    assert str(caught.value) == message


def test_parsing_leaves_the_defaults_alone() -> None:
    parse(FLAGS, ["-c", "a=1"])
    assert parse(FLAGS, [])[0].config == []


def test_options_are_listed_by_their_shortest_name() -> None:
    assert options_text(FLAGS[:1]).splitlines()[:5] == [
        "Options:",
        "    --debug  (= false)",
        "        Enable debug mode",
        "    -f, --force  (= false)",
        "        Force",
    ]
    assert '    --format (= "table")' in options_text(FLAGS).splitlines()


@given(st.lists(st.text(max_size=6)))
def test_after_two_dashes_everything_is_a_word(words: list[str]) -> None:
    assert parse(FLAGS, ["--", *words])[1] == words
