"""MAC addresses that are chosen for containers."""

import random

import pytest

from wardian.core import containers


def test_one_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\0\0\1", b"\0\0\1", b"\0\0\2"])
    monkeypatch.setattr(random.SystemRandom, "randbytes", lambda self, count: next(drawn))
    assert containers.random_hwaddr({"00:16:3e:00:00:01"}) == "00:16:3e:00:00:02"
