"""Tables, sizes and times, to the letter."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wardian.cli import output


def test_a_table_has_a_border_after_every_row() -> None:
    headers = ["NAME", "STATE", "IPV4", "IPV6", "TYPE", "SNAPSHOTS"]
    rows = [
        ["c1", "RUNNING", "10.0.8.12 (eth0)\n10.0.9.7 (eth1)", "", "PERSISTENT", "0"],
        ["web-frontend", "STOPPED", "", "", "EPHEMERAL", "12"],
    ]
    assert output.table(headers, rows) == (
        "+--------------+---------+------------------+------+------------+-----------+\n"
        "|     NAME     |  STATE  |       IPV4       | IPV6 |    TYPE    | SNAPSHOTS |\n"
        "+--------------+---------+------------------+------+------------+-----------+\n"
        "| c1           | RUNNING | 10.0.8.12 (eth0) |      | PERSISTENT | 0         |\n"
        "|              |         | 10.0.9.7 (eth1)  |      |            |           |\n"
        "+--------------+---------+------------------+------+------------+-----------+\n"
        "| web-frontend | STOPPED |                  |      | EPHEMERAL  | 12        |\n"
        "+--------------+---------+------------------+------+------------+-----------+\n"
    )


def test_a_table_without_rows_has_three_lines() -> None:
    assert output.table(["NAME", "STATE"], []) == "+------+-------+\n| NAME | STATE |\n+------+-------+\n"


def test_wide_characters_take_two_columns() -> None:
    assert output.table(["N"], [["日本"], ["é"]]) == (
        "+------+\n|  N   |\n+------+\n| 日本 |\n+------+\n| é    |\n+------+\n"
    )


def test_a_header_is_centred_with_the_odd_blank_on_the_right() -> None:
    assert output.table(["AB"], [["12345"]]).splitlines()[1] == "|  AB   |"


CELLS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)
    )
)
def test_all_lines_of_a_table_are_equally_wide(rows: list[list[str]]) -> None:
    lines = output.table(["H"] * len(rows[0]), rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 3 + 2 * len(rows)


def test_csv_quotes_what_needs_it() -> None:
    assert output.csv([["c1", "a,b", 'say "hi"', "two\nlines"]]) == 'c1,"a,b","say ""hi""","two\nlines"\n'


def test_compact_has_no_borders_and_one_line_for_each_row() -> None:
    assert output.compact(["NAME", "IPV4"], [["c1", "10.0.0.1\n10.0.0.2"], ["c22", ""]]) == (
        "  NAME  IPV4\n  c1    10.0.0.1 10.0.0.2\n  c22\n"
    )


def test_json_shows_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    output.show("json", ["NAME"], [["c1"]], [{"name": "c1"}])
    assert json.loads(capsys.readouterr().out) == [{"name": "c1"}]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00kB"), (56_958_648, "54.32MB"), (2**60, "1.00EB")],
)
def test_a_size_is_short(number: int, text: str) -> None:
    assert output.size(number) == text


@pytest.mark.parametrize(
    ("given_time", "short", "long"),
    [
        ("2016-03-20T02:11:00Z", "2016/03/20 02:11 UTC", "Mar 20, 2016 at 2:11am (UTC)"),
        ("2016-12-01T00:05:00.123456789Z", "2016/12/01 00:05 UTC", "Dec 1, 2016 at 12:05am (UTC)"),
        ("2016-12-01T12:00:00Z", "2016/12/01 12:00 UTC", "Dec 1, 2016 at 12:00pm (UTC)"),
        ("2016-12-01T23:59:00+00:00", "2016/12/01 23:59 UTC", "Dec 1, 2016 at 11:59pm (UTC)"),
        ("0001-01-01T00:00:00Z", "", ""),
        ("1970-01-01T00:00:00Z", "", ""),
        ("", "", ""),
    ],
)
def test_a_time_is_shown_in_utc_and_an_unset_one_is_blank(given_time: str, short: str, long: str) -> None:
    assert output.time(given_time) == short
    assert output.long_time(given_time) == long


def test_yaml_shows_lines_as_lines_and_leaves_plain_what_can_be_plain() -> None:
    script = {"user.user-data": "#cloud-config\npackages:\n- vim\n", "mac": "00:16:3e:29:96:9f", "e": "1e3"}
    assert output.yaml(script) == (
        'user.user-data: |\n  #cloud-config\n  packages:\n  - vim\nmac: 00:16:3e:29:96:9f\ne: "1e3"\n'
    )
    assert yaml.safe_load(output.yaml(script)) == script


def test_yaml_quotes_what_looks_like_another_type() -> None:
    assert output.yaml(
        {"config": {"limits.cpu": "2", "security.nesting": "true"}, "devices": {}, "profiles": []}
    ) == ('config:\n  limits.cpu: "2"\n  security.nesting: "true"\ndevices: {}\nprofiles: []\n')
