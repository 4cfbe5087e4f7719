"""CPU sets: their texts, and how CPUs are shared out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import cpus


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("8", 8), ("0,2", [0, 2]), ("0-3", [0, 1, 2, 3]), ("1-1", [1]), ("2,0-1,1", [0, 1, 2])],
)
def test_cpus_are_a_number_or_a_set(text: str, expected: int | list[int]) -> None:
    assert cpus.parse(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1,", ",1", "1--2", "3-1", "0-9999", "1 ,2", "1\n"])
def test_other_texts_are_no_cpus(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Invalid cpuset value: "):
        cpus.parse(text)


def test_a_number_of_cpus_gets_the_least_used() -> None:
    usage = {0: 2, 1: 0, 2: 1}
    assert cpus.choose("2", range(4), usage) == [1, 3]
    assert cpus.choose("9", range(4), usage) == [0, 1, 2, 3]


def test_pinning_to_a_cpu_that_is_not_there_is_explained() -> None:
    with pytest.raises(
        InvalidInput, match=r'^limits.cpu "1,7" names CPU 7; this host has 0-3 for containers$'
    ):
        cpus.choose("1,7", range(4), {})


@given(st.lists(st.integers(0, 300), min_size=2, unique=True).map(sorted))
def test_rendered_cpus_read_back_the_same(numbers: list[int]) -> None:
    assert cpus.parse(cpus.render(numbers)) == numbers


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 31), min_size=1),
    st.dictionaries(st.integers(0, 31), st.integers(0, 9)),
)
def test_chosen_cpus_are_the_hosts_and_as_many_as_asked(
    count: int, present: set[int], usage: dict[int, int]
) -> None:
    chosen = cpus.choose(str(count), sorted(present), usage)
    assert set(chosen) <= present
    assert len(chosen) == min(count, len(present))
    left_out = present - set(chosen)
    assert not left_out or max(usage.get(c, 0) for c in chosen) <= min(usage.get(c, 0) for c in left_out)


def test_pin_sets_are_kept_and_counted() -> None:
    sets = cpus.balance({"a": "1", "b": "1", "pinned": "0-0"}, range(3))
    assert sets == {"pinned": [0], "a": [1], "b": [2]}


def test_who_wants_many_chooses_first() -> None:
    assert cpus.balance({"a": "1", "b": "3"}, range(4)) == {"b": [0, 1, 2], "a": [3]}


def test_a_pin_set_loses_the_cpus_that_are_gone() -> None:
    assert cpus.balance({"a": "1-3", "b": "3-3"}, range(3)) == {"a": [1, 2]}


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 9).map(str)), st.integers(1, 8)
)
def test_shared_out_cpus_serve_about_as_many_each(wishes: dict[str, str], count: int) -> None:
    sets = cpus.balance(wishes, range(count))
    assert all(len(sets[name]) == min(int(wish), count) for name, wish in wishes.items())
    used = cpus.usage(sets.values())
    assert max(used[n] for n in range(count)) - min(used[n] for n in range(count)) <= 1
