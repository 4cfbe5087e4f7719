"""lxc profile: configuration that containers share."""

from __future__ import annotations

import sys

from wardian.cli import editor, effects, output
from wardian.cli.config import read_value
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WRITABLE = ("config", "description", "devices")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    if words[:1] == ["device"]:
        from wardian.cli import device

        return device.run(session, "profile", words[1:])
    if not words or words[0] not in SUBCOMMANDS:
        raise UsageError
    function, least, most = SUBCOMMANDS[words[0]]
    need(words[1:], least, most)
    if function in (_set, _unset, _list):
        function(session, words[1:], values)
    else:
        function(session, words[1:])
    return 0


def _url(name: str) -> str:
    return f"/1.0/profiles/{quote(name)}"


def _list(session: Session, words: list[str], values: Values) -> None:
    daemon, name = session.server(words[0] if words else f"{session.config.default}:")
    if name:
        raise ApiError("Cannot provide container name to list")
    found = daemon.get("/1.0/profiles?recursion=1")
    if not values.format:
        for profile in found:
            print(profile["name"])
        return
    output.check_format(values.format)
    rows = [[one["name"], one["description"], str(len(one["used_by"]))] for one in found]
    output.show(values.format, ("NAME", "DESCRIPTION", "USED BY"), rows, found)


def _show(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    found = daemon.get(_url(name))
    sys.stdout.write(
        output.yaml({key: found[key] for key in ("name", "config", "description", "devices", "used_by")})
    )


def _create(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    body: dict[str, Any] = {"name": name}
    if not sys.stdin.isatty() and (text := editor.piped()):
        given = editor.load_object(text, WRITABLE)
        body |= {key: given[key] for key in WRITABLE if key in given}
    daemon.request("POST", "/1.0/profiles", body)
    print(f"Profile {name} created")


def _copy(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    target, new = session.server(words[1])
    found = daemon.get(_url(name))
    body = {key: found[key] for key in WRITABLE}
    target.request("POST", "/1.0/profiles", {**body, "name": new or name})


def _get(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    print(daemon.get(_url(name))["config"].get(words[1], ""))


def _set(session: Session, words: list[str], values: Values) -> None:
    daemon, name = session.server(words[0])
    if len(words) == 3 and "=" not in words[1]:
        change: dict[str, str | None] = {words[1]: read_value(words[2])}
    else:
        if not all("=" in word for word in words[1:]):
            raise UsageError
        change = {key: value for key, _, value in (word.partition("=") for word in words[1:])}
    _patch(daemon, name, change, values)


def _patch(daemon: Connection, name: str, change: dict[str, str | None], values: Values) -> None:
    path = _url(name) + effects.query(dry_run=values.dry_run)
    effects.tell(daemon.request("PATCH", path, {"config": change})[0]["metadata"], dry_run=values.dry_run)


def _unset(session: Session, words: list[str], values: Values) -> None:
    daemon, name = session.server(words[0])
    _patch(daemon, name, {words[1]: None}, values)


def _delete(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    daemon.request("DELETE", _url(name))
    print(f"Profile {name} deleted")


def _edit(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    found, headers = daemon.request("GET", _url(name))
    present = {key: found["metadata"][key] for key in WRITABLE}

    def apply(wanted: dict[str, Any]) -> None:
        body = {key: wanted.get(key) or present[key].__class__() for key in present}
        daemon.request("PUT", _url(name), body, {"If-Match": headers["etag"]})

    editor.edit(present, editor.PROFILE, apply, again="open")


def _apply(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    profiles = [p for p in (words[1] if len(words) > 1 else "").split(",") if p]
    daemon.request("PATCH", container_url(name), {"profiles": profiles})
    print(f"Profiles {','.join(profiles) or '(none)'} applied to {name}")


def _add(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    found, headers = daemon.request("GET", container_url(name))
    profiles = found["metadata"]["profiles"]
    if words[1] in profiles:
        raise ApiError(f"Profile {words[1]} is already in use by {name}")
    change = {"profiles": [*profiles, words[1]]}
    daemon.request("PATCH", container_url(name), change, {"If-Match": headers["etag"]})
    print(f"Profile {words[1]} added to {name}")


def _remove(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    found, headers = daemon.request("GET", container_url(name))
    profiles = found["metadata"]["profiles"]
    if words[1] not in profiles:
        raise ApiError(f"Profile {words[1]} isn't currently applied to {name}")
    change = {"profiles": [profile for profile in profiles if profile != words[1]]}
    daemon.request("PATCH", container_url(name), change, {"If-Match": headers["etag"]})
    print(f"Profile {words[1]} removed from {name}")


def _rename(session: Session, words: list[str]) -> None:
    daemon, name = session.server(words[0])
    target, new = session.server(words[1]) if ":" in words[1] else (daemon, words[1])
    if target is not daemon:
        raise ApiError("Can't rename a profile to another server; use `lxc profile copy`")
    daemon.request("POST", _url(name), {"name": new})
    print(f"Profile {name} renamed to {new}")


SUBCOMMANDS: dict[str, tuple[Any, int, int | None]] = {
    "list": (_list, 0, 1),
    "show": (_show, 1, 1),
    "create": (_create, 1, 1),
    "copy": (_copy, 2, 2),
    "get": (_get, 2, 2),
    "set": (_set, 2, None),
    "unset": (_unset, 2, 2),
    "delete": (_delete, 1, 1),
    "edit": (_edit, 1, 1),
    "rename": (_rename, 2, 2),
    "apply": (_apply, 1, 2),
    "assign": (_apply, 1, 2),
    "add": (_add, 2, 2),
    "remove": (_remove, 2, 2),
}
"""Word -> (function, least and most words after it)."""
