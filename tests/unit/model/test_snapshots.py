"""Names, durations and retention of snapshots."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import snapshots

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30M", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("12H", datetime(2026, 2, 1, 0, 0, tzinfo=UTC)),
        ("1w 2d", datetime(2026, 2, 9, 12, 0, tzinfo=UTC)),
        ("1m", datetime(2026, 2, 28, 12, 0, tzinfo=UTC)),
        ("1y", datetime(2027, 1, 31, 12, 0, tzinfo=UTC)),
    ],
)
def test_a_duration_ends(text: str, end: datetime) -> None:
    assert snapshots.expires_at(text, NOW) == end


@pytest.mark.parametrize("text", ["", "7", "d", "7x", "-1d", "1d,2d", "1.5d", "99999y", "9999y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        snapshots.expires_at(text, NOW)


@pytest.mark.parametrize("text", ["", "h", "7", "7M", "7 d", "1s"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        snapshots.parse_keep(text)


def test_days_and_weeks_are_kept() -> None:
    times = [NOW - timedelta(hours=6 * number) for number in range(4 * 30)]
    kept = sorted(snapshots.kept(times, "3d 2w"), reverse=True)
    assert [(t.month, t.day, t.hour) for t in kept] == [
        (1, 31, 12),  # today's newest, also the week's
        (1, 30, 18),
        (1, 29, 18),
        (1, 25, 18),  # Sunday of the week before
    ]


times_strategy = st.lists(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), max_size=60
)
rule_strategy = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("hdwmy")), min_size=1, max_size=5
).map(lambda parts: " ".join(f"{count}{unit}" for count, unit in parts))


@given(times_strategy, rule_strategy)
def test_the_newest_is_kept_and_nothing_is_invented(times: list[datetime], rule: str) -> None:
    kept = snapshots.kept(times, rule)
    assert kept <= set(times)
    assert not times or max(times) in kept
    assert len(kept) <= 1 + sum(count for count, _ in snapshots.parse_keep(rule))


@given(times_strategy, rule_strategy)
def test_looking_twice_deletes_nothing_more(times: list[datetime], rule: str) -> None:
    kept = snapshots.kept(times, rule)
    assert snapshots.kept(kept, rule) == kept


@given(times_strategy, rule_strategy, rule_strategy)
def test_a_longer_rule_keeps_more(times: list[datetime], rule: str, more: str) -> None:
    assert snapshots.kept(times, rule) <= snapshots.kept(times, f"{rule} {more}")


@pytest.mark.parametrize(
    ("pattern", "taken", "name"),
    [
        ("", [], "snap0"),
        ("snap%d", ["snap0", "snap7", "other", "snapx"], "snap8"),
        ("day-{{ creation_date|date:'2006-01-02_15-04-05' }}", [], "day-2026-01-31_12-00-00"),
        ('{{creation_date|date:"06%01"}}', [], "26%01"),
        ("{{ creation_date }}", [], "2026-01-31T12:00:00"),
        ("fixed", ["fixed"], "fixed-1"),
        ("fixed", ["fixed", "fixed-1", "fixed-5"], "fixed-6"),
    ],
)
def test_a_pattern_names(pattern: str, taken: list[str], name: str) -> None:
    assert snapshots.next_name(pattern, taken, NOW) == name


@pytest.mark.parametrize("text", ["a/b", "%d%d", "{{ name }}", "{% if x %}", "..", "x" * 200, "a\tb"])
def test_a_pattern_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        snapshots.check_pattern(text)
