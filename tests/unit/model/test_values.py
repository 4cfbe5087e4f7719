"""Types of values that keys and devices share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import values


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00:16:3e:00:00",
        "01:16:3e:00:00:01",
        "00:00:00:00:00:00",
        "00-16-3e-00-00-01",
        "zz:16:3e:00:00:01",
    ],
)
def test_a_mac_address_is_one_that_an_interface_can_have(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not a unicast MAC address"):
        values.parse_hwaddr(text)


def test_a_mac_address_is_written_in_lower_case() -> None:
    assert values.parse_hwaddr("00:16:3E:AA:BB:CC") == "00:16:3e:aa:bb:cc"


@pytest.mark.parametrize("text", ["..", "/a/../b", "/./a", "//", "."])
def test_a_mount_point_stays_in_the_container(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not a plain path"):
        values.MOUNT_POINT.check(text)


@pytest.mark.parametrize("text", ["/", "/srv", "srv/www", "/mnt/data/", "/a..b/.c"])
def test_a_mount_point_may_be(text: str) -> None:
    values.MOUNT_POINT.check(text)


def test_a_source_is_absolute() -> None:
    values.HOST_PATH.check("/srv/with blanks")
    with pytest.raises(InvalidInput, match=r"not an absolute path"):
        values.HOST_PATH.check("srv")


@given(st.text())
def test_quoted_text_fits_on_one_line(text: str) -> None:
    assert values.quoted(text).isprintable()
