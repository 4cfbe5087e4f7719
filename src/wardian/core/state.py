"""What callers see of a container: its object, its state, and the full listing.

Nothing here asks a container for anything: what runs, its addresses and whether it is frozen are
known from events; the rest is read from control groups of those that a caller asked about.
"""

from collections.abc import Set
from typing import Any

from wardian.core import backups, containers, snapshots
from wardian.core.containers import Expanded, volume
from wardian.core.events import shown_time, timestamp
from wardian.core.host import Host
from wardian.errors import WardianError
from wardian.linux import links
from wardian.model import expand
from wardian.model.container import Container
from wardian.ports.network import Counters, Interface

STATUS_CODES = {"Stopped": 102, "Running": 103, "Frozen": 110, "Error": 112}

FIELDS = frozenset({"state", "state.network", "state.disk", "snapshots"})
"""Parts of the full object that a listing can be limited to (`?recursion=2&fields=...`)."""


def status(host: Host, name: str) -> str:
    """Stopped, Running or Frozen."""
    if name not in host.running:
        return "Stopped"
    return "Frozen" if name in host.frozen else "Running"


def render(host: Host, container: Container, merged: Expanded) -> dict[str, Any]:
    """The object of the API (spec/rest-api.md section 7.1)."""
    now = status(host, container.name)
    return {
        "architecture": container.architecture,
        "config": container.config,
        "created_at": timestamp(container.created_at),
        "description": container.description,
        "devices": container.devices,
        "ephemeral": container.ephemeral,
        "expanded_config": merged.config,
        "expanded_devices": merged.devices,
        "last_used_at": shown_time(container.last_used_at),
        "name": container.name,
        "profiles": container.profiles,
        "stateful": container.stateful,
        "status": now,
        "status_code": STATUS_CODES[now],
        "type": "container",
    }


async def listing(host: Host, level: int, fields: Set[str] = FIELDS) -> list[dict[str, Any]]:
    """Objects of all containers, by name; level 2 adds the asked parts of `state` and `snapshots`."""
    profiles = {profile.name: profile for profile in await host.records.profiles.all()}
    objects = []
    for container in await containers.every(host):
        known = [profiles[name] for name in container.profiles if name in profiles]
        merged = containers.merged(container, known)
        shown = render(host, container, merged)
        if level == 2:
            shown |= await extras(host, container, merged, fields)
        objects.append(shown)
    return objects


async def extras(
    host: Host, container: Container, merged: Expanded, fields: Set[str] = FIELDS
) -> dict[str, Any]:
    """What the full object has besides: `state`, `snapshots` and `backups`."""
    parts: dict[str, Any] = {}
    if "snapshots" in fields:
        found = await snapshots.every(host, container.name)
        parts |= {
            "snapshots": [await snapshots.render(host, s) for s in found] or None,
            "backups": [backups.render(b) for b in await backups.every(host, container.name)] or None,
        }
    if "state" in fields:
        parts["state"] = await state(host, container, merged)
    elif fields & {"state.network", "state.disk"}:
        shown = _brief(host, container.name)
        if "state.network" in fields:
            shown["network"] = network(host, container.name, {})
        if "state.disk" in fields:
            shown["disk"] = await disk(host, container, merged)
        parts["state"] = shown
    return parts


def _brief(host: Host, name: str) -> dict[str, Any]:
    now = status(host, name)
    started = host.running.get(name)
    return {"status": now, "status_code": STATUS_CODES[now], "pid": started.init_pid if started else 0}


async def state(host: Host, container: Container, merged: Expanded) -> dict[str, Any]:
    """The object of GET /1.0/containers/NAME/state (spec/rest-api.md section 8)."""
    name = container.name
    shown = _brief(host, name)
    started = host.running.get(name)
    shown["disk"] = await disk(host, container, merged)
    if started is None:
        none = {"usage": 0, "usage_peak": 0, "swap_usage": 0, "swap_usage_peak": 0}
        return shown | {"processes": 0, "memory": none, "network": None, "cpu": {"usage": 0}}
    usage = host.runtime.usage(started)
    return shown | {
        "processes": usage.processes,
        "cpu": {"usage": usage.cpu_ns},
        "memory": {
            "usage": usage.memory,
            "usage_peak": usage.memory_peak,
            "swap_usage": usage.swap,
            "swap_usage_peak": usage.swap_peak,
        },
        "network": network(host, name, host.addresses.counters(name)),
    }


async def disk(host: Host, container: Container, merged: Expanded) -> dict[str, Any] | None:
    """Usage of the root disk by its device name; None where the pool cannot tell."""
    if not expand.has_root_device(merged.devices):
        return None
    try:
        usage = await host.storage.get(container.pool).usage(volume(container.name))
    except WardianError:
        return None
    device, _ = expand.root_device(merged.devices)
    return None if usage is None else {device: {"usage": usage}}


def network(host: Host, name: str, counters: dict[str, Counters]) -> dict[str, Any] | None:
    """Interfaces by name; None for a stopped container. Without counters, they are left out."""
    if name not in host.running:
        return None
    return {
        interface.name: _interface(interface, counters.get(interface.name))
        for interface in host.addresses.interfaces(name)
    }


def _interface(interface: Interface, counters: Counters | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "addresses": [
            {"family": family, "address": address, "netmask": str(length), "scope": scope}
            for family, address, length, scope in interface.addresses
        ],
        "hwaddr": interface.hwaddr,
        "host_name": links.name_of(interface.link),
        "mtu": interface.mtu,
        "state": "up" if interface.up else "down",
        "type": interface.kind,
    }
    if counters is not None:
        shown["counters"] = {
            "bytes_received": counters.bytes_received,
            "bytes_sent": counters.bytes_sent,
            "packets_received": counters.packets_received,
            "packets_sent": counters.packets_sent,
        }
    return shown
