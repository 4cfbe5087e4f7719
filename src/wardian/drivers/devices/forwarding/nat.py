"""Ports of the host that the kernel itself leads to containers: proxy devices with `nat=true`.

One nftables table for all of the host: what arrives looks its port up in a map, so that the cost does
not grow with the number of ports, and a port that somebody has already cannot be had twice, whichever
daemon asks. The container sees who connects. Connections from one container to another of the same
network by way of the host come back that way: `bridge.firewall` sees to it.
"""

import dataclasses
import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wardian.errors import HostFailed, InvalidInput
from wardian.linux import nft, process
from wardian.model.plans import Port

TABLE = "inet wardian_ports"
_FAMILIES = ((4, "ip", "127.0.0.0/8"), (6, "ip6", "::1"))


def rules(ports: Sequence[Port]) -> str:
    """Lead these ports to their containers; may be loaded again. Fails for one that leads elsewhere."""
    return _text([*_frame(), *(f"add element {TABLE} {_element(port)}" for port in ports)])


def no_rules(ports: Sequence[Port]) -> str:
    """Lead them there no more. Fails, and changes nothing, if one leads elsewhere."""
    return rules(ports) + _text([f"delete element {TABLE} {_key(port)} }}" for port in ports])


def _frame() -> Iterator[str]:
    yield f"add table {TABLE}"
    for version, _, _ in _FAMILIES:
        address = f"ipv{version}_addr"
        target = f"{address} . inet_service"
        yield f"add map {TABLE} own{version} {{ type inet_proto . {address} . inet_service : {target}; }}"
        yield f"add map {TABLE} any{version} {{ type inet_proto . inet_service : {target}; }}"
    for chain, hook in (("arriving", "prerouting"), ("own", "output")):
        yield f"add chain {TABLE} {chain} {{ type nat hook {hook} priority -100; policy accept; }}"
        yield f"flush chain {TABLE} {chain}"
        for version, protocol, loopback in _FAMILIES:
            lead = f"dnat {protocol} to meta l4proto ."
            yield f"add rule {TABLE} {chain} {lead} {protocol} daddr . th dport map @own{version}"
            local = f"{protocol} daddr != {loopback} fib daddr type local"
            yield f"add rule {TABLE} {chain} {local} {lead} th dport map @any{version}"


def _element(port: Port) -> str:
    return f"{_key(port)} : {ipaddress.ip_address(port.host)} . {int(port.port)} }}"


def _key(port: Port) -> str:
    """The map of a port and its key in it, without the closing brace."""
    if port.kind not in ("tcp", "udp"):
        raise InvalidInput(f"{port.kind} has no ports")
    listen = ipaddress.ip_address(port.listen_host)
    if listen.is_unspecified:
        return f"any{listen.version} {{ {port.kind} . {int(port.listen_port)}"
    return f"own{listen.version} {{ {port.kind} . {listen} . {int(port.listen_port)}"


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


async def apply(device: str, ports: Sequence[Port]) -> None:
    """Have the kernel lead the ports; HostFailed if one leads elsewhere."""
    try:
        await nft.load(f'lead the ports of proxy "{device}"', rules(ports))
    except HostFailed as error:
        if "File exists" not in str(error):
            raise
        first = ports[0]
        raise HostFailed(
            f'proxy "{device}" cannot listen on {first.kind} port {first.listen_port}: another proxy with '
            f'"nat" has it, or a port that follows; `nft list table {TABLE}` shows who'
        ) from error


def keys_of(listing: Mapping[str, Any]) -> set[str]:
    """From `nft -j list table`: the keys that are led, as `_key` writes them."""
    found = set()
    for item in listing.get("nftables", []):
        for key, _ in item.get("map", {}).get("elem", []):
            found.add(f"{item['map']['name']} {{ {' . '.join(map(str, key['concat']))}")
    return found


async def first_led(ends: Sequence[Port]) -> Port | None:
    """The first of these addresses of the host for which what arrives is led to a container."""
    done = await process.run(["nft", "-j", "list", "table", *TABLE.split()])
    led = keys_of(json.loads(done.stdout)) if done.status == 0 else set()
    for end in ends:
        host = ipaddress.ip_address(end.listen_host)
        anywhere = dataclasses.replace(end, listen_host="0.0.0.0" if host.version == 4 else "::")
        if not host.is_loopback and led & {_key(end), _key(anywhere)}:
            return end
    return None


async def remove(device: str, ports: Sequence[Port]) -> None:
    """Undo that; HostFailed where the ports lead elsewhere, which is left as it is."""
    await nft.load(f'give up the ports of proxy "{device}"', no_rules(ports))
