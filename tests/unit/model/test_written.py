"""model/written.py: YAML as people write it."""

import pytest
import yaml

from wardian.model import written


def test_values_of_keys_are_text_as_written() -> None:
    text = """
config: {limits.cpu: 2, security.nesting: true, user.version: 1.10, user.day: 2020-01-02, 5: on}
devices:
  tty: {mode: 0666, path: /dev/ttyS0}
properties: {serial: 20240101}
"""
    assert written.parse(text) == {
        "config": {
            "limits.cpu": "2",
            "security.nesting": "true",
            "user.version": "1.10",
            "user.day": "2020-01-02",
            "5": "on",
        },
        "devices": {"tty": {"mode": "0666", "path": "/dev/ttyS0"}},
        "properties": {"serial": "20240101"},
    }


def test_all_else_stays_what_it_is_and_null_is_null() -> None:
    text = "{ephemeral: true, size: 5, list: [1, {config: {a: 1}}], config: {a: , b: ~}}"
    assert written.parse(text) == {
        "ephemeral": True,
        "size": 5,
        "list": [1, {"config": {"a": "1"}}],
        "config": {"a": None, "b": None},
    }
    assert written.parse("") is None


@pytest.mark.parametrize("text", ["a: [", "[" * 5000, "a: 1\n---\nb: 2", "\x00"])
def test_what_is_no_document_is_said_to_be_none(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        written.parse(text)
