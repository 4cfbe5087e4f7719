"""The keys about snapshots: when the daemon takes them, how they are called, how long they stay."""

from wardian.model import schedule, snapshots, values
from wardian.model.key import Key
from wardian.model.values import Type

EXPIRY = Type("duration", "as in `30M`, `12H`, `7d`, `2w`, `3m`, `1y`", snapshots.check_expiry)
KEEP = Type("rule", "as in `24h 7d 4w 12m`", snapshots.parse_keep)
PATTERN = Type("pattern", "text with `%d` or `{{ creation_date }}`", snapshots.check_pattern)
SCHEDULE = Type("schedule", "as in `@daily`, `0 */6 * * *`", schedule.parse)

KEYS = (
    Key(
        "snapshots.expiry",
        EXPIRY,
        "When snapshots that the daemon takes are deleted. Others stay, unless `lxc snapshot --expiry` says "
        "otherwise.",
        live="n/a",
    ),
    Key(
        "snapshots.keep",
        KEEP,
        "Which of the snapshots that the daemon took stay, looked at after each new one: `7d` keeps the "
        "newest of each of the last seven days that have one; likewise `h`, `w`, `m`, `y`.",
        live="n/a",
    ),
    Key(
        "snapshots.pattern",
        PATTERN,
        "Name of snapshots that are given none; `%d` is a number, "
        "`{{ creation_date|date:'2006-01-02' }}` the date in this layout.",
        default="snap%d",
        live="n/a",
    ),
    Key(
        "snapshots.schedule",
        SCHEDULE,
        "When the daemon takes snapshots: cron's syntax in the host's time, or `@hourly`, `@daily`, "
        "`@weekly`, `@monthly`, `@yearly`.",
        live="yes",
    ),
    Key(
        "snapshots.schedule.stopped",
        values.BOOL,
        "Whether it also does while the container is stopped.",
        default="false",
        live="n/a",
    ),
)
