"""lxc network: managed bridges and the host's interfaces."""

from __future__ import annotations

import sys

from wardian.cli import editor, output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, dispatch, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HIDDEN = ("loopback", "unknown")
"""Interfaces of the host that no container can be put on, among them the ends of those in containers."""
SHOWN = ("name", "description", "type", "managed", "config", "used_by")


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


def _url(name: str) -> str:
    return f"/1.0/networks/{quote(name)}"


def _list(session: Session, values: Values, words: list[str]) -> None:
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    found = [n for n in daemon.get("/1.0/networks?recursion=1") if n["type"] not in HIDDEN]
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


def _info(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found = daemon.get(f"{_url(name)}/state")
    traffic = found["counters"]
    lines = [
        *(f"Name: {name}", f"MAC address: {found['hwaddr']}", f"MTU: {found['mtu']}"),
        *(f"State: {found['state']}", f"Type: {found['type']}"),
    ]
    if found["addresses"]:
        lines += ["", "IP addresses:"]
    for one in found["addresses"]:
        lines.append(f"  {one['family']}\t{one['address']}/{one['netmask']} ({one['scope']})")
    lines += [
        *("", "Network usage:"),
        f"  Bytes received: {output.size(traffic['bytes_received'])}",
        f"  Bytes sent: {output.size(traffic['bytes_sent'])}",
        f"  Packets received: {traffic['packets_received']}",
        f"  Packets sent: {traffic['packets_sent']}",
    ]
    print("\n".join(lines))


def _edit(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    found, headers = daemon.request("GET", _url(name))
    if not found["metadata"]["managed"]:
        raise ApiError(f'"{name}" is an interface of the host, not a network of ours')
    present = {key: found["metadata"][key] for key in ("description", "config")}

    def apply(wanted: dict[str, Any]) -> None:
        body = {key: wanted.get(key) or present[key].__class__() for key in present}
        daemon.request("PUT", _url(name), body, {"If-Match": headers["etag"]})

    editor.edit(present, editor.NETWORK, apply)


def _rename(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    daemon, name = session.server(words[0])
    daemon.request("POST", _url(name), {"name": words[1]})
    print(f"Network {name} renamed to {words[1]}")


def nic(daemon: Connection, network: str, device: str, interface: str) -> dict[str, dict[str, str]]:
    """A nic on the network, as a map of devices; the host's own interface is shared (macvlan)."""
    about = daemon.get(_url(network))
    kind = "bridged" if about["type"] == "bridge" else "macvlan"
    made = {"type": "nic", "nictype": kind, "parent": network}
    return {device: made | ({"name": interface} if interface else {})}


def _attach_to(kind: str, session: Session, words: list[str]) -> None:
    """Words: network, owner, name of the device, name of the interface inside."""
    need(words, 2, 4)
    daemon, network = session.server(words[0])
    name, device, interface = (*words[1:], "", "")[:3]
    device = device or network
    path = container_url(name) if kind == "container" else f"/1.0/profiles/{quote(name)}"
    found, headers = daemon.request("GET", path)
    if device in found["metadata"]["devices"]:
        raise ApiError("The device already exists")
    change = {"devices": nic(daemon, network, device, interface)}
    daemon.request("PATCH", path, change, {"If-Match": headers["etag"]})


def _detach_from(kind: str, session: Session, words: list[str]) -> None:
    """Words: network, owner, name of the device."""
    need(words, 2, 3)
    daemon, network = session.server(words[0])
    name, device = (*words[1:], "")[:2]
    path = container_url(name) if kind == "container" else f"/1.0/profiles/{quote(name)}"
    found, headers = daemon.request("GET", path)
    devices = found["metadata"]["devices"]
    on_it = [key for key, one in devices.items() if one.get("type") == "nic" and _parent(one) == network]
    if device and device not in on_it:
        raise ApiError("The specified device doesn't exist on this network")
    if not device and len(on_it) != 1:
        reason = "More than one device matches, name one of them" if on_it else "No device found"
        raise ApiError(f'{reason} on network "{network}"')
    daemon.request("PATCH", path, {"devices": {device or on_it[0]: None}}, {"If-Match": headers["etag"]})


def _parent(device: dict[str, str]) -> str:
    return device.get("network") or device.get("parent", "")


def _attach(session: Session, values: Values, words: list[str]) -> None:
    _attach_to("container", session, words)


def _attach_profile(session: Session, values: Values, words: list[str]) -> None:
    _attach_to("profile", session, words)


def _detach(session: Session, values: Values, words: list[str]) -> None:
    _detach_from("container", session, words)


def _detach_profile(session: Session, values: Values, words: list[str]) -> None:
    _detach_from("profile", session, words)


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
    "info": _info,
    "edit": _edit,
    "rename": _rename,
    "attach": _attach,
    "attach-profile": _attach_profile,
    "detach": _detach,
    "detach-profile": _detach_profile,
}
