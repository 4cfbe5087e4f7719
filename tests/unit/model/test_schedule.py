"""Cron's syntax: what is due when, and what is refused."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import schedule

NOW = datetime(2026, 11, 26, 10, 30, 15)  # a Thursday


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", datetime(2026, 11, 26, 10, 31)),
        ("*/15 * * * *", datetime(2026, 11, 26, 10, 45)),
        ("30 10 * * *", datetime(2026, 11, 27, 10, 30)),
        ("0 0 * * mon-fri", datetime(2026, 11, 27)),
        ("0 0 * * sat,7", datetime(2026, 11, 28)),
        ("0 12 1 Jan *", datetime(2027, 1, 1, 12)),
        ("0 0 29 2 *", datetime(2028, 2, 29)),
        ("0 0 13 * 5", datetime(2026, 11, 27)),
        ("5-9/2 3 * * *", datetime(2026, 11, 27, 3, 5)),
        ("10/20 * * * *", datetime(2026, 11, 26, 10, 50)),
        ("@hourly", datetime(2026, 11, 26, 11)),
        ("@daily", datetime(2026, 11, 27)),
        ("@weekly", datetime(2026, 11, 29)),
        ("@yearly, @monthly", datetime(2026, 12, 1)),
    ],
)
def test_a_schedule_is_due(text: str, due: datetime) -> None:
    assert schedule.next_run(text, NOW) == due


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("a * * * *", "*/0 * * * *", "5-1 * * * *", "1- * * * *", "0 0 30 2 *", "@often"),
        *("@daily,@never", "-1 * * * *", "1,,2 * * * *", "\u0663 * * * *", "1 " * 200),
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        schedule.parse(text)


@given(
    st.lists(st.sampled_from(["*", "0", "5", "1-3", "*/2"]), min_size=2, max_size=2),
    st.sampled_from(["*", "1", "31", "*/7"]),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
)
def test_the_next_time_is_the_first_one(times: list[str], day: str, after: datetime) -> None:
    text = f"{times[0]} {times[1]} {day} * *"
    due = schedule.next_run(text, after)
    assert due > after and (due.second, due.microsecond) == (0, 0)
    just_before = due - timedelta(seconds=1)
    assert just_before < after or schedule.next_run(text, just_before) == due
