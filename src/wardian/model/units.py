"""How values are written: sizes, rates, percentages, booleans (spec/configuration.md section 1).

Every `parse_*` raises InvalidInput with the specified text; the caller says which field it was.
Sizes count in multiples of 1024 and rates in multiples of 1000, whatever the `k` is called.
"""

import re

from wardian.errors import InvalidInput

_TRUE = frozenset(("true", "1", "yes", "on"))
_FALSE = frozenset(("false", "0", "no", "off"))
_BINARY = "kMGTPE"
_SIZES = {"": 0, "B": 0, " bytes": 0} | {
    f"{letter}{tail}": power for power, letter in enumerate(_BINARY, 1) for tail in ("B", "iB")
}
_SIZES |= {"KB": 1, "KiB": 1}
_RATES = {"": 0, "bit": 0} | {f"{letter}bit": power for power, letter in enumerate(_BINARY, 1)}
_NUMBER = re.compile(r"([0-9]{1,19})(.*)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_MOST = 2**63 - 1


BOOLEANS = ("true", "false")
"""How booleans are best written."""


def parse_bool(text: str) -> bool:
    """True for `true 1 yes on`, False for `false 0 no off`, in any case."""
    word = text.lower()
    if word not in _TRUE and word not in _FALSE:
        raise InvalidInput(f"Invalid value for a boolean: {text}")
    return word in _TRUE


def is_true(text: str) -> bool:
    """Whether a checked value says yes; an empty or unset one does not."""
    return text.lower() in _TRUE


def parse_int(text: str) -> int:
    """A signed 64-bit decimal number."""
    if not _INTEGER.fullmatch(text) or not -_MOST - 1 <= int(text) <= _MOST:
        raise InvalidInput(f"Invalid value for an integer: {text}")
    return int(text)


def parse_size(text: str) -> int:
    """Bytes of `N`, `NB`, `N bytes` or `N` with kB MB GB TB PB EB (or KiB ...)."""
    return _scaled(text, _SIZES, 1024)


def shown_bytes(number: float) -> str:
    """A size for people: 123B, 1.20kB, 54.32MB."""
    if number < 1024:
        return f"{number:.0f}B"
    for letter in _BINARY:
        number /= 1024
        if number < 1024 or letter == _BINARY[-1]:
            break
    return f"{number:.2f}{letter}B"


def parse_bits(text: str) -> int:
    """Bits per second of `N` or `N` with kbit Mbit Gbit Tbit Pbit Ebit."""
    return _scaled(text, _RATES, 1000)


def parse_percent(text: str) -> int:
    """The N of `N%`."""
    if not text.endswith("%") or not text[:-1].isascii() or not text[:-1].isdigit() or len(text) > 19:
        raise InvalidInput(f"Invalid value: {text}")
    return int(text[:-1])


def split_list(text: str) -> list[str]:
    """The words of a comma-separated list; none for an empty text."""
    return [word.strip() for word in text.split(",")] if text else []


def _scaled(text: str, suffixes: dict[str, int], base: int) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidInput(f"Invalid integer: {text}")
    number, suffix = match.groups()
    if suffix not in suffixes:
        raise InvalidInput(
            f"Invalid value: {text}" if suffix[:1] in ".," else f"Unsupported suffix: {suffix}"
        )
    value: int = int(number) * base ** suffixes[suffix]
    if value > _MOST:
        raise InvalidInput(f"Invalid value: {text}")
    return value
