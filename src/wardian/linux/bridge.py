"""Making and changing bridges of the host, through pyroute2 (imported when first needed: 0.25 s)."""

import ipaddress
from pathlib import Path

from wardian.linux import netlink

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def exists(name: str) -> bool:
    """Whether an interface of this name exists."""
    return (Path("/sys/class/net") / name).exists()


def is_bridge(name: str) -> bool:
    """Whether it exists and is a bridge."""
    return (Path("/sys/class/net") / name / "bridge").is_dir()


def ports(name: str) -> list[str]:
    """The interfaces attached to a bridge."""
    folder = Path("/sys/class/net") / name / "brif"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def addresses(name: str) -> set[Interface]:
    """Addresses of an interface, those of link scope left out."""
    index = next((link.index for link in netlink.links() if link.name == name), None)
    found = [a for payload in netlink.dump(netlink.GETADDR) if (a := netlink.address(payload))]
    own = [a for a in found if a.index == index and a.scope != "link"]
    return {ipaddress.ip_interface(f"{a.address}/{a.length}") for a in own}


async def ensure(name: str, wanted: set[Interface], mtu: int) -> None:
    """Make the bridge if need be, give it exactly these addresses and bring it up."""
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as route:
        if not exists(name):
            await route.link("add", ifname=name, kind="bridge", br_stp_state=0)
        index = (await route.link_lookup(ifname=name))[0]
        present = addresses(name)
        for gone in present - wanted:
            await route.addr("del", index=index, address=str(gone.ip), prefixlen=gone.network.prefixlen)
        for new in wanted - present:
            await route.addr("add", index=index, address=str(new.ip), prefixlen=new.network.prefixlen)
        await route.link("set", index=index, mtu=mtu, state="up")


async def remove(name: str) -> None:
    """Delete the bridge; harmless if there is none."""
    from pyroute2 import AsyncIPRoute

    if not is_bridge(name):
        return
    async with AsyncIPRoute() as route:
        await route.link("del", index=(await route.link_lookup(ifname=name))[0])


def set_sysctl(path: str, value: str) -> None:
    """Write below /proc/sys; a file that this kernel lacks is left out."""
    file = Path("/proc/sys") / path
    if file.exists() and file.read_text().strip() != value:
        file.write_text(value)
