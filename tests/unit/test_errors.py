import pytest

from wardian.errors import InvalidInput, WardianError


@pytest.mark.parametrize(
    ("message", "told"),
    [("plain", "plain"), ("a\nb", "a\\nb"), ("a\r\nb\n", "a\\nb"), ("a\x0bb\u2028c", "a\\nb\\nc"), ("", "")],
)
def test_a_message_is_one_line(message: str, told: str) -> None:
    assert str(InvalidInput(message)) == told


def test_one_without_a_message_is_empty() -> None:
    assert str(WardianError()) == ""
