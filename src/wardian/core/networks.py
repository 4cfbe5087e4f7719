"""Networks: managed bridges, and the host's other interfaces as something to look at."""

import ipaddress
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from wardian.core import containers, reservations
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.undo import Undo
from wardian.errors import AlreadyExists, InvalidInput, NotFound, WardianError
from wardian.linux import netlink
from wardian.model import network, nics
from wardian.model.container import Network
from wardian.ports.network import Lease

log = logging.getLogger(__name__)

SYSFS = Path("/sys/class/net")
UNCHANGEABLE = ("ipv4.address", "ipv6.address")


class NetworkWrite(Struct, forbid_unknown_fields=True):
    """The body of POST, PUT and PATCH. None: left out."""

    name: str = ""
    type: str = "bridge"
    description: str | None = None
    config: dict[str, str | None] | None = None
    managed: bool | None = None
    used_by: list[str] | None = None
    status: str | None = None
    locations: list[str] | None = None
    warnings: list[str] | None = None


def url(name: str) -> str:
    """The address of a network in the API."""
    return f"/1.0/networks/{name}"


async def open_all(host: Host) -> None:
    """Make the host match the records; what runs already is adopted, containers never notice."""
    for found in await host.records.networks.all():
        try:
            await host.bridge.up(found)
        except WardianError as error:
            log.error('network "%s" cannot be set up: %s', found.name, error)
    await reservations.settle_all(host)


async def names_of_all(host: Host) -> list[str]:
    """All interfaces of the host and all managed networks, sorted."""
    managed = {found.name for found in await host.records.networks.all()}
    return sorted(managed | {link.name for link in netlink.links()})


async def render(host: Host, name: str, *, with_warnings: bool = False) -> dict[str, Any]:
    """The object of the API; NotFound if neither managed nor an interface of the host."""
    found = await host.records.networks.find(name)
    if found is None and not _is_link(name):
        raise NotFound(f'network "{name}" not found')
    shown: dict[str, Any] = {
        "name": name,
        "type": "bridge" if found else interface_type(name),
        "description": found.description if found else "",
        "config": found.config if found else {},
        "managed": found is not None,
        "status": "Created" if found else "",
        "used_by": await used_by(host, name),
    }
    if with_warnings:
        line = await host.bridge.problem(found) if found else ""
        shown["warnings"] = [line] if line else []
    return shown


def _is_link(name: str) -> bool:
    """Whether the host has an interface of that name, which is any text: it makes no path."""
    return any(link.name == name for link in netlink.links())


def interface_type(name: str) -> str:
    """What kind of interface of the host it is (spec/rest-api.md section 16)."""
    folder = SYSFS / name
    if name == "lo":
        return "loopback"
    for marker, kind in (("bridge", "bridge"), ("bonding", "bond"), ("device", "physical")):
        if (folder / marker).exists():
            return kind
    return "vlan" if Path("/proc/net/vlan", name).exists() else "unknown"


async def used_by(host: Host, name: str) -> list[str]:
    """URLs of the containers and profiles that have an interface on it."""

    def uses(devices: Mapping[str, Mapping[str, str]]) -> bool:
        return any(d.get("type") == "nic" and nics.plain(d).get("parent") == name for d in devices.values())

    profiles = {p.name: p for p in await host.records.profiles.all()}
    found = []
    for container in await containers.every(host):
        known = [profiles[p] for p in container.profiles if p in profiles]
        if uses(containers.merged(container, known).devices):
            found.append(containers.url(container.name))
    return found + [f"/1.0/profiles/{quote(p.name)}" for p in profiles.values() if uses(p.devices)]


async def create(host: Host, request: NetworkWrite) -> Network:
    """Make a managed bridge; all or nothing."""
    if request.type not in ("", "bridge"):
        raise InvalidInput(f'field "type": "{request.type}" is not supported (there is: bridge)')
    config = {key: value for key, value in (request.config or {}).items() if value}
    network.check(request.name, config)
    if await host.records.networks.find(request.name) is not None:
        raise AlreadyExists(f'network "{request.name}" already exists')
    if host.bridge.is_taken(request.name):
        raise InvalidInput(f'the host has an interface "{request.name}" already; choose another name')
    async with host.bridge.choosing(), Undo() as undo:
        chosen = await host.bridge.choose(request.name, config, {})
        made = Network(name=request.name, description=request.description or "", config=chosen)
        await host.records.networks.insert(made)
        undo.on_failure(host.records.networks.delete, made.name)
        undo.on_failure(host.bridge.down, made)
        await host.bridge.up(made)
        undo.keep()
    host.events.lifecycle("network-created", url(made.name))
    return made


