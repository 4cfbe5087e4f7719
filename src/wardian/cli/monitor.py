"""lxc monitor: events of a server as they happen."""

from __future__ import annotations

import sys

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, need
from wardian.client import jsontext
from wardian.client.connection import ApiError
from wardian.client.websocket import TEXT, open_websocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMATS = ("yaml", "json", "pretty")
LEVELS = ("debug", "info", "warning", "error", "critical")
SHORT = {"dbug": "debug", "warn": "warning", "eror": "error", "crit": "critical"}


def run(session: Session, values: Values, words: list[str]) -> int:
    """Print events until interrupted."""
    need(words, 0, 1)
    form = "pretty" if values.pretty else values.format
    if form not in FORMATS:
        raise ApiError(f'invalid format "{form}"; use {", ".join(FORMATS)}')
    least = _level(values.loglevel) if values.loglevel else 0
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    query = f"?type={','.join(values.type)}" if values.type else ""
    events = open_websocket(daemon.place, f"/1.0/events{query}")
    try:
        while not events.closed:
            for kind, payload in events.receive():
                event = jsontext.loads(payload) if kind == TEXT else {}
                if event and not (event["type"] == "logging" and _level(event["metadata"]["level"]) < least):
                    sys.stdout.write(_shown(event, form))
                    sys.stdout.flush()
    except KeyboardInterrupt:
        events.close()
    return 0


def _level(name: str) -> int:
    plain = SHORT.get(name.lower(), name.lower())
    if plain not in LEVELS:
        raise ApiError(f'invalid level "{name}"; use {", ".join(LEVELS)}')
    return LEVELS.index(plain)


def _shown(event: dict[str, Any], form: str) -> str:
    if form == "json":
        return f"{jsontext.dumps(event)}\n"
    if form == "yaml":
        return output.yaml(dict(sorted(event.items()))) + "\n"
    return _line(event)


def _line(event: dict[str, Any]) -> str:
    """Time, kind and what matters of an event."""
    about = event["metadata"]
    if event["type"] == "logging":
        more = " ".join(f"{key}={value}" for key, value in (about.get("context") or {}).items())
        what = f"{about['level'].upper():<8} {about['message']} {more}"
    elif event["type"] == "operation":
        what = f"ID: {about['id']}, {about['description']}: {about['status']} {about['err'] or ''}"
    else:
        what = f"{about['action']} {about['source']}"
    return f"{event['timestamp'][:19].replace('T', ' ')} {event['type']:<10} {what}".rstrip() + "\n"
