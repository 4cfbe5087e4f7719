"""Interfaces of containers as `ip` commands: made, given, configured and taken back. Pure.

`THERE` and `HOME` stand for paths of the namespaces of the container and of the host; the interface
on the host is `nic.host_name`, the one in the container `nic.name`.
"""

from collections.abc import Iterator, Sequence

from wardian.model.nics import GATEWAYS, family, whole
from wardian.model.plans import Nic

Command = tuple[str, ...]

SECOND_BEST = "2000"
"""Metric of the way out through an interface that is added while the container runs: others go first."""

PAIRED = ("bridged", "p2p", "routed")
"""Kinds that are a pair of interfaces (veth) with one end on the host."""


def families(nic: Nic) -> list[int]:
    """The address families that a routed interface has, sorted."""
    return sorted({family(address) for address in nic.addresses})


def make(nic: Nic, there: str) -> list[Command]:
    """On the host: make the interface, its end in the container with name, MAC address and MTU."""
    mtu = ("mtu", nic.mtu) if nic.mtu else ()
    hwaddr = ("address", nic.hwaddr) if nic.hwaddr else ()
    if nic.kind == "physical":
        return [
            ("link", "set", "dev", nic.parent, "down"),
            ("link", "set", "dev", nic.parent, "netns", there, "name", nic.name),
        ]
    if nic.kind == "macvlan":
        own = ("link", "add", "link", nic.parent, "name", nic.name, "netns", there, *hwaddr, *mtu)
        return [(*own, "type", "macvlan", "mode", "bridge")]
    inner = ("name", nic.name, "netns", there, *hwaddr, *mtu)
    return [("link", "add", "dev", nic.host_name, *mtu, "type", "veth", "peer", *inner)]


def host_up(nic: Nic) -> list[Command]:
    """On the host: connect the near end of a pair that was just made."""
    commands: list[Command] = []
    if nic.kind == "bridged":
        commands.append(("link", "set", "dev", nic.host_name, "master", nic.parent))
    if nic.kind in PAIRED:
        commands.append(("link", "set", "dev", nic.host_name, "up"))
    return commands


def inside_up(nic: Nic) -> list[Command]:
    """In the container: what liblxc would have done at a start."""
    commands: list[Command] = []
    if nic.kind == "physical":
        changes = (("mtu", nic.mtu), ("address", nic.hwaddr))
        commands += [("link", "set", "dev", nic.name, key, value) for key, value in changes if value]
    commands.append(("link", "set", "dev", nic.name, "up"))
    for address in nic.addresses:
        commands.append(("addr", "replace", whole(address), "dev", nic.name))
    for version in families(nic):
        gateway = GATEWAYS[version]
        if version == 4:
            commands.append(("route", "replace", whole(gateway), "dev", nic.name, "scope", "link"))
        way = ("via", gateway, "dev", nic.name, "metric", SECOND_BEST)
        commands.append(("route", "replace", "default", *way))
    return commands


def routes(nic: Nic) -> list[Command]:
    """On the host: ways to and from a routed interface; may be run again."""
    commands: list[Command] = []
    for version in families(nic):
        gateway = ("addr", "replace", whole(GATEWAYS[version]), "dev", nic.host_name)
        commands.append((*gateway, "scope", "link"))
    for address in nic.addresses:
        commands.append(("route", "replace", whole(address), "dev", nic.host_name))
        if nic.parent:
            commands.append(_proxy(nic, "replace", address))
    return commands


def routes_away(nic: Nic) -> list[Command]:
    """On the host: what of `routes` outlives the interface; one command each, which may fail."""
    return [_proxy(nic, "del", address) for address in nic.addresses if nic.parent]


def _proxy(nic: Nic, verb: str, address: str) -> Command:
    """Answer for the address on the parent (proxy ARP and NDP of one address)."""
    return ("neigh", verb, "proxy", address, "dev", nic.parent)


def sysctls(nic: Nic) -> Iterator[tuple[str, str]]:
    """Settings below /proc/sys for the near end of a pair."""
    if nic.kind == "bridged":
        yield f"net/ipv6/conf/{nic.host_name}/disable_ipv6", "1"
    if nic.kind == "routed":
        for version in families(nic):
            yield f"net/ipv{version}/conf/{nic.host_name}/forwarding", "1"
            if nic.parent:
                yield f"net/ipv{version}/conf/{nic.parent}/forwarding", "1"
                if version == 6:
                    yield f"net/ipv6/conf/{nic.parent}/proxy_ndp", "1"
        if 4 in families(nic):
            yield f"net/ipv4/conf/{nic.host_name}/rp_filter", "1"


def take_back(nic: Nic, name: str, home: str) -> list[Command]:
    """In the container: give a physical interface, found there as `name`, back as it was."""
    commands: list[Command] = [("link", "set", "dev", name, "down")]
    was = (("mtu", nic.parent_mtu), ("address", nic.parent_hwaddr))
    commands += [("link", "set", "dev", name, key, value) for key, value in was if value]
    return [*commands, ("link", "set", "dev", name, "netns", home, "name", nic.parent)]


def find(listing: Sequence[dict[str, object]], nic: Nic) -> str:
    """From `ip -j link` in the container: the name that it has there now; "" if it is gone.

    The container may have renamed it: then its MAC address tells.
    """
    names = {str(entry.get("ifname")) for entry in listing}
    if nic.name in names:
        return nic.name
    hwaddr = nic.hwaddr or nic.parent_hwaddr
    return next((str(e.get("ifname")) for e in listing if hwaddr and e.get("address") == hwaddr), "")
