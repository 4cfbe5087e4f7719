"""lxc network: managed bridges and the host's interfaces."""

from __future__ import annotations

import sys

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, need
from wardian.client.connection import ApiError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHOWN = ("name", "description", "type", "managed", "config", "used_by")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    if not words or words[0] not in SUBCOMMANDS:
        raise UsageError
    SUBCOMMANDS[words[0]](session, values, words[1:])
    return 0


def _url(name: str) -> str:
    return f"/1.0/networks/{quote(name)}"


def _list(session: Session, values: Values, words: list[str]) -> None:
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    found = daemon.get("/1.0/networks?recursion=1")
    rows = [
        [n["name"], n["type"], "YES" if n["managed"] else "NO", n["description"], str(len(n["used_by"]))]
        for n in found
    ]
    output.show(values.format, ("NAME", "TYPE", "MANAGED", "DESCRIPTION", "USED BY"), rows, found)


def _show(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found = daemon.get(_url(name))
    sys.stdout.write(output.yaml({key: found[key] for key in SHOWN}))
    for line in found["warnings"]:
        sys.stdout.write(f"# warning: {line}\n")


def _pairs(words: list[str]) -> dict[str, str]:
    if not all("=" in word for word in words):
        raise UsageError
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _create(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1)
    daemon, name = session.server(words[0])
    daemon.request("POST", "/1.0/networks", {"name": name, "config": _pairs(words[1:])})
    print(f"Network {name} created")


def _set(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2)
    daemon, name = session.server(words[0])
    change = {words[1]: words[2]} if len(words) == 3 and "=" not in words[1] else _pairs(words[1:])
    daemon.request("PATCH", _url(name), {"config": change})


def _get(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    daemon, name = session.server(words[0])
    print(daemon.get(_url(name))["config"].get(words[1], ""))


def _unset(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    daemon, name = session.server(words[0])
    if words[1] not in daemon.get(_url(name))["config"]:
        raise ApiError(f"Can't unset key '{words[1]}', it's not currently set")
    daemon.request("PATCH", _url(name), {"config": {words[1]: None}})


def _list_leases(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found = daemon.get(f"{_url(name)}/leases")
    rows = [[lease["hostname"], lease["hwaddr"], lease["address"], lease["type"].upper()] for lease in found]
    output.show(values.format, ("HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE"), rows, found)


def _delete(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    daemon.request("DELETE", _url(name))
    print(f"Network {name} deleted")


SUBCOMMANDS: dict[str, Any] = {
    "list": _list,
    "show": _show,
    "create": _create,
    "set": _set,
    "get": _get,
    "unset": _unset,
    "delete": _delete,
    "list-leases": _list_leases,
}
