"""lxc info --resources: the hardware of a host."""

from __future__ import annotations

from wardian.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What GET /1.0/resources tells, for people."""
    yield from _cpus(found["cpu"])
    memory = found["memory"]
    yield from ("", "Memory:", f"  Free: {output.size(memory['total'] - memory['used'])}")
    yield from (f"  Used: {output.size(memory['used'])}", f"  Total: {output.size(memory['total'])}")
    for title, kind, each in (("GPU", "gpu", _gpu), ("NIC", "network", _nic)):
        for number, card in enumerate(found[kind]["cards"]):
            yield from ("", f"{title} {number}:", *each(card))
    for disk in found["storage"]["disks"]:
        yield from ("", f"Disk {disk['id']}:", *_disk(disk))


def _cpus(cpu: dict[str, Any]) -> Iterator[str]:
    yield f"CPUs ({cpu['architecture']}):"
    for socket in cpu["sockets"]:
        yield f"  Socket {socket['socket']}:"
        for label, key in (("Vendor", "vendor"), ("Name", "name")):
            if socket.get(key):
                yield f"    {label}: {socket[key]}"
        if socket.get("cache"):
            yield "    Caches:"
            for cache in socket["cache"]:
                yield f"      - Level {cache['level']} (type: {cache['type']}): {output.size(cache['size'])}"
        yield "    Cores:"
        for core in socket["cores"]:
            threads = ", ".join(
                str(one["id"]) + ("" if one["online"] else " (offline)") for one in core["threads"]
            )
            yield f"      - Core {core['core']}: threads {threads}"
        if socket.get("frequency"):
            yield f"    Frequency: {socket['frequency']}MHz"
    yield f"  Threads in all: {cpu['total']}"


def _card(card: dict[str, Any]) -> Iterator[str]:
    for label, key in (("Vendor", "vendor"), ("Product", "product"), ("Driver", "driver")):
        number = f" ({card[f'{key}_id']})" if card.get(f"{key}_id") else ""
        if card.get(key) or number:
            yield f"  {label}: {card.get(key, '')}{number}".replace(":  (", ": (")
    if card.get("pci_address"):
        yield f"  PCI address: {card['pci_address']}"


def _gpu(card: dict[str, Any]) -> Iterator[str]:
    yield from _card(card)
    if card.get("drm"):
        yield f"  DRM: card {card['drm'].get('id', '')}".rstrip()


def _nic(card: dict[str, Any]) -> Iterator[str]:
    yield from _card(card)
    for port in card.get("ports") or []:
        yield f"  Port {port['port']} ({port['protocol']}):"
        yield f"    Interface: {port['id']}"
        yield f"    MAC address: {port['address']}"
        yield f"    Link detected: {'yes' if port['link_detected'] else 'no'}"
        if port.get("link_speed"):
            yield f"    Speed: {port['link_speed']}Mbit/s"


def _disk(disk: dict[str, Any]) -> Iterator[str]:
    for label, key in (("Model", "model"), ("Type", "type"), ("Device", "device")):
        if disk.get(key):
            yield f"  {label}: {disk[key]}"
    yield f"  Size: {output.size(disk['size'])}"
    yield f"  Read only: {'yes' if disk['read_only'] else 'no'}"
    if disk.get("partitions"):
        yield "  Partitions:"
        for part in disk["partitions"]:
            yield f"    - {part['id']}: {output.size(part['size'])}"
