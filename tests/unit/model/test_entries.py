"""Streams of files: what is written is read back, and nothing else is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.model import entries


def reader(data: bytes) -> Any:
    """A function that gives so many of the bytes."""
    rest = bytearray(data)

    def exactly(count: int) -> bytes:
        if len(rest) < count:
            raise EOFError
        piece = bytes(rest[:count])
        del rest[:count]
        return piece

    return exactly


@given(
    st.dictionaries(
        st.text(max_size=10), st.one_of(st.text(max_size=50), st.integers(), st.none()), max_size=5
    )
)
def test_entries_come_back(entry: dict[str, Any]) -> None:
    assert entries.read_entry(reader(entries.entry_frame(entry))) == entry


def test_names_that_are_no_utf8_come_back() -> None:
    entry = {"path": "caf\udce9"}
    assert entries.read_entry(reader(entries.entry_frame(entry))) == entry


@given(st.binary(max_size=40))
def test_anything_else_is_malformed_or_ends(data: bytes) -> None:
    try:
        assert isinstance(entries.read_entry(reader(data)), dict)
    except (entries.Malformed, EOFError):
        pass


@given(st.text(max_size=30))
def test_paths_lead_down_or_are_refused(path: str) -> None:
    try:
        parts = entries.parts_of(path)
    except entries.Malformed:
        return
    assert "/".join(parts) == path
    assert not {"", ".", ".."} & set(parts) and not any("/" in part or "\0" in part for part in parts)


@pytest.mark.parametrize("value", [-1, 0o10000, True, "1", 1.0, [1]])
def test_numbers_that_are_none(value: object) -> None:
    with pytest.raises(entries.Malformed):
        entries.number_of({"mode": value}, "mode", 0o7777)
