"""Patterns match what Python's own expressions match, and never take long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model.patterns import Pattern

ATOMS = st.sampled_from(["a", "B", "c", ".", "[ab]", "[^a]", "[a-c]", r"\.", r"\d", r"\W", "^", "$", "-"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of others."""
    signs = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])
    repeated = st.tuples(inner, signs).map(lambda pair: f"({pair[0]}){pair[1]}")
    either = st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
    return st.one_of(repeated, either, st.lists(inner, min_size=1, max_size=3).map("".join))


@given(st.recursive(ATOMS, larger, max_leaves=6), st.text("abcABC.-1\n", max_size=8))
def test_it_finds_what_python_finds(expression: str, text: str) -> None:
    wanted = re.search(expression.replace("$", r"\Z"), text, re.IGNORECASE | re.ASCII)
    assert Pattern(expression).search(text) == (wanted is not None)


@pytest.mark.parametrize("expression", ["^(a+)+$", "^(a|aa)*$", "(.*)*x(.*)*y", "^(a{0,14}){0,14}$"])
def test_no_expression_takes_long(expression: str) -> None:
    assert Pattern(expression).search("a" * 1000 + "!") is False


@pytest.mark.parametrize(
    "expression",
    ["(", ")", "a)", "*", "a{", "a{2,1}", "a{x}", "[a", "\\", r"\q", "a" * 600, "(a{99}){99}", "(" * 99],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInput):
        Pattern(expression)
