"""When something is due: cron's syntax (crontab(5)), on the host's own clock. Pure.

`MINUTE HOUR DAY MONTH WEEKDAY`, each `*`, a number, a name, a range `1-5`, a step `*/15` or a list of
these; or one or several of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wardian.errors import InvalidInput

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
LONGEST = 200
HORIZON_DAYS = 366 * 9
"""February 29th comes after eight years at most; what is not due by then never is."""


@dataclass(frozen=True)
class Line:
    """One line of a crontab, as the numbers that each field allows."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    any_day: bool
    any_weekday: bool

    def is_day(self, moment: datetime) -> bool:
        """Whether it is due at some time of that day; a day and a weekday that are both given: either."""
        if moment.month not in self.months:
            return False
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return day and weekday
        return day or weekday


def parse(text: str) -> list[Line]:
    """The lines of a schedule; InvalidInput saying which field is wrong."""
    if len(text) > LONGEST:
        raise InvalidInput(f"Invalid value: a schedule has at most {LONGEST} characters")
    words = text.replace(",", " ").split() if text.startswith("@") else []
    if words:
        unknown = [word for word in words if word not in ALIASES]
        if unknown:
            raise InvalidInput(f"Invalid value: {unknown[0]} (not one of {' '.join(ALIASES)})")
        return [_line(ALIASES[word]) for word in words]
    line = _line(text)
    if _next_day(line, datetime(2000, 1, 1)) is None:
        raise InvalidInput(f"Invalid value: {text} (there is no such day)")
    return [line]


def next_run(text: str, after: datetime) -> datetime:
    """The first moment later than `after` at which the schedule is due, to the minute."""
    return min(_next_of(line, after) for line in parse(text))


def _next_of(line: Line, after: datetime) -> datetime:
    begin = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day: datetime | None = begin.replace(hour=0, minute=0)
    while (day := _next_day(line, day)) is not None:
        for hour in sorted(line.hours):
            for minute in sorted(line.minutes):
                found = day.replace(hour=hour, minute=minute)
                if found >= begin:
                    return found
        day += timedelta(days=1)
    raise InvalidInput("the schedule is never due")


def _next_day(line: Line, day: datetime | None) -> datetime | None:
    """That day or the first later one on which the line is due; None if there is none."""
    for _ in range(HORIZON_DAYS):
        if day is None or line.is_day(day):
            return day
        day += timedelta(days=1)
    return None


def _line(text: str) -> Line:
    words = text.split()
    if len(words) != len(FIELDS):
        raise InvalidInput(
            f"Invalid value: {text} (a schedule is `minute hour day month weekday`, or as @daily)"
        )
    found = [_field(word, *field) for word, field in zip(words, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    return Line(
        minutes,
        hours,
        days,
        months,
        frozenset(number % 7 for number in weekdays),
        any_day=words[2].startswith("*"),
        any_weekday=words[4].startswith("*"),
    )


def _field(text: str, name: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        area, slash, step = part.partition("/")
        first, dash, last = area.partition("-")
        try:
            if area == "*":
                low, high = least, most
            else:
                low = _number(first, name)
                high = _number(last, name) if dash else (most if slash else low)
            width = int(step) if slash else 1
        except ValueError:
            raise InvalidInput(f"Invalid value: {part} (not a {name})") from None
        if not (least <= low <= high <= most) or width < 1:
            raise InvalidInput(f"Invalid value: {part} (a {name} is from {least} to {most})")
        found |= set(range(low, high + 1, width))
    return frozenset(found)


def _number(text: str, name: str) -> int:
    listed = {"month": MONTHS, "weekday": WEEKDAYS}.get(name, ())
    if text.lower() in listed:
        return listed.index(text.lower()) + (1 if name == "month" else 0)
    if not text.isascii() or not text.isdigit() or len(text) > 2:
        raise ValueError(text)
    return int(text)
