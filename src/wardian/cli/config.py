"""lxc config: the configuration of the server and of containers."""

from __future__ import annotations

import sys

from wardian.cli import editor, effects, output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PASSWORD = "core.trust_password"
WRITABLE = ("profiles", "config", "devices", "ephemeral")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    if words[:1] == ["trust"]:
        from wardian.cli import trust

        return trust.run(session, values, words[1:])
    if words[:1] == ["device"]:
        from wardian.cli import device

        return device.run(session, "container", words[1:])
    if words[:1] in (["metadata"], ["template"]):
        from wardian.cli import metadata

        return metadata.run(session, words[0], values, words[1:])
    subcommands = {"get": get, "set": set_, "unset": unset, "show": show, "edit": edit}
    if not words or words[0] not in subcommands:
        raise UsageError
    return subcommands[words[0]](session, values, words[1:])


def _place(session: Session, words: list[str], keys: int) -> tuple[Connection, str, list[str]]:
    """(daemon, container or "" for the server, remaining words) of `[[r:][c]] KEY...`."""
    need(words, keys, keys + 1)
    if len(words) == keys:
        daemon, name = session.server(f"{session.config.default}:")
        return daemon, name, words
    daemon, name = session.server(words[0])
    return daemon, name, words[1:]


def _config(daemon: Connection, name: str) -> dict[str, str | bool]:
    """The keys that are set; those of the server whose value stays hidden are True."""
    path = container_url(name) if name else "/1.0"
    config: dict[str, str | bool] = daemon.get(path)["config"]
    return config


def get(session: Session, values: Values, words: list[str]) -> int:
    """Print a key's own value."""
    daemon, name, (key,) = _place(session, words, 1)
    value = _config(daemon, name).get(key, "")
    print("true" if value is True else value)
    return 0


def read_value(value: str) -> str:
    """The value, read from stdin if it is `-` and stdin is not a terminal."""
    return sys.stdin.read() if value == "-" and not sys.stdin.isatty() else value


def _server_value(key: str, value: str) -> str:
    """The value of a key of the server, a line: `-` reads it, and asks a terminal for a password."""
    if value == "-" and key == PASSWORD and sys.stdin.isatty():
        import getpass

        return getpass.getpass("Trust password: ")
    return value if value != "-" else read_value(value).removesuffix("\n")


def set_(session: Session, values: Values, words: list[str]) -> int:
    """Set keys: `KEY VALUE`, or several `KEY=VALUE`."""
    is_server_key = "." in words[0] if words else False  # no container's name has a dot
    if len(words) >= 2 and all("=" in word for word in words[1:]) and not is_server_key:
        daemon, name = session.server(words[0])
        return _patch(daemon, name, dict(_pair(word) for word in words[1:]), values)
    if words and all("=" in word for word in words):
        daemon, name = session.server(f"{session.config.default}:")
        return _patch(daemon, name, dict(_pair(word) for word in words), values)
    daemon, name, (key, value) = _place(session, words, 2)
    try:
        read = read_value(value) if name else _server_value(key, value)
        return _patch(daemon, name, {key: read}, values)
    except ApiError as error:
        if name or is_server_key or error.code != 400:
            raise
        hint = f"for a container: lxc config set {key} {value} <value>"
        raise ApiError(f"{error}; {hint}", error.code) from None


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _patch(daemon: Connection, name: str, change: dict[str, str | None], values: Values) -> int:
    if values.dry_run and not name:
        raise ApiError("--dry-run is for containers and profiles; keys of the server take effect at once")
    path = container_url(name) + effects.query(dry_run=values.dry_run) if name else "/1.0"
    reply = daemon.request("PATCH", path, {"config": change})[0]
    effects.tell(reply["metadata"] if name else None, dry_run=values.dry_run)
    return 0


def unset(session: Session, values: Values, words: list[str]) -> int:
    """Remove a key."""
    daemon, name, (key,) = _place(session, words, 1)
    if key not in _config(daemon, name):
        raise ApiError(f"Can't unset key '{key}', it's not currently set{'' if name else '.'}")
    return _patch(daemon, name, {key: None}, values)


def show(session: Session, values: Values, words: list[str]) -> int:
    """Print the configuration as YAML; with `--sources` also where each part comes from."""
    need(words, 0, 1)
    daemon, name = session.server(words[0] if words else f"{session.config.default}:")
    if not name:
        sys.stdout.write(output.yaml({"config": daemon.get("/1.0")["config"]}))
        return 0
    found = daemon.get(container_url(name) + ("?sources=1" if values.sources else ""))
    if values.expanded or values.sources:
        found |= {"config": found["expanded_config"], "devices": found["expanded_devices"]}
    shown = view(found)
    if values.sources:
        shown["sources"] = {
            part: {key: f"profile {profile}" if profile else "container" for key, profile in names.items()}
            for part, names in sorted(found["expanded_sources"].items())
        }
    sys.stdout.write(output.yaml(shown))
    return 0


def view(found: dict[str, Any]) -> dict[str, Any]:
    """What `show` and `edit` show of a container, in the order that people know."""
    shown = {
        "name": found["name"],
        "profiles": found["profiles"],
        "config": found["config"],
        "devices": found["devices"],
        "ephemeral": found["ephemeral"],
    }
    return shown | ({"description": found["description"]} if found["description"] else {})


def edit(session: Session, values: Values, words: list[str]) -> int:
    """Edit the configuration as YAML."""
    need(words, 0, 1)
    daemon, name = session.server(words[0] if words else f"{session.config.default}:")
    path = container_url(name) if name else "/1.0"
    found, headers = daemon.request("GET", path)
    present = view(found["metadata"]) if name else {"config": found["metadata"]["config"]}

    def apply(wanted: dict[str, Any]) -> None:
        if not name:
            body = {"config": _server_config(wanted.get("config") or {})}
            daemon.request("PUT", path, body, {"If-Match": headers["etag"]})
            return
        body = {key: wanted[key] for key in (*WRITABLE, "description", "architecture") if key in wanted}
        operation = daemon.request("PUT", path, body, {"If-Match": headers["etag"]})[0]["metadata"]
        finished = daemon.get(f"/1.0/operations/{operation['id']}/wait")
        if finished["status_code"] != 200:
            raise ApiError(finished["err"])

    editor.edit(present, editor.CONTAINER if name else editor.SERVER, apply)
    return 0


def _server_config(wanted: Any) -> Any:
    """As the server takes it: what it shows of a password means "as it is"."""
    if isinstance(wanted, dict) and wanted.get(PASSWORD) == "true":
        return wanted | {PASSWORD: True}
    return wanted
