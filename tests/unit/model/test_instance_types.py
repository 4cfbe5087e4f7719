"""Sizes of machines by name."""

import pytest

from wardian.errors import InvalidInput
from wardian.model.instance_types import limits


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c0.5-m0.2", {"limits.cpu": "1", "limits.cpu.allowance": "50%", "limits.memory": "204MB"}),
        ("c1.5-m4", {"limits.cpu": "2", "limits.cpu.allowance": "75%", "limits.memory": "4096MB"}),
        ("c2-m4", {"limits.cpu": "2", "limits.memory": "4096MB"}),
        ("c2", {"limits.cpu": "2"}),
        ("m2", {"limits.memory": "2048MB"}),
        ("t2.micro", {"limits.cpu": "1", "limits.memory": "1024MB"}),
        ("aws:t2.micro", {"limits.cpu": "1", "limits.memory": "1024MB"}),
        ("gce:f1-micro", {"limits.cpu": "1", "limits.cpu.allowance": "20%", "limits.memory": "614MB"}),
        ("n1-highmem-8", {"limits.cpu": "8", "limits.memory": "53248MB"}),
    ],
)
def test_limits(name: str, expected: dict[str, str]) -> None:
    assert limits(name) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("huge", "doesn't exist: huge"),
        ("azure:t2.micro", "doesn't exist"),
        ("aws:c2-m4", "doesn't exist"),
        ("c2m4", "Bad instance type: c2m4"),
        ("c2-", "Bad"),
        ("-m4", "Bad"),
        ("c0-m0", "Bad"),
        ("", "Bad"),
        ("c2-m4\n", "doesn't exist"),
        ("c99999", "doesn't exist"),
    ],
)
def test_what_is_none_is_refused(name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        limits(name)
