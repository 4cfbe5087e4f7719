"""lxc storage volume: volumes that belong to no container."""

from __future__ import annotations

import sys

from wardian.cli import editor, output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHOWN = ("name", "type", "description", "config", "created_at", "used_by")
WRITABLE = ("config", "description")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand; the first word after it is always `[remote:]POOL`."""
    if len(words) < 2 or words[0] not in SUBCOMMANDS:
        raise UsageError
    words = _apart(words)
    function, least, most = SUBCOMMANDS[words[0]]
    need(words[2:], least, most)
    daemon, pool = session.server(words[1])
    function(session, daemon, pool, words[2:], values)
    return 0


def _apart(words: list[str]) -> list[str]:
    """The words of a copy or move with the source as two: later clients write POOL/VOLUME."""
    pool, slash, volume = words[1].partition("/")
    if words[0] not in ("copy", "move") or not slash:
        return words
    return [words[0], pool, volume, *words[2:]]


def _url(pool: str, name: str = "") -> str:
    """The address of a volume, of `volume/snapshot`, or without a name of all of the pool."""
    base = f"/1.0/storage-pools/{quote(pool)}/volumes/custom"
    volume, _, snapshot = name.partition("/")
    return "/".join(
        [base, *([quote(volume)] if volume else []), *(["snapshots", quote(snapshot)] if snapshot else [])]
    )


def _pairs(words: list[str]) -> dict[str, str]:
    if not all("=" in word for word in words):
        raise UsageError
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _list(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    found = daemon.get(f"{_url(pool)}?recursion=1")
    rows = [[v["type"], v["name"], v["description"], str(len(v["used_by"]))] for v in found]
    output.show(values.format, ("TYPE", "NAME", "DESCRIPTION", "USED BY"), rows, found)


def _show(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    found = daemon.get(_url(pool, words[0]))
    sys.stdout.write(output.yaml({key: found[key] for key in SHOWN if key in found}))


def _info(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    found = daemon.get(_url(pool, words[0]))
    used = daemon.get(f"{_url(pool, words[0])}/state")["usage"]
    lines = [f"Name: {found['name']}", f"Type: {found['type']}", f"Description: {found['description']}"]
    lines += [f"Usage: {output.size(used['used'])}"] if used else []
    lines += [f"Created: {output.time(found['created_at'])}"]
    kept = daemon.get(f"{_url(pool, words[0])}/snapshots?recursion=1")
    lines += ["Snapshots:"] if kept else []
    lines += [f"  {s['name'].partition('/')[2]} (taken at {output.time(s['created_at'])})" for s in kept]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _create(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    daemon.request("POST", _url(pool), {"name": words[0], "config": _pairs(words[1:])})
    print(f"Storage volume {words[0]} created")


def _copy(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    """VOLUME[/SNAPSHOT] [POOL/]NEW: in the same pool unless another one is named."""
    there, name = _place(pool, words[1])
    source = {"type": "copy", "name": words[0], "pool": pool}
    session.run(daemon, "POST", _url(there), {"name": name, "source": source})
    print(f"Storage volume {name} created")


def _place(pool: str, word: str) -> tuple[str, str]:
    """(pool, volume) of the words [POOL/]VOLUME."""
    there, slash, name = word.rpartition("/")
    return (there if slash else pool), name


def _move(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    """VOLUME POOL/[NEW]: into another pool."""
    there, name = _place(pool, words[1])
    session.run(daemon, "POST", _url(pool, words[0]), {"name": name or words[0], "pool": there})
    print(f"Storage volume {words[0]} moved to {there}")


def _rename(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    new = words[1].rpartition("/")[2] if "/" in words[0] else words[1]
    session.run(daemon, "POST", _url(pool, words[0]), {"name": new})
    print(f'Renamed storage volume from "{words[0]}" to "{words[1]}"')


def _delete(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    session.run(daemon, "DELETE", _url(pool, words[0]))
    print(f"Storage volume {words[0]} deleted")


def _snapshot(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    own_name = words[1] if words[1:] else ""
    session.run(daemon, "POST", f"{_url(pool, words[0])}/snapshots", {"name": own_name})


def _restore(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    daemon.request("PUT", _url(pool, words[0]), {"restore": words[1]})


def _attach(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    """VOLUME CONTAINER [DEVICE] PATH: the device is called like the volume unless told otherwise."""
    volume, container, *middle, path = words
    device = middle[0] if middle else volume
    present = daemon.get(container_url(container))
    if device in present["devices"]:
        raise ApiError(f'container "{container}" has a device "{device}" already; give another name')
    options = {"type": "disk", "pool": pool, "source": volume, "path": path}
    daemon.request("PATCH", container_url(container), {"devices": {device: options}})


def _detach(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    volume, container, *named = words
    shown = [
        name
        for name, options in daemon.get(container_url(container))["devices"].items()
        if (options.get("pool"), options.get("source")) == (pool, volume) and (not named or name == named[0])
    ]
    if not shown:
        raise ApiError("No device found for this storage volume")
    if len(shown) > 1:
        raise ApiError("More than one device matches, specify the device name")
    daemon.request("PATCH", container_url(container), {"devices": {shown[0]: None}})


def _set(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    name, *rest = words
    change = {rest[0]: rest[1]} if len(rest) == 2 and "=" not in rest[0] else _pairs(rest)
    daemon.request("PATCH", _url(pool, name), {"config": change})


def _get(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    print(daemon.get(_url(pool, words[0]))["config"].get(words[1], ""))


def _unset(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    if words[1] not in daemon.get(_url(pool, words[0]))["config"]:
        raise ApiError(f"Can't unset key '{words[1]}', it's not currently set")
    daemon.request("PATCH", _url(pool, words[0]), {"config": {words[1]: None}})


def _edit(session: Session, daemon: Connection, pool: str, words: list[str], values: Values) -> None:
    present = daemon.get(_url(pool, words[0]))

    def apply(wanted: dict[str, Any]) -> None:
        session.run(daemon, "PUT", _url(pool, words[0]), {key: wanted.get(key) for key in WRITABLE})

    editor.edit({key: present[key] for key in SHOWN}, editor.VOLUME, apply)


SUBCOMMANDS: dict[str, Any] = {
    "list": (_list, 0, 0),
    "show": (_show, 1, 1),
    "info": (_info, 1, 1),
    "create": (_create, 1, None),
    "copy": (_copy, 2, 2),
    "move": (_move, 2, 2),
    "rename": (_rename, 2, 2),
    "delete": (_delete, 1, 1),
    "snapshot": (_snapshot, 1, 2),
    "restore": (_restore, 2, 2),
    "attach": (_attach, 3, 4),
    "detach": (_detach, 2, 3),
    "set": (_set, 2, None),
    "get": (_get, 2, 2),
    "unset": (_unset, 2, 2),
    "edit": (_edit, 1, 1),
}
"""Name -> function, and how many words follow the pool."""
