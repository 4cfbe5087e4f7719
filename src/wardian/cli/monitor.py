"""lxc monitor: events of a server as they happen."""

from __future__ import annotations

import contextlib
import sys
import time

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, need
from wardian.client import jsontext
from wardian.client.connection import ApiError, Unreachable
from wardian.client.websocket import TEXT, open_websocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wardian.client.connection import Place
    from wardian.client.websocket import WebSocket

FORMATS = ("yaml", "json", "pretty")
LEVELS = ("debug", "info", "warning", "error", "critical")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before the next try to reach a server that has gone; each is twice as long as the one before."""
SHORT = {"dbug": "debug", "warn": "warning", "eror": "error", "crit": "critical"}


def run(session: Session, values: Values, words: list[str]) -> int:
    """Print events until interrupted; a server that goes and comes again is listened to again."""
    need(words, 0, 1)
    form = "pretty" if values.pretty else values.format
    if form not in FORMATS:
        raise ApiError(f'invalid format "{form}"; use {", ".join(FORMATS)}')
    least = _level(values.loglevel) if values.loglevel else 0
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    query = f"?type={','.join(values.type)}" if values.type else ""

    def show(event: dict[str, Any]) -> None:
        if not (event["type"] == "logging" and _level(event["metadata"]["level"]) < least):
            sys.stdout.write(shown(event, form))
            sys.stdout.flush()

    try:
        _follow(daemon.place, f"/1.0/events{query}", show)
    except KeyboardInterrupt:
        return 0
    return 0


def _follow(place: Place, path: str, show: Callable[[dict[str, Any]], None]) -> None:
    """Call `show` with each event. ApiError if the server is not there at first, or does not want us."""
    events = open_websocket(place, path)
    while True:
        with contextlib.closing(events):
            while not events.closed:
                for kind, payload in events.receive():
                    if kind == TEXT:
                        show(jsontext.loads(payload))
        sys.stderr.write("the connection to the server broke off; trying again\n")
        events = _again(place, path)
        sys.stderr.write("connected again; what happened in between is not shown\n")


def _again(place: Place, path: str) -> WebSocket:
    """The next connection, as soon as there can be one."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return open_websocket(place, path)
        except (Unreachable, OSError):  # OSError: it went while we asked
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _level(name: str) -> int:
    plain = SHORT.get(name.lower(), name.lower())
    if plain not in LEVELS:
        raise ApiError(f'invalid level "{name}"; use {", ".join(LEVELS)}')
    return LEVELS.index(plain)


def shown(event: dict[str, Any], form: str) -> str:
    """The text of an event in a format."""
    if form == "json":
        return f"{jsontext.dumps(event)}\n"
    if form == "yaml":
        return output.yaml(output.sorted_maps(event)) + "\n"
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
