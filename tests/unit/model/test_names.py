"""Names: what passes is safe as a host name, a file name, a URL part and a line of a file."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import names

CHECKS: list[Callable[[str], None]] = [
    names.check_container,
    names.check_snapshot,
    names.check_profile,
    names.check_alias,
    names.check_device,
    names.check_pool,
    names.check_interface,
]


@pytest.mark.parametrize("name", ["c1", "C1", "a", "a-b", "x" * 63, "web--1"])
def test_a_container_may_be_called(name: str) -> None:
    names.check_container(name)


@pytest.mark.parametrize(
    "name", ["", "1c", "-c", "c-", "c_1", "c.1", "c 1", "x" * 64, "c1\n", "ü", "c1\0", "٣a"]
)
def test_a_container_may_not_be_called(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Container name isn't a valid hostname\.$"):
        names.check_container(name)


def test_a_slash_in_a_container_name_is_explained() -> None:
    with pytest.raises(InvalidInput, match=r"^The character '/' is reserved for snapshots\.$"):
        names.check_container("c1/snap")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "No name provided"),
        ("a/b", "Profile names may not contain slashes"),
        (".", "Invalid profile name '.'"),
        ("..", "Invalid profile name '..'"),
    ],
)
def test_a_bad_profile_name_is_explained(name: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.check_profile(name)
    assert str(caught.value) == message


def test_a_snapshot_name_has_no_slash() -> None:
    with pytest.raises(InvalidInput, match=r"^Snapshot names may not contain slashes$"):
        names.check_snapshot("a/b")


@pytest.mark.parametrize("name", ["snap0", "before upgrade", "-1", "über", "a.b"])
def test_a_snapshot_may_be_called_almost_anything(name: str) -> None:
    names.check_snapshot(name)


@pytest.mark.parametrize("name", ["debian/trixie", "ubuntu:16.04", "x"])
def test_an_alias_may_have_slashes(name: str) -> None:
    names.check_alias(name)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "a\x1bb", "a" * 129, "\ud800", "a\u2028b", "a\u202eb"])
def test_no_name_is_empty_endless_or_unprintable(check: Callable[[str], None], name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("check", [names.check_device, names.check_pool, names.check_interface])
@pytest.mark.parametrize("name", ["-rf", ".", "..", ".hidden", "a/b", "a b", "a=b", "%d", "$x"])
def test_names_that_reach_a_command_line_are_plain(check: Callable[[str], None], name: str) -> None:
    with pytest.raises(InvalidInput):
        check(name)


def test_an_interface_name_has_at_most_15_characters() -> None:
    names.check_interface("x" * 15)
    with pytest.raises(InvalidInput):
        names.check_interface("x" * 16)


@given(st.text(max_size=70))
def test_an_accepted_container_name_is_one_dns_label(name: str) -> None:
    try:
        names.check_container(name)
    except InvalidInput as e:
        assert str(e).isprintable()
    else:
        assert re.fullmatch(r"[A-Za-z0-9-]{1,63}", name, re.ASCII)
        assert name[0] != "-" and name[-1] != "-"
