"""JSON bodies as values of a type; what is wrong is said by field, e.g. `field "config.limits.cpu": ...`."""

import re
from typing import Any, TypeVar

import msgspec

from wardian.errors import InvalidInput

T = TypeVar("T")

_WITH_PATH = re.compile(r"(?P<text>.*) - at `\$(?P<path>[^`]*)`", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")
_NAMED_FIELD = re.compile(r"Object (?P<problem>contains unknown|missing required) field `(?P<field>[^`]*)`")


def decode(body: bytes, kind: type[T]) -> T:
    """The JSON text as a value of this type; InvalidInput says where it is wrong."""
    try:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError as error:
            raise InvalidInput(_explained(str(error), msgspec.json.decode(body), kind)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput("the body is nested too deeply") from error


def _explained(message: str, body: Any, kind: type[Any]) -> str:
    """msgspec's message with the field in front, in words for people."""
    found = _WITH_PATH.fullmatch(message)
    text, path = (found["text"], found["path"]) if found else (message, "")
    field = ".".join(_names(path, body, kind))
    if named := _NAMED_FIELD.fullmatch(text):
        whole = f"{field}.{named['field']}" if field else named["field"]
        return f'unknown field "{whole}"' if "unknown" in named["problem"] else f'field "{whole}" is missing'
    text = re.sub(r"\bstr\b", "string", text).replace("`", "").replace(" | ", " or ")
    text = text[0].lower() + text[1:]
    return f'field "{field}": {text}' if field else f"the body: {text}"


def _names(path: str, body: Any, kind: type[Any]) -> list[str]:
    """The names on a path like `.config[...]`, where msgspec does not tell which key it means."""
    node = body
    names: list[str] = []
    for step in _STEP.finditer(path):
        name: str | int | None
        if step["field"]:
            name = step["field"]
        elif step["index"]:
            name = int(step["index"])
        else:
            name = _wrong_key(body, node, kind)
        if name is None:
            break
        names.append(str(name))
        node = node[name]
    return names


def _wrong_key(whole: Any, node: dict[str, Any], kind: type[Any]) -> str | None:
    """Which key of `node`, a part of `whole`, makes it invalid; the others are taken out of it.

    None: all are right here, the wrong one was overwritten by another of the same name.
    """
    entries = dict(node)
    for key, value in entries.items():
        node.clear()
        node[key] = value
        try:
            msgspec.convert(whole, kind)
        except msgspec.ValidationError:
            return key
    return None