async def _managed(host: Host, name: str) -> Network:
    """The network of that name; InvalidInput if it is an interface of the host, NotFound if nothing is."""
    found = await host.records.networks.find(name)
    if found is None and _is_link(name):
        raise InvalidInput(f'"{name}" is an interface of the host, not a network of ours')
    return found or await host.records.networks.get(name)


async def update(
    host: Host,
    name: str,
    request: NetworkWrite,
    *,
    merge: bool,
    precondition: Precondition = no_precondition,
) -> None:
    """Replace (or with `merge` change) the configuration and apply it at once."""
    async with host.once(f"update network {name}"):
        before = await _managed(host, name)
        precondition(writable(before))
        await _update(host, before, request, merge=merge)
    host.events.lifecycle("network-updated", url(name))


async def _update(host: Host, before: Network, request: NetworkWrite, *, merge: bool) -> None:
    wanted: dict[str, str | None] = {**(before.config if merge else {}), **(request.config or {})}
    config = {key: value for key, value in wanted.items() if value}
    for key in UNCHANGEABLE:
        if not merge:
            config.setdefault(key, before.config.get(key, "auto"))
    network.check(before.name, config)
    description = before.description if request.description is None and merge else request.description or ""
    async with host.bridge.choosing(), Undo() as undo:
        chosen = await host.bridge.choose(before.name, config, before.config)
        after = replace(before, description=description, config=chosen)
        await host.records.networks.replace(after)
        undo.on_failure(host.bridge.up, before)
        undo.on_failure(host.records.networks.replace, before)
        await host.bridge.up(after)
        undo.keep()


async def delete(host: Host, name: str) -> None:
    """Remove a managed bridge that nothing uses."""
    found = await _managed(host, name)
    if users := await used_by(host, name):
        raise InvalidInput(f'network "{name}" is in use by {", ".join(users)}')
    await host.bridge.down(found)
    await host.records.networks.delete(name)
    host.events.lifecycle("network-deleted", url(name))


async def rename(host: Host, name: str, new: str) -> None:
    """Give a managed bridge that nothing uses another name; its addresses stay."""
    found = await _managed(host, name)
    network.check(new, found.config)
    if new != name and await host.records.networks.find(new) is not None:
        raise AlreadyExists(f'network "{new}" already exists')
    if host.bridge.is_taken(new):
        raise InvalidInput(f'the host has an interface "{new}" already; choose another name')
    if users := await used_by(host, name):
        raise InvalidInput(f'network "{name}" is in use by {", ".join(users)}')
    async with host.once(f"update network {name}"), host.bridge.choosing(), Undo() as undo:
        made = replace(found, name=new)
        undo.on_failure(host.bridge.up, found)
        await host.bridge.down(found)
        undo.on_failure(host.bridge.down, made)
        await host.bridge.up(made)
        table = host.records.networks
        batch = host.records.batch().insert(table, made)
        await batch.delete(table, name, revision=await table.revision(name)).commit()
        undo.keep()
    host.events.lifecycle("network-renamed", url(new), old_name=name)


async def state(host: Host, name: str) -> dict[str, Any]:
    """The interface as it is: addresses, MTU, traffic; NotFound if the host has none of that name."""
    found = next((link for link in netlink.links() if link.name == name), None)
    if found is None:
        raise NotFound(f'the host has no interface "{name}"')
    known = (netlink.address(payload) for payload in netlink.dump(netlink.GETADDR))
    packets_received, packets_sent, bytes_received, bytes_sent = found.counters
    return {
        "addresses": [
            {"family": a.family, "address": a.address, "netmask": str(a.length), "scope": a.scope}
            for a in sorted(a for a in known if a is not None and a.index == found.index)
        ],
        "counters": {
            "bytes_received": bytes_received,
            "bytes_sent": bytes_sent,
            "packets_received": packets_received,
            "packets_sent": packets_sent,
        },
        "hwaddr": found.hwaddr,
        "mtu": found.mtu,
        "state": "up" if found.up else "down",
        "type": found.kind,
    }


async def leases(host: Host, name: str) -> list[dict[str, str]]:
    """Addresses of a managed bridge that DHCP keeps (static), and those that it has given out."""
    found = await host.records.networks.get(name)
    kept = [
        Lease(claim.container, claim.hwaddr, address)
        for claim in await reservations.all_claims(host)
        if claim.network == name
        for address in claim.addresses
    ]
    static = {lease.address for lease in kept}
    given = [lease for lease in await host.bridge.leases(found) if lease.address not in static]
    return [
        {"hostname": lease.hostname, "hwaddr": lease.hwaddr, "address": lease.address, "type": kind}
        for leases, kind in ((kept, "static"), (given, "dynamic"))
        for lease in sorted(leases, key=lambda lease: (lease.hostname, _order(lease.address)))
    ]


def _order(address: str) -> tuple[int, bytes]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed.packed


def writable(found: Network) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {"config": found.config, "description": found.description}
