import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, field

from wardian.api import bodies
from wardian.errors import InvalidInput


class Inner(Struct, forbid_unknown_fields=True):
    type: str
    base_image: str = field(default="", name="base-image")


class Body(Struct, forbid_unknown_fields=True):
    source: Inner
    name: str = ""
    count: int | None = None
    command: list[str] = []
    config: dict[str, str | None] = {}
    devices: dict[str, dict[str, str]] = {}


WRONG = [
    (b"", "the body is not valid JSON: Input data was truncated"),
    (b'{"source":', "the body is not valid JSON: Input data was truncated"),
    (b'{"source": x}', "the body is not valid JSON: JSON is malformed: invalid character (byte 11)"),
    (b"[]", "the body: expected object, got array"),
    (b"null", "the body: expected object, got null"),
    (b"{}", 'field "source" is missing'),
    (b'{"source": {}}', 'field "source.type" is missing'),
    (b'{"source": {"type": "a", "tpye": "b"}}', 'unknown field "source.tpye"'),
    (b'{"source": {"type": "a"}, "nmae": 1}', 'unknown field "nmae"'),
    (b'{"source": {"type": 1}}', 'field "source.type": expected string, got int'),
    (
        b'{"source": {"type": "a", "base-image": []}}',
        'field "source.base-image": expected string, got array',
    ),
    (b'{"source": {"type": "a"}, "count": "1"}', 'field "count": expected int or null, got string'),
    (b'{"source": {"type": "a"}, "command": ["a", 2]}', 'field "command.1": expected string, got int'),
    (
        b'{"source": {"type": "a"}, "config": {"limits.cpu": "1", "limits.memory": 5, "z": "1"}}',
        'field "config.limits.memory": expected string or null, got int',
    ),
    (
        b'{"source": {"type": "a"}, "devices": {"root": {"path": "/"}, "eth0": {"mtu": 1500}}}',
        'field "devices.eth0.mtu": expected string, got int',
    ),
    (
        b'{"source": {"type": "a"}, "devices": {"root": {"path": "/"}, "eth0": null}}',
        'field "devices.eth0": expected object, got null',
    ),
    (
        b'{"source": {"type": "a"}, "config": {"twice": 1, "twice": "1"}}',
        'field "config": expected string or null, got int',
    ),
    (
        b'{"source": {"type": "\xff"}}',
        "the body is not valid JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
]


@pytest.mark.parametrize(("body", "message"), WRONG)
def test_a_wrong_body_is_refused_naming_the_place(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        bodies.decode(body, Body)
    assert str(caught.value) == message


def test_a_right_body_becomes_its_value() -> None:
    body = bodies.decode(b'{"source": {"type": "image"}, "config": {"a": null}}', Body)
    assert (body.source.type, body.config) == ("image", {"a": None})


def test_a_body_that_is_nested_very_deeply_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        bodies.decode(b"[" * 100_000, Any)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["source", "name", "count", "command", "config", "devices"]) | st.text(max_size=4)


@given(st.dictionaries(names, json_values, max_size=4), st.binary(max_size=4))
def test_whatever_is_sent_is_either_taken_or_refused_in_one_line(body: dict[str, Any], tail: bytes) -> None:
    try:
        bodies.decode(json.dumps(body).encode() + tail, Body)
    except InvalidInput as error:
        assert str(error)
