"""lxc operation: what is under way on a server."""

from __future__ import annotations

import sys

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, dispatch, need
from wardian.client.connection import ApiError, Connection, quote

HEADERS = ("ID", "TYPE", "DESCRIPTION", "STATUS", "CANCELABLE", "CREATED")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


def _list(session: Session, values: Values, words: list[str]) -> None:
    need(words, 0, 1)
    output.check_format(values.format)
    daemon, rest = session.server(words[0] if words else f"{session.config.default}:")
    if rest:
        raise UsageError
    by_status = daemon.get("/1.0/operations?recursion=1")
    found = sorted(
        (one for group in by_status.values() for one in group), key=lambda one: str(one["created_at"])
    )
    rows = [
        [
            *(one["id"], one["class"].upper(), one.get("description", ""), one["status"].upper()),
            *("YES" if one["may_cancel"] else "NO", output.time(one["created_at"])),
        ]
        for one in found
    ]
    output.show(values.format, HEADERS, rows, found)


def _one(session: Session, words: list[str]) -> tuple[Connection, str]:
    need(words, 1, 1)
    daemon, id = session.server(words[0])
    if not id:
        raise ApiError("name an operation; `lxc operation list` shows them")
    return daemon, f"/1.0/operations/{quote(id)}"


def _show(session: Session, values: Values, words: list[str]) -> None:
    daemon, path = _one(session, words)
    sys.stdout.write(output.yaml(daemon.get(path)))


def _delete(session: Session, values: Values, words: list[str]) -> None:
    daemon, path = _one(session, words)
    daemon.request("DELETE", path)
    print(f"Operation {path.rpartition('/')[2]} deleted")


SUBCOMMANDS = {"list": _list, "show": _show, "delete": _delete}
