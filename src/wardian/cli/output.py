"""What people and scripts read: tables, sizes, times, YAML, CSV, JSON (spec/cli.md section 6)."""

from __future__ import annotations

import sys
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FORMATS = ("table", "json", "csv", "yaml", "compact")
UNORDERED = ("config", "devices", "expanded_config", "expanded_devices", "properties")
WIDEST = 2**31 - 1
"""Lines of YAML are not folded."""
UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table with borders; cells may have several lines."""
    cells = [[cell.split("\n") for cell in row] for row in rows]
    widths = [
        max([width(header), *(width(line) for row in cells for line in row[number])])
        for number, header in enumerate(headers)
    ]
    border = "+" + "".join("-" * (w + 2) + "+" for w in widths) + "\n"
    lines = [border, "|"]
    for header, wide in zip(headers, widths, strict=True):
        spare = wide - width(header)
        lines.append(" " + " " * (spare // 2) + header + " " * (spare - spare // 2) + " |")
    lines += ["\n", border]
    for row in cells:
        for number in range(max((len(cell) for cell in row), default=0)):
            lines.append("|")
            for cell, wide in zip(row, widths, strict=True):
                text = cell[number] if number < len(cell) else ""
                lines.append(" " + text + " " * (wide - width(text)) + " |")
            lines.append("\n")
        lines.append(border)
    return "".join(lines)


def compact(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns by blanks, without borders."""
    flat = [list(headers)] + [[cell.replace("\n", " ") for cell in row] for row in rows]
    widths = [max(width(row[number]) for row in flat) for number in range(len(headers))]
    lines = []
    for row in flat:
        padded = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
        lines.append(("  " + "  ".join(padded)).rstrip() + "\n")
    return "".join(lines)


def csv(rows: Sequence[Sequence[str]]) -> str:
    """Comma-separated values; what needs quotes has them."""

    def quoted(cell: str) -> str:
        needs = any(c in cell for c in ',"\n')
        return '"' + cell.replace('"', '""') + '"' if needs else cell

    return "".join(",".join(quoted(cell) for cell in row) + "\n" for row in rows)


def yaml(content: Any) -> str:
    """Block style, in the given order of keys: text like a value in quotes, several lines as such."""
    import yaml as library

    base: Any = getattr(library, "CSafeDumper", library.SafeDumper)

    class Dumper(base):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        tag = dumper.resolve(library.ScalarNode, value, (True, False))
        looks_else = tag != "tag:yaml.org,2002:str" or _is_number(value) or value in ("y", "Y", "n", "N")
        style = "|" if "\n" in value else '"' if looks_else else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    shown: str = library.dump(
        _ordered(content),
        Dumper=Dumper,
        default_flow_style=False,
        sort_keys=False,
        width=WIDEST,
        allow_unicode=True,
    )
    return shown


def _ordered(content: Any) -> Any:
    """The same, with the maps in the order of their keys that have no order of their own."""
    if isinstance(content, dict):
        return {k: sorted_maps(v) if k in UNORDERED else _ordered(v) for k, v in content.items()}
    return [_ordered(one) for one in content] if isinstance(content, list) else content


def sorted_maps(value: Any) -> Any:
    """The same, with all maps in it in the order of their keys."""
    if isinstance(value, dict):
        return {key: sorted_maps(one) for key, one in sorted(value.items())}
    return [sorted_maps(one) for one in value] if isinstance(value, list) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_format(form: str) -> None:
    """ApiError unless it is one."""
    if form not in FORMATS:
        from wardian.client.connection import ApiError

        raise ApiError(f'invalid format "{form}"')


def show(form: str, headers: Sequence[str], rows: Sequence[Sequence[str]], objects: Any) -> None:
    """Print in the format asked for; json and yaml show the objects themselves."""
    if form == "json":
        import json

        sys.stdout.write(json.dumps(objects) + "\n")
    elif form == "yaml":
        sys.stdout.write(yaml(objects))
    elif form == "csv":
        sys.stdout.write(csv(rows))
    elif form == "compact":
        sys.stdout.write(compact(headers, rows))
    else:
        sys.stdout.write(table(headers, rows))


def size(number: int) -> str:
    """A size for people: 123B, 1.20kB, 54.32MB."""
    if number < 1024:
        return f"{number}B"
    value = float(number)
    for unit in UNITS:
        value /= 1024
        if value < 1024 or unit == UNITS[-1]:
            return f"{value:.2f}{unit}"
    return ""


def time(text: str) -> str:
    """`2016/03/20 02:11 UTC` of an RFC 3339 time, or "" if it is unset."""
    if not text or text.startswith(("0001", "1970-01-01T00:00:00")):
        return ""
    return f"{text[:10].replace('-', '/')} {text[11:16]} UTC"


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def long_time(text: str) -> str:
    """`Mar 20, 2016 at 2:11am (UTC)`, or "" if it is unset."""
    if not time(text):
        return ""
    year, month, day, hour = text[:4], int(text[5:7]), int(text[8:10]), int(text[11:13])
    clock = f"{hour % 12 or 12}:{text[14:16]}{'am' if hour < 12 else 'pm'}"
    return f"{MONTHS[month - 1]} {day}, {year} at {clock} (UTC)"
