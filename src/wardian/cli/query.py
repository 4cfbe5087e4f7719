"""lxc query: any request, its answer as JSON."""

from __future__ import annotations

import json
import sys

from wardian.cli.options import Values
from wardian.cli.session import Session, need
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Send the request; print what is answered."""
    need(words, 1, 1)
    remote, path = _split(session, words[0])
    method = values.request.upper() or ("POST" if values.data else "GET")
    if method not in METHODS:
        raise ApiError(f'unknown method "{values.request}"; use one of {", ".join(METHODS)}')
    if values.wait and values.raw:
        raise ApiError("--wait and --raw do not go together")
    daemon, _ = session.server(remote)
    response = daemon.send(method, path, _data(values.data), {"Content-Type": "application/json"})
    text = response.read()
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:  # a file
        sys.stdout.buffer.write(text)
        return 0
    if values.raw:
        _print(answer)
        return 0
    if answer.get("type") == "error":
        raise ApiError(str(answer.get("error", "")), int(answer.get("error_code", response.status)))
    found = answer.get("metadata")
    if values.wait and answer.get("type") == "async":
        found = daemon.get(f"{answer['operation']}/wait")
    if found is not None:
        _print(found)
    return 1 if values.wait and isinstance(found, dict) and found.get("err") else 0


def _split(session: Session, text: str) -> tuple[str, str]:
    """(`remote:`, path of the API) of a word."""
    named, colon, path = text.partition(":")
    if colon and "/" not in named:
        text, remote = path, f"{named}:"
    else:
        remote = f"{session.config.default}:"
    if not text.startswith("/"):
        raise ApiError(f'"{text}" is no path of the API: it begins with /, as in /1.0/containers')
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ApiError(f'"{text}" has characters that must be escaped, as in %20')
    return remote, text


def _data(text: str) -> bytes:
    if not text:
        return b""
    content = sys.stdin.read() if text == "-" else text
    try:
        json.loads(content)
    except ValueError as error:
        raise ApiError(f"the data are not JSON: {error}") from None
    return content.encode()


def _print(value: Any) -> None:
    print(json.dumps(value, indent="\t", ensure_ascii=False))
