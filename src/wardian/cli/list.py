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


def _part(container: dict[str, Any], part: str) -> dict[str, Any]:
    return (container.get("state") or {}).get(part) or {}


def _root_name(container: dict[str, Any]) -> str:
    devices: dict[str, dict[str, str]] = container["expanded_devices"]
    roots = (name for name, d in devices.items() if d.get("type") == "disk" and d.get("path") == "/")
    return next(roots, "")


def _root(container: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = container["expanded_devices"].get(_root_name(container), {})
    return found


def _number(number: int) -> str:
    return str(number) if number > 0 else ""


def _size(number: int) -> str:
    return output.size(number) if number > 0 else ""


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}s" if nanoseconds > 0 else ""


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
    "b": ("STORAGE POOL", lambda c: _root(c).get("pool", "")),
    "d": ("DESCRIPTION", lambda c: c["description"]),
    "D": ("DISK USAGE", lambda c: _size(_part(c, "disk").get(_root_name(c), {}).get("usage", 0))),
    "f": ("BASE IMAGE", lambda c: c["config"].get("volatile.base_image", "")[:12]),
    "F": ("BASE IMAGE", lambda c: c["config"].get("volatile.base_image", "")),
    "l": ("LAST USED AT", lambda c: output.time(c["last_used_at"])),
    "m": ("MEMORY USAGE", lambda c: _size(_part(c, "memory").get("usage", 0))),
    "N": ("PROCESSES", lambda c: _number((c.get("state") or {}).get("processes", 0))),
    "u": ("CPU USAGE", lambda c: _seconds(_part(c, "cpu").get("usage", 0))),
}
"""Letter -> (header, cell)."""

NEEDS = {
    **dict.fromkeys("46p", "state.network"),
    **dict.fromkeys("mNu", "state"),
    "D": "state.disk",
    "S": "snapshots",
}
"""Letter -> the part of the full object that it shows."""


def run(session: Session, values: Values, words: list[str]) -> int:
    """Print the containers that match all filters."""
    columns = values.columns or DEFAULT
    if values.fast:
        if values.columns and values.columns != DEFAULT:
            raise ApiError("Can't specify --fast with --columns")
        columns = FAST
    shown = chosen(columns)
    if values.format not in output.FORMATS:
        raise ApiError(f'invalid format "{values.format}"')
    filters = list(words)
    remote = f"{session.config.default}:"
    if filters and ":" in filters[0] and "=" not in filters[0]:
        name, _, rest = filters.pop(0).partition(":")
        remote = f"{name}:"
        filters = ([rest] if rest else []) + filters
    daemon, _ = session.server(remote)
    needs = {need for _, _, need in shown if need}
    if any(text.startswith(("ipv4=", "ipv6=")) for text in filters):
        needs.add("state.network")
    found = daemon.get(_request(needs, everything=values.format in ("json", "yaml")))
    found = [container for container in found if all(matches(container, text) for text in filters)]
    rows = sorted(([cell(container) for _, cell, _ in shown] for container in found), key=_blank_last)
    first = shown[0][1]
    if first is not COLUMNS["n"][1]:
        found.sort(key=lambda container: _blank_last([first(container)]))
    output.show(values.format, [header for header, _, _ in shown], rows, found)
    return 0


def chosen(columns: str) -> list[tuple[str, Any, str]]:
    """(header, cell, needed part of the full object) of letters, and of `key[:HEADER[:WIDTH]]`."""
    found: list[tuple[str, Any, str]] = []
    for part in columns.split(","):
        if "." in part or ":" in part:
            found.append(_of_key(part))
        elif not part or set(part) - set(COLUMNS):
            raise ApiError(f"{columns} contains invalid column characters")
        else:
            found += [(*COLUMNS[letter], NEEDS.get(letter, "")) for letter in part]
    return found


def _of_key(text: str) -> tuple[str, Any, str]:
    """A column that shows a key of the configuration, or `devices:DEVICE.KEY`."""
    where, _, rest = text.partition(":")
    kind, text = (where, rest) if where in ("config", "devices") else ("config", text)
    key, header, width = (*text.split(":"), "", "")[:3]
    if width and not width.isdigit():
        raise ApiError(f'"{width}" is no width of a column')
    device, _, name = key.partition(".")

    def cell(container: dict[str, Any]) -> str:
        if kind == "devices":
            value = container["expanded_devices"].get(device, {}).get(name, "")
        else:
            value = container["expanded_config"].get(key, "")
        return str(value[: int(width)] if width and int(width) else value)

    return header or key.upper(), cell, ""


def _blank_last(row: list[str]) -> list[tuple[bool, str]]:
    return [(not cell, cell) for cell in row]


def _request(needs: set[str], *, everything: bool) -> str:
    if everything:
        return "/1.0/containers?recursion=2"
    fields = sorted(needs)
    return (
        f"/1.0/containers?recursion=2&fields={','.join(fields)}" if fields else "/1.0/containers?recursion=1"
    )


def matches(container: dict[str, Any], text: str) -> bool:
    """Whether a container passes one filter: `key=value` or (part of) a name."""
    key, equals, wanted = text.partition("=")
    if equals and key in ("ipv4", "ipv6"):
        return _has_address(container, wanted)
    if equals and key in FIELDS:
        return _value_matches(wanted.lower(), str(container[key]).lower())
    if equals:
        config: dict[str, str] = container["expanded_config"]
        return any(_key_matches(key, name) and _value_matches(wanted, v) for name, v in config.items())
    name = container["name"]
    return text in name or _found(text, name, otherwise=False)


FIELDS = ("architecture", "description", "ephemeral", "name", "status", "type")
"""What else than keys a filter may be about; they are compared without regard to case."""


def _has_address(container: dict[str, Any], wanted: str) -> bool:
    """Whether an interface has the address, or one within the subnet."""
    import ipaddress

    try:
        subnet = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        raise ApiError(f'"{wanted}" is neither an address nor a subnet') from None
    interfaces = _part(container, "network").values()
    found = (address["address"] for interface in interfaces for address in interface["addresses"])
    return any(ipaddress.ip_address(address) in subnet for address in found)


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
