"""Names, times and retention of snapshots: how long each is kept, and what the next is called. Pure.

Times of `snapshots.expiry` and `--expiry` are sums of numbers with a unit: `1w 2d`, `30M`.
"""

import calendar
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from wardian.errors import InvalidInput
from wardian.model import names

DEFAULT_PATTERN = "snap%d"
LONGEST = 200
MOST = 10_000

_PART = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[MHhdwmy])")
_KEEP = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[Hhdwmy])")
_PLACE = re.compile(
    r"\{\{\s*creation_date\s*(?:\|\s*date\s*:\s*(?P<quote>['\"])(?P<layout>.*?)(?P=quote)\s*)?\}\}"
)
_LAYOUT = (
    *(("2006", "%Y"), ("06", "%y"), ("Jan", "%b"), ("Mon", "%a")),
    *(("01", "%m"), ("02", "%d"), ("15", "%H"), ("04", "%M"), ("05", "%S")),
)
"""How a date is laid out in a pattern: by example, as in `2006-01-02_15-04-05`."""

_STEPS = {
    "M": timedelta(minutes=1),
    "H": timedelta(hours=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


# --- how long ----------------------------------------------------------------------------------


def parse_expiry(text: str) -> list[tuple[int, str]]:
    """(count, unit) of each part of a duration; M minutes, H hours, d days, w weeks, m months, y years."""
    words = text.split()
    found = [_PART.fullmatch(word) for word in words]
    if not words or not all(found) or len(text) > LONGEST:
        raise InvalidInput(f'Invalid value: {text} (a duration is like "7d" or "1w 2d": M H d w m y)')
    return [(int(part["count"]), part["unit"]) for part in found if part]


def check_expiry(text: str) -> None:
    """Refuse what is no duration, or leads out of the calendar from where we are."""
    expires_at(text, datetime(2026, 1, 1))


def expires_at(text: str, moment: datetime) -> datetime:
    """The end of the duration that begins at the moment."""
    try:
        for count, unit in parse_expiry(text):
            if unit in _STEPS:
                moment += count * _STEPS[unit]
            else:
                moment = _months_later(moment, count * (12 if unit == "y" else 1))
    except (OverflowError, ValueError):
        raise InvalidInput(f"Invalid value: {text} (no calendar goes that far)") from None
    return moment


def _months_later(moment: datetime, count: int) -> datetime:
    """The same day so many months later, or the last one of a shorter month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


# --- which are kept ----------------------------------------------------------------------------


def parse_keep(text: str) -> list[tuple[int, str]]:
    """(count, unit) of each part of a retention rule such as `24h 7d 4w 12m`."""
    words = text.split()
    found = [_KEEP.fullmatch(word) for word in words]
    if not words or not all(found) or len(text) > LONGEST:
        raise InvalidInput(f'Invalid value: {text} (a rule is like "24h 7d 4w 12m": h d w m y)')
    return [(int(part["count"]), part["unit"].lower()) for part in found if part]


_PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "h": lambda t: (t.year, t.month, t.day, t.hour),
    "d": lambda t: (t.year, t.month, t.day),
    "w": lambda t: tuple(t.isocalendar()[:2]),
    "m": lambda t: (t.year, t.month),
    "y": lambda t: (t.year,),
}


def kept(times: Iterable[datetime], rule: str) -> set[datetime]:
    """Which of the times a retention rule keeps: the newest of each of the last so many periods.

    `7d` keeps the last snapshot of each of the seven latest days that have one; what any part of
    the rule keeps is kept, and the newest of all always is.
    """
    newest_first = sorted(set(times), reverse=True)
    found = set(newest_first[:1])
    for count, unit in parse_keep(rule):
        newest_of: dict[tuple[int, ...], datetime] = {}
        for time in newest_first:
            newest_of.setdefault(_PERIODS[unit](time), time)
        found |= set(list(newest_of.values())[:count])
    return found


# --- names -------------------------------------------------------------------------------------


def check_pattern(text: str) -> None:
    """Refuse a pattern of which no snapshot name can come."""
    if text.count("%d") > 1:
        raise InvalidInput(f'Invalid value: {text} ("%d" stands for the number, and can be there once)')
    rest = _PLACE.sub("", text)
    if "{{" in rest or "{%" in rest:
        raise InvalidInput(f"Invalid value: {text} (only creation_date can stand between braces)")
    names.check_snapshot(next_name(text, [], datetime(2006, 1, 2, 15, 4, 5)))


def next_name(pattern: str, taken: Iterable[str], moment: datetime) -> str:
    """The name that a pattern gives a snapshot of this moment: one that is not taken.

    `%d` is one more than the highest number there is; without it a second name gets `-1`, `-2`, ...
    """
    text = _PLACE.sub(lambda found: _date(moment, found["layout"]), pattern or DEFAULT_PATTERN)
    taken = set(taken)
    if "%d" not in text:
        if text not in taken:
            return text
        text += "-%d"
        numbers = _numbers(text, taken) or [0]
        return text.replace("%d", str(max(numbers) + 1))
    return text.replace("%d", str(max(_numbers(text, taken), default=-1) + 1))


def _numbers(text: str, taken: Iterable[str]) -> list[int]:
    head, _, tail = text.partition("%d")
    form = re.compile(re.escape(head) + "([0-9]{1,9})" + re.escape(tail))
    return [int(found[1]) for found in map(form.fullmatch, taken) if found]


def _date(moment: datetime, layout: str | None) -> str:
    if not layout:
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    form = layout.replace("%", "%%")
    for example, directive in _LAYOUT:
        form = form.replace(example, directive)
    return moment.strftime(form)
