"""Which objects a filter lets through."""

from typing import Any

import pytest

from wardian.errors import InvalidInput
from wardian.model import filters

C1: dict[str, Any] = {
    "name": "c1",
    "status": "Running",
    "status_code": 103,
    "ephemeral": False,
    "config": {"user.prop": "A value", "image.os": "debian"},
    "devices": {"eth0": {"nictype": "bridged"}},
    "profiles": ["default"],
    "update_source": None,
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ("name eq c1", True),
        ("NAME EQ C1", True),
        ("name eq c", False),
        ("name eq c.*", True),
        ("name eq c|c1", True),
        ("name eq ^c", True),
        ("name eq (^c1($|.*)|^c1.*)", True),
        ("name eq (^d($|.*)|^d.*)", False),
        ("name ne c1", False),
        ("not name eq c1", False),
        ("not name ne c1", True),
        ("status_code eq 103 and ephemeral eq false", True),
        ("ephemeral eq true or name eq c1", True),
        ("name eq c1 or name eq c2 and status eq Stopped", False),
        ('config.user.prop eq "a value"', True),
        ("config.image.os eq debian", True),
        ("devices.eth0.nictype eq bridged", True),
        ("devices.eth1.nictype eq bridged", False),
        ("devices.eth1.nictype ne bridged", True),
        ("update_source.protocol eq simplestreams", False),
        ("profiles eq default", False),
        ("name.x eq c1", False),
    ],
)
def test_what_fits(text: str, wanted: bool) -> None:
    assert filters.fits(filters.parse(text, patterns=True), C1) is wanted


@pytest.mark.parametrize(
    "text",
    [
        *("name", "name eq", "name is c1", "name eq c1 name eq c2", "name eq c1 and", "name eq ("),
        *("not", "x" * 5000, " and ".join(["name eq c1"] * 17)),
    ],
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidInput):
        filters.parse(text, patterns=True)


@pytest.mark.parametrize("expression", ["^(a+)+$", "^(a|aa)*$", "(.*)*x(.*)*y$", "^(a{0,14}){0,14}$"])
def test_no_expression_takes_long(expression: str) -> None:
    clauses = filters.parse(f"name eq {expression}", patterns=True)
    assert not filters.fits(clauses, {"name": "a" * 10000 + "!"})


@pytest.mark.parametrize("expression", ["(", "a)", "*", "[a", "\\", "(a{999}){999}", "(?=a)a"])
def test_what_is_no_expression_is_told(expression: str) -> None:
    with pytest.raises(InvalidInput, match="is no expression"):
        filters.parse(f"name eq {expression}", patterns=True)


def test_without_patterns_values_are_plain() -> None:
    assert filters.fits(filters.parse("name eq c1", patterns=False), C1)
    assert not filters.fits(filters.parse("name eq c.", patterns=False), C1)
