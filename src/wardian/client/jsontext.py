"""JSON by CPython's C codec alone: the package around it imports `re` and `enum`, which costs every
`lxc` command 5 ms of its 20. Where the codec is not what we know, the package takes its place.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Options:
    """What the scanner reads its options from (json.decoder.JSONDecoder)."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


scan: Any
encode: Any
try:
    import _json

    make_scanner: Any = _json.make_scanner
    scan = make_scanner(_Options)
    encode = _json.make_encoder(
        None, _refuse, _json.encode_basestring_ascii, None, ": ", ", ", False, False, True
    )
except (ImportError, AttributeError, TypeError):
    import json

    decoder: Any = json.JSONDecoder()
    scan = decoder.scan_once

    def encode(value: Any, _: int) -> Any:
        return json.JSONEncoder().iterencode(value)


def loads(text: str | bytes) -> Any:
    """The value of a JSON text; ValueError if it is none."""
    plain = (text if isinstance(text, str) else text.decode()).strip()
    try:
        value, end = scan(plain, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(plain):
        raise ValueError("more than one JSON value")
    return value


def dumps(value: Any) -> str:
    """The JSON text of a value."""
    return "".join(encode(value, 0))
