"""Values as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import units


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("512 bytes", 512),
        ("1kB", 1024),
        ("1KiB", 1024),
        ("256MB", 256 * 2**20),
        ("2GB", 2 * 2**30),
        ("2GiB", 2 * 2**30),
        ("1TB", 2**40),
        ("1PB", 2**50),
        ("7EB", 7 * 2**60),
    ],
)
def test_a_size_counts_in_multiples_of_1024(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid integer: "),
        ("MB", "Invalid integer: MB"),
        ("-1MB", "Invalid integer: -1MB"),
        ("1.5GB", "Invalid value: 1.5GB"),
        ("1 GB", "Unsupported suffix:  GB"),
        ("1XB", "Unsupported suffix: XB"),
        ("9EB", "Invalid value: 9EB"),
        ("٣", "Invalid integer: ٣"),
    ],
)
def test_a_wrong_size_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.parse_size(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "rate"), [("10Mbit", 10**7), ("1kbit", 1000), ("5", 5), ("1Gbit", 10**9)])
def test_a_rate_counts_in_multiples_of_1000(text: str, rate: int) -> None:
    assert units.parse_bits(text) == rate


def test_a_rate_in_bytes_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^Unsupported suffix: MB$"):
        units.parse_bits("10MB")


@pytest.mark.parametrize("text", ["true", "True", "YES", "1", "on"])
def test_yes_is_written(text: str) -> None:
    assert units.parse_bool(text) is True
    assert units.is_true(text)


@pytest.mark.parametrize("text", ["false", "No", "0", "OFF"])
def test_no_is_written(text: str) -> None:
    assert units.parse_bool(text) is False
    assert not units.is_true(text)


def test_other_words_are_no_booleans() -> None:
    with pytest.raises(InvalidInput, match=r"^Invalid value for a boolean: maybe$"):
        units.parse_bool("maybe")


def test_integers_have_64_bits() -> None:
    assert units.parse_int("-9223372036854775808") == -(2**63)
    for text in ("9223372036854775808", "1.0", "", "0x10", "1_000", " 1", "9" * 5000):
        with pytest.raises(InvalidInput, match=r"^Invalid value for an integer: "):
            units.parse_int(text)


def test_a_percentage_is_a_whole_number() -> None:
    assert units.parse_percent("50%") == 50
    for text in ("50", "%", "-1%", "1.5%", "²%"):
        with pytest.raises(InvalidInput, match=r"^Invalid value: "):
            units.parse_percent(text)


def test_a_list_is_split_at_commas() -> None:
    assert units.split_list("overlay, nf_nat") == ["overlay", "nf_nat"]
    assert units.split_list("") == []


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    for parse in (units.parse_size, units.parse_bits, units.parse_percent, units.parse_int):
        try:
            assert -(2**63) <= parse(text) < 2**63
        except InvalidInput:
            continue


@given(st.integers(0, 2**63 - 1))
def test_plain_numbers_are_sizes(number: int) -> None:
    assert units.parse_size(str(number)) == units.parse_size(f"{number}B") == number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.00kB"),
        (56957077, "54.32MB"),
        (2**30, "1.00GB"),
        (2**72, "4096.00EB"),
    ],
)
def test_sizes_for_people(number: int, text: str) -> None:
    assert units.shown_bytes(number) == text
