"""lxc list: one request, whatever the number of containers."""

from __future__ import annotations

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "ns46tS"
FAST = "nsacPt"
ACTIVE = ("Running", "Frozen")


def _addresses(container: dict[str, Any], family: str) -> str:
    state = container.get("state") or {}
    if container["status"] not in ACTIVE:
        return ""
    found = [
        f"{address['address']} ({name})"
        for name, interface in (state.get("network") or {}).items()
        if interface["type"] != "loopback"
        for address in interface["addresses"]
        if address["family"] == family and address["scope"] == "global"
    ]
    return "\n".join(sorted(found, reverse=True))


def _pid(container: dict[str, Any]) -> str:
    pid = (container.get("state") or {}).get("pid", 0)
    return str(pid) if pid else ""


COLUMNS: dict[str, tuple[str, Any]] = {
    "n": ("NAME", lambda c: c["name"]),
    "s": ("STATE", lambda c: c["status"].upper()),
    "4": ("IPV4", lambda c: _addresses(c, "inet")),
    "6": ("IPV6", lambda c: _addresses(c, "inet6")),
    "t": ("TYPE", lambda c: "EPHEMERAL" if c["ephemeral"] else "PERSISTENT"),
    "S": ("SNAPSHOTS", lambda c: str(len(c.get("snapshots") or []))),
    "a": ("ARCHITECTURE", lambda c: c["architecture"]),
    "c": ("CREATED AT", lambda c: output.time(c["created_at"])),
    "p": ("PID", _pid),
    "P": ("PROFILES", lambda c: "\n".join(c["profiles"])),
}
"""Letter -> (header, cell)."""

NEEDS = {"4": "state.network", "6": "state.network", "p": "state.network", "S": "snapshots"}
"""Letter -> the part of the full object that it shows."""


def run(session: Session, values: Values, words: list[str]) -> int:
    """Print the containers that match all filters."""
    columns = values.columns or DEFAULT
    if values.fast:
        if values.columns and values.columns != DEFAULT:
            raise ApiError("Can't specify --fast with --columns")
        columns = FAST
    if set(columns) - set(COLUMNS):
        raise ApiError(f"{columns} contains invalid column characters")
    if values.format not in output.FORMATS:
        raise ApiError(f'invalid format "{values.format}"')
    filters = list(words)
    remote = f"{session.config.default}:"
    if filters and ":" in filters[0] and "=" not in filters[0]:
        name, _, rest = filters.pop(0).partition(":")
        remote = f"{name}:"
        filters = ([rest] if rest else []) + filters
    daemon, _ = session.server(remote)
    found = daemon.get(_request(columns, everything=values.format in ("json", "yaml")))
    found = [container for container in found if all(matches(container, text) for text in filters)]
    rows = sorted(([COLUMNS[c][1](container) for c in columns] for container in found), key=_blank_last)
    if columns[0] != "n":
        found.sort(key=lambda container: _blank_last([COLUMNS[columns[0]][1](container)]))
    output.show(values.format, [COLUMNS[c][0] for c in columns], rows, found)
    return 0


def _blank_last(row: list[str]) -> list[tuple[bool, str]]:
    return [(not cell, cell) for cell in row]


def _request(columns: str, *, everything: bool) -> str:
    if everything:
        return "/1.0/containers?recursion=2"
    fields = sorted({NEEDS[c] for c in columns if c in NEEDS})
    return (
        f"/1.0/containers?recursion=2&fields={','.join(fields)}" if fields else "/1.0/containers?recursion=1"
    )


def matches(container: dict[str, Any], text: str) -> bool:
    """Whether a container passes one filter: `key=value` or (part of) a name."""
    key, equals, wanted = text.partition("=")
    if equals:
        config: dict[str, str] = container["expanded_config"]
        return any(_key_matches(key, name) and _value_matches(wanted, v) for name, v in config.items())
    name = container["name"]
    return text in name or _found(text, name, otherwise=False)


def _key_matches(given: str, name: str) -> bool:
    """`s.privileged` stands for `security.privileged`: each part is a prefix, the number is equal."""
    given_parts, parts = given.split("."), name.split(".")
    return len(given_parts) == len(parts) and all(
        part.startswith(g) for g, part in zip(given_parts, parts, strict=True)
    )


def _value_matches(wanted: str, value: str) -> bool:
    pattern = wanted if "^" in wanted or "$" in wanted else f"^{wanted}$"
    return _found(pattern, value, otherwise=wanted == value)


def _found(pattern: str, text: str, *, otherwise: bool) -> bool:
    """Whether the regular expression is found in the text; `otherwise` if it is none."""
    import re

    try:
        return re.search(pattern, text) is not None
    except re.error:
        return otherwise
