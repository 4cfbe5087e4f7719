"""--debug and --verbose: what is asked of servers and what they answer, on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from wardian.client.connection import Connection

SECRET = {"password", "secret", "core.trust_password", "secrets", "fds"}
"""Fields whose value is not shown."""


def begin(*, bodies: bool) -> None:
    """Tell of every request from now on; of its content and of the answers only with `bodies`."""

    def watcher(line: str, body: bytes) -> None:
        is_answer = line.isdigit()
        if bodies:
            sys.stderr.write(f"DEBUG {'answer ' if is_answer else ''}{line}\n{_readable(body)}")
        elif not is_answer:
            sys.stderr.write(f"INFO {line}\n")

    Connection.watcher = watcher


def _readable(body: bytes) -> str:
    """The body, indented, without secrets; nothing of one that is no JSON."""
    if not body:
        return ""
    try:
        content = json.loads(body)
    except ValueError:
        return f"    ({len(body)} bytes)\n"
    text = json.dumps(_without_secrets(content), indent=2, sort_keys=True)
    return "".join(f"    {line}\n" for line in text.splitlines())


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "(hidden)" if k in SECRET and v else _without_secrets(v) for k, v in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value
