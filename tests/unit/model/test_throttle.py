"""Limits of disks as control files."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import throttle
from wardian.model.throttle import Throttle, change, knobs, of_disk


def test_bytes_and_operations() -> None:
    assert of_disk({"limits.read": "10MB", "limits.write": "20iops"}, "7:0") == Throttle(
        "7:0", read_bps=10 << 20, write_iops=20
    )
    assert of_disk({"limits.read": "1MB", "limits.max": "2MB"}, "7:0") == Throttle(
        "7:0", read_bps=2 << 20, write_bps=2 << 20
    )


@pytest.mark.parametrize("text", ["0", "0iops", "-1", "many", "10 iops", "1MB\n"])
def test_no_limit_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        throttle.parse(text)


def test_disks_on_one_device_are_averaged() -> None:
    found = [Throttle("7:0", read_bps=100), Throttle("7:0", read_bps=300, write_iops=5), Throttle("8:0")]
    assert knobs(found, "v1") == [
        ("blkio.throttle.read_bps_device", "7:0 200"),
        ("blkio.throttle.write_iops_device", "7:0 5"),
    ]
    assert knobs(found[:2], "v2") == [("io.max", "7:0 rbps=200 riops=max wbps=max wiops=5")]


def test_limits_that_are_gone_are_lifted() -> None:
    old, new = [Throttle("7:0", read_bps=1)], [Throttle("8:0", write_bps=2)]
    assert change(old, new, "v1") == [
        ("blkio.throttle.read_bps_device", "7:0 0"),
        ("blkio.throttle.write_bps_device", "8:0 2"),
    ]
    assert change(old, new, "v2") == [
        ("io.max", "7:0 rbps=max riops=max wbps=max wiops=max"),
        ("io.max", "8:0 rbps=max riops=max wbps=2 wiops=max"),
    ]
    assert change(old, old, "v1") == []
