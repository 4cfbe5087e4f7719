"""Memory, disks and cards of the host, as the kernel describes them (proc_meminfo(5), sysfs).

The shape is that of the API: GET /1.0/resources, extension `resources_v2`. Sizes are bytes. Cards are
named by their numbers; `lspci -d VENDOR:PRODUCT` knows their names.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from wardian.linux import processors
from wardian.linux.processors import integer, text

SECTOR = 512
"""What the kernel counts the size of a disk in, whatever its own sectors are (sysfs-block)."""
_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
ETHERNET = 1
INFINIBAND = 32


def describe(architecture: str, root: Path = Path("/")) -> dict[str, Any]:
    """All of it. root: of sysfs and procfs."""
    return {
        "cpu": processors.describe(architecture, root),
        "memory": memory(root),
        "gpu": graphics(root),
        "network": interfaces(root),
        "storage": disks(root),
    }


# --- memory ------------------------------------------------------------------------------------


def memory(root: Path = Path("/")) -> dict[str, Any]:
    """How much there is and how much of it nobody could have; of each NUMA node, too."""
    whole = _numbers(text(root / "proc/meminfo"))
    page = whole.get("Hugepagesize", 0)
    folder = root / "sys/devices/system/node"
    nodes = sorted(folder.glob("node[0-9]*"), key=lambda path: int(path.name.removeprefix("node")))
    return {
        "nodes": [_node(path, page) for path in nodes if (path / "meminfo").exists()],
        "total": whole["MemTotal"],
        "used": whole["MemTotal"] - whole["MemAvailable"],
        **_hugepages(whole, page),
        "hugepages_size": page,
    }


def _node(folder: Path, page: int) -> dict[str, Any]:
    found = _numbers(text(folder / "meminfo"))
    reclaimable = found.get("FilePages", 0) - found.get("Shmem", 0) + found.get("SReclaimable", 0)
    return {
        "numa_node": int(folder.name.removeprefix("node")),
        "total": found["MemTotal"],
        "used": max(found["MemTotal"] - found["MemFree"] - reclaimable, 0),
        **_hugepages(found, page),
    }


def _hugepages(found: dict[str, int], page: int) -> dict[str, int]:
    total, free = found.get("HugePages_Total", 0), found.get("HugePages_Free", 0)
    return {"hugepages_total": total * page, "hugepages_used": (total - free) * page}


def _numbers(lines: str) -> dict[str, int]:
    """Name -> bytes (or a number, where no unit is given) of `[Node 0 ]Name: 12 kB`."""
    found = {}
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        found[name.split()[-1]] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


# --- disks -------------------------------------------------------------------------------------


def disks(root: Path = Path("/")) -> dict[str, Any]:
    """Disks that hardware stands behind, with their partitions."""
    found = [_disk(path) for path in sorted((root / "sys/block").glob("*")) if (path / "device").exists()]
    return {"disks": found, "total": len(found)}


def _disk(path: Path) -> dict[str, Any]:
    parts = [part for part in path.glob("*") if (part / "partition").exists()]
    kind = (path / "device/subsystem").resolve().name
    return {
        **_volume(path),
        "model": text(path / "device/model"),
        "type": "nvme" if kind.startswith("nvme") else kind,
        "removable": integer(path / "removable") == 1,
        "numa_node": max(integer(path / "device/numa_node"), 0),
        "block_size": max(integer(path / "queue/physical_block_size"), 0),
        "serial": text(path / "serial") or text(path / "device/serial"),
        "firmware_version": text(path / "device/firmware_rev"),
        "wwn": text(path / "device/wwid"),
        "rpm": 1 if integer(path / "queue/rotational") == 1 else 0,  # the kernel knows no more
        "partitions": [
            {**_volume(part), "partition": integer(part / "partition")}
            for part in sorted(parts, key=lambda part: integer(part / "partition"))
        ],
    }


def _volume(path: Path) -> dict[str, Any]:
    return {
        "id": path.name,
        "device": text(path / "dev"),
        "read_only": integer(path / "ro") == 1,
        "size": max(integer(path / "size"), 0) * SECTOR,
    }


# --- cards -------------------------------------------------------------------------------------


def graphics(root: Path = Path("/")) -> dict[str, Any]:
    """Graphics cards that a driver of the kernel serves."""
    drm = root / "sys/class/drm"
    cards = [path for path in drm.glob("card[0-9]*") if path.name.removeprefix("card").isdigit()]
    found = [
        {**_card(path / "device"), "drm": _drm(path)}
        for path in sorted(cards, key=lambda path: int(path.name.removeprefix("card")))
    ]
    return {"cards": found, "total": len(found)}


def _drm(card: Path) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": int(card.name.removeprefix("card")),
        "card_name": card.name,
        "card_device": text(card / "dev"),
    }
    for render in sorted((card / "device/drm").glob("renderD*"))[:1]:
        shown |= {"render_name": render.name, "render_device": text(render / "dev")}
    return shown


def interfaces(root: Path = Path("/")) -> dict[str, Any]:
    """Network cards, with the interface of each of their ports."""
    cards: dict[Path, list[Path]] = defaultdict(list)
    for port in sorted((root / "sys/class/net").glob("*")):
        if (port / "device").exists():
            cards[(port / "device").resolve()].append(port)
    found = [{**_card(card), "ports": list(map(_port, ports))} for card, ports in cards.items()]
    return {"cards": found, "total": len(found)}


def _port(path: Path) -> dict[str, Any]:
    kind = integer(path / "type")
    shown: dict[str, Any] = {
        "id": path.name,
        "address": text(path / "address"),
        "port": max(integer(path / "dev_port"), 0),
        "protocol": {ETHERNET: "ethernet", INFINIBAND: "infiniband"}.get(kind, "unknown"),
        "auto_negotiation": False,
        "link_detected": integer(path / "carrier") == 1,
    }
    speed, duplex = integer(path / "speed"), text(path / "duplex")
    if speed > 0:
        shown["link_speed"] = speed
    if duplex in ("half", "full"):
        shown["link_duplex"] = duplex
    return shown


def _card(device: Path) -> dict[str, Any]:
    """A card, by the folder of its device; what is on a bus of its own (virtio) is a PCI card below it."""
    real = device.resolve()
    pci = next((folder for folder in (real, *real.parents) if _PCI.fullmatch(folder.name)), None)
    about = pci or real
    shown: dict[str, Any] = {
        "driver": (real / "driver").resolve().name if (real / "driver").exists() else "",
        "driver_version": text(real / "driver/module/version"),
        "numa_node": max(integer(about / "numa_node"), 0),
    }
    for field, file in (("vendor_id", "vendor"), ("product_id", "device")):
        shown[field] = text(about / file).removeprefix("0x") if (about / file).is_file() else ""
    return shown | ({"pci_address": pci.name} if pci else {})
