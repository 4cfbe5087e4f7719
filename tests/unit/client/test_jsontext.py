"""The light JSON codec says what the standard one says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.client import jsontext

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_texts_are_those_of_the_standard_codec_and_come_back(value: Any) -> None:
    assert jsontext.dumps(value) == json.dumps(value)
    assert jsontext.loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1] 2", '{"a":}', b"\xff", "{'a': 1}", "[1,]", '"\n"'])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        jsontext.loads(text)


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        jsontext.dumps({"a": {1}})
