"""Random names."""

import random

from hypothesis import given
from hypothesis import strategies as st

from wardian.model import names, petnames


@given(st.integers())
def test_a_random_name_is_a_valid_container_name_of_two_words(seed: int) -> None:
    name = petnames.random_name(random.Random(seed))
    names.check_container(name)
    assert len(name.split("-")) == 2
    assert name == name.lower()


def test_there_are_many_names() -> None:
    rng = random.Random(0)
    assert len({petnames.random_name(rng) for _ in range(1000)}) > 950
