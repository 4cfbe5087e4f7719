"""lxc info: one container, or the server."""

from __future__ import annotations

import sys

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SERVER_ORDER = (
    *("config", "api_extensions", "api_status", "api_version"),
    *("auth", "public", "auth_methods", "environment"),
)
MEMORY = (
    ("usage", "Memory (current)"),
    ("usage_peak", "Memory (peak)"),
    ("swap_usage", "Swap (current)"),
    ("swap_usage_peak", "Swap (peak)"),
)


def run(session: Session, values: Values, words: list[str]) -> int:
    """Print what there is to know."""
    need(words, 0, 1)
    daemon, name = session.server(words[0] if words else f"{session.config.default}:")
    if not name and values.criu:
        raise ApiError("--criu is about the memory of a container; name one: lxc info <container> --criu")
    if values.resources:
        from wardian.cli import resources

        if name:
            raise ApiError(f'--resources is about the host; leave out "{name}"')
        print("\n".join(resources.lines(daemon.get("/1.0/resources"))))
        return 0
    if not name:
        server = daemon.get("/1.0")
        sys.stdout.write(output.yaml({key: server[key] for key in SERVER_ORDER if key in server}))
        return 0
    if values.criu:
        return _criu(daemon.get(container_url(name, "criu")))
    if "/" in name:
        container = name.partition("/")[0]
        raise ApiError(f'"{name}" is a snapshot; see lxc info {container}')
    container = daemon.get(container_url(name) + "?recursion=1")
    sys.stdout.write("".join(f"{line}\n" for line in lines(container, daemon.place.url)))
    if values.show_log:
        log = daemon.send("GET", container_url(name, "logs", "lxc.log"))
        text = log.read().decode(errors="replace") if log.status == 200 else ""
        sys.stdout.write(f"\nLog:\n\n{text}\n")
    return 0


def _criu(found: dict[str, Any]) -> int:
    """Whether the memory can be saved; the exit status says it, too."""
    print(f"CRIU: {found['criu'] or 'missing'}")
    for obstacle in found["obstacles"]:
        print(f"In the way: {obstacle}")
    if not found["obstacles"]:
        print(
            "Nothing is in the way."
            if found["running"]
            else "Nothing is in the way, as far as can be told of a stopped container."
        )
    return 1 if found["obstacles"] else 0


def lines(container: dict[str, Any], url: str) -> list[str]:
    """The description of a container, in the order of spec/cli.md section 7.10."""
    state = container["state"]
    created = output.time(container["created_at"])
    found = [
        f"Name: {container['name']}",
        f"Remote: {url}",
        f"Architecture: {container['architecture']}",
        *([f"Created: {created}"] if created else []),
        f"Status: {container['status']}",
        f"Type: {'ephemeral' if container['ephemeral'] else 'persistent'}",
        f"Profiles: {', '.join(container['profiles'])}",
    ]
    if state["pid"]:
        found += [f"Pid: {state['pid']}", *_ips(state), *_resources(state)]
    if container.get("snapshots"):
        found += ["Snapshots:", *map(_snapshot, container["snapshots"])]
    return found


def _snapshot(snapshot: dict[str, Any]) -> str:
    own_name = snapshot["name"].partition("/")[2]
    notes = [f"taken at {output.time(snapshot['created_at'])}"]
    expires = output.time(snapshot.get("expires_at", ""))
    notes += [f"expires at {expires}"] if expires else []
    notes.append("stateful" if snapshot["stateful"] else "stateless")
    return f"  {own_name} " + " ".join(f"({note})" for note in notes)


def _ips(state: dict[str, Any]) -> list[str]:
    found = []
    for name, interface in sorted((state["network"] or {}).items()):
        for address in interface["addresses"]:
            fields = [f"  {name}:", address["family"], address["address"]]
            fields += [interface["host_name"]] if interface["host_name"] else []
            found.append("\t".join(fields))
    return ["Ips:", *found] if found else []


def _resources(state: dict[str, Any]) -> list[str]:
    found = ["Resources:", f"  Processes: {state['processes']}"]
    if state["cpu"]["usage"]:
        found += ["  CPU usage:", f"    CPU usage (in seconds): {state['cpu']['usage'] // 10**9}"]
    disks = [
        f"    {name}: {output.size(d['usage'])}" for name, d in (state["disk"] or {}).items() if d["usage"]
    ]
    found += ["  Disk usage:", *disks] if disks else []
    memory = [f"    {label}: {output.size(state['memory'][k])}" for k, label in MEMORY if state["memory"][k]]
    found += ["  Memory usage:", *memory] if memory else []
    network = []
    for name, interface in sorted((state["network"] or {}).items()):
        counters = interface.get("counters")
        if counters is None:  # it goes, or has just come
            continue
        network += [
            f"    {name}:",
            f"      Bytes received: {output.size(counters['bytes_received'])}",
            f"      Bytes sent: {output.size(counters['bytes_sent'])}",
            f"      Packets received: {counters['packets_received']}",
            f"      Packets sent: {counters['packets_sent']}",
        ]
    return found + (["  Network usage:", *network] if network else [])
