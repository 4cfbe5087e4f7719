from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import trust
from wardian.model.trust import Attempts, Invitation, JoinToken

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = JoinToken("laptop", "ab" * 32, ("10.0.0.1:8443", "[fd00::1]:8443"), "c" * 64, "2026-01-02T00:00:00Z")


def test_a_token_is_one_word_that_reads_back() -> None:
    text = TOKEN.encode()
    assert not set(text) & set(" \n:/-")
    assert trust.decode_token(text) == TOKEN


@given(st.text(max_size=200))
def test_a_password_is_no_token(text: str) -> None:
    assert trust.decode_token(text) is None


@pytest.mark.parametrize(
    "text",
    ["bnVsbA==", "e30=", "W10=", "eyJjbGllbnRfbmFtZSI6IDF9", TOKEN.encode() * 100, TOKEN.encode()[:-8]],
)
def test_half_a_token_is_none(text: str) -> None:
    assert trust.decode_token(text) is None


def test_an_invitation_admits_its_secret_until_it_expires() -> None:
    made = Invitation(
        name="x", secret_hash=trust.hashed("secret"), created_at=NOW, expires_at=NOW + timedelta(hours=1)
    )
    assert made.admits("secret", NOW)
    assert not made.admits("secret", NOW + timedelta(hours=1))
    assert not made.admits("other", NOW)
    assert "secret" not in repr(made.secret_hash)


@pytest.mark.parametrize("name", ["laptop", "me@host.example", "9", "a" * 128, "büro"])
def test_a_name_that_is_good(name: str) -> None:
    trust.check_name(name)


@pytest.mark.parametrize("name", ["", " ", "-x", ".x", "a/b", "a b", "a\nb", "a" * 129, "../x", "a:b"])
def test_a_name_that_is_not(name: str) -> None:
    with pytest.raises(InvalidInput, match='field "name"'):
        trust.check_name(name)


@pytest.mark.parametrize(
    ("text", "span"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800), ("999999d", 86399913600)]
)
def test_a_length_of_time(text: str, span: int) -> None:
    assert trust.parse_span(text) == timedelta(seconds=span)


@pytest.mark.parametrize("text", ["", "0s", "1", "h", "-1h", "1.5h", "1y", "1h 1m", "9999999d", "٣h"])
def test_no_length_of_time(text: str) -> None:
    with pytest.raises(InvalidInput):
        trust.parse_span(text)


def test_a_few_tries_at_once_then_one_every_ten_seconds() -> None:
    attempts = Attempts()
    assert [attempts.take("a", 100.0) for _ in range(7)] == [0, 0, 0, 0, 0, 10, 10]
    assert attempts.take("b", 100.0) == 0
    assert attempts.take("a", 109.0) == pytest.approx(1)
    assert attempts.take("a", 110.0) == 0
    assert attempts.take("a", 110.0) == pytest.approx(10)


def test_a_right_answer_costs_nothing() -> None:
    attempts = Attempts()
    for _ in range(100):
        assert attempts.take("a", 1.0) == 0
        attempts.give_back("a")


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 0.01)), max_size=800))
def test_many_guessers_together_get_no_further_than_the_rate_for_all(tries: list[tuple[int, float]]) -> None:
    attempts, now, allowed = Attempts(), 0.0, 0
    for source, pause in tries:
        now += pause
        allowed += attempts.take(str(source), now) == 0
    assert allowed <= 60 + now + 1
    assert len(attempts) <= 120


def test_sources_are_forgotten_once_they_have_all_their_tries_again() -> None:
    attempts = Attempts()
    for number in range(5000):
        attempts.take(str(number), float(number))
    assert len(attempts) <= 60
