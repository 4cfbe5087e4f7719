"""lxc storage: storage pools."""

from __future__ import annotations

import sys

from wardian.cli import editor, output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, dispatch, need
from wardian.client.connection import ApiError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHOWN = ("name", "driver", "description", "config", "status", "used_by")
WRITABLE = ("config", "description")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    if words[:1] == ["volume"]:
        from wardian.cli import storage_volume

        return storage_volume.run(session, values, words[1:])
    return dispatch(SUBCOMMANDS, session, values, words)


def _url(name: str) -> str:
    return f"/1.0/storage-pools/{quote(name)}"


def pairs(words: list[str]) -> dict[str, str]:
    """The map of words like key=value."""
    if not all("=" in word for word in words):
        raise UsageError
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _list(session: Session, values: Values, words: list[str]) -> None:
    need(words, 0, 1)
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    found = daemon.get("/1.0/storage-pools?recursion=1")
    headers = ("NAME", "DRIVER", "SOURCE", "DESCRIPTION", "USED BY", "STATE")
    rows = [
        [
            pool["name"],
            pool["driver"],
            pool["config"].get("source", ""),
            pool["description"],
            str(len(pool["used_by"])),
            pool["status"].upper(),
        ]
        for pool in found
    ]
    output.show(values.format, headers, rows, found)


def _show(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found = daemon.get(_url(name))
    if values.resources:
        sys.stdout.write(output.yaml(daemon.get(f"{_url(name)}/resources")))
        return
    sys.stdout.write(output.yaml({key: found[key] for key in SHOWN}))


def _info(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found, space = daemon.get(_url(name)), daemon.get(f"{_url(name)}/resources")["space"]
    shown: dict[str, Any] = {
        "info": {key: found[key] for key in ("description", "driver", "name")}
        | {"space used": output.size(space["used"]), "total space": output.size(space["total"])},
        "used by": {},
    }
    for url in found["used_by"]:
        kind, _, thing = url.removeprefix("/1.0/").partition("/")
        if kind == "storage-pools":
            kind, thing = "volumes", thing.rpartition("/")[2]
        shown["used by"].setdefault(kind, []).append(thing)
    sys.stdout.write(output.yaml(shown))


def _create(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2)
    daemon, name = session.server(words[0])
    body = {"name": name, "driver": words[1], "config": pairs(words[2:])}
    daemon.request("POST", "/1.0/storage-pools", body)
    print(f"Storage pool {name} created")


def _delete(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    daemon.request("DELETE", _url(name))
    print(f"Storage pool {name} deleted")


def _set(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2)
    daemon, name = session.server(words[0])
    change = {words[1]: words[2]} if len(words) == 3 and "=" not in words[1] else pairs(words[1:])
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


def _edit(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    present = daemon.get(_url(name))

    def apply(wanted: dict[str, Any]) -> None:
        daemon.request("PUT", _url(name), {key: wanted.get(key) for key in WRITABLE})

    editor.edit({key: present[key] for key in SHOWN}, editor.POOL, apply)


SUBCOMMANDS: dict[str, Any] = {
    "list": _list,
    "show": _show,
    "info": _info,
    "create": _create,
    "delete": _delete,
    "set": _set,
    "get": _get,
    "unset": _unset,
    "edit": _edit,
}
