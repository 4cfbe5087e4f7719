"""Bounds on the traffic of an interface, at its end on the host.

Towards the container (`limits.ingress`) it is shaped: htb holds packets back. From the container
(`limits.egress`) it is policed: what is too much is dropped as it arrives. The policer is nftables'
in the netdev family, because many kernels are built without that of tc (act_police).

A priority (`limits.priority`) is what queues of the host's interfaces go by. The control group net_prio
cannot give it: a packet loses it as it leaves the container's network namespace (____dev_forward_skb in
include/linux/netdevice.h). So it is set as the packet arrives, and once more where it is routed on, since
the kernel then takes it from the packet's type of service (net/ipv4/ip_forward.c).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wardian.linux import iproute, nft
from wardian.model import names, nics, units, values

BURST = "1024 kbytes"
"""What may pass at once after a silence."""


@dataclass(frozen=True)
class Rates:
    """Bits per second as the container sees them; 0: unbounded."""

    ingress: int = 0
    egress: int = 0
    priority: int = 0
    """0: what the kernel gives it."""


def wanted(options: Mapping[str, str]) -> Rates:
    """What the device's properties ask for; `limits.max` overrides both directions."""
    most = options.get("limits.max", "")
    ingress, egress = (most or options.get(key, "") for key in ("limits.ingress", "limits.egress"))
    priority = int(options.get(nics.PRIORITY) or "0")
    return Rates(units.parse_bits(ingress or "0"), units.parse_bits(egress or "0"), priority)


def shaping(host_name: str, ingress: int, present: Iterable[str]) -> iproute.Commands:
    """tc commands that make the shaping so; present: kinds of the queues that the interface has."""
    if not ingress:
        return [("qdisc", "del", "dev", host_name, "root")] if "htb" in present else []
    root = ("qdisc", "add", "dev", host_name, "root", "handle", "1:0", "htb", "default", "10")
    one = ("class", "replace", "dev", host_name, "parent", "1:0", "classid", "1:10")
    rate = ("htb", "rate", f"{ingress}bit")
    return [(*one, *rate)] if "htb" in present else [root, (*one, *rate)]


def policing(host_name: str, egress: int, sources: Sequence[str] = (), priority: int = 0) -> str:
    """nft rules that replace those of the interface as packets arrive; none if nothing is asked for.

    sources: the only addresses that packets may come from; empty: any.
    """
    names.check_interface(host_name)
    table = f"netdev wardian_{host_name}"
    rules = list(_source_rules([ipaddress.ip_address(source) for source in sources]))
    if egress:
        rules.append(f"limit rate over {max(egress // 8, 1)} bytes/second burst {BURST} drop")
    if priority:
        rules.append(_mark(priority))
    text = f"add table {table}\ndelete table {table}\n"
    if rules:
        hook = f'type filter hook ingress device "{host_name}" priority 0; policy accept;'
        text += f"add table {table}\nadd chain {table} from_container {{ {hook} }}\n"
        text += "".join(f"add rule {table} from_container {rule}\n" for rule in rules)
    return text


def routing(host_name: str, priority: int, sender: Sequence[str]) -> str:
    """nft rules that replace those for what comes from the interface and is routed on.

    sender: where it comes from, as words of a rule.
    """
    names.check_interface(host_name)
    table = f"inet wardian_nic_{host_name}"
    text = f"add table {table}\ndelete table {table}\n"
    if priority:
        text += f"add table {table}\n"
        text += f"add chain {table} routed {{ type filter hook forward priority 0; policy accept; }}\n"
        text += f"add rule {table} routed {' '.join([*sender, _mark(priority)])}\n"
    return text


def sender(host_name: str, bridge: str = "", hwaddr: str = "") -> list[str]:
    """How packets from an interface of the host, or from one on a bridge, are told when they are routed."""
    names.check_interface(bridge or host_name)
    if not bridge:
        return [f'iifname "{host_name}"']
    return [f'iifname "{bridge}" ether saddr {values.parse_hwaddr(hwaddr)}']


def _mark(priority: int) -> str:
    return f"meta priority set 0:{priority:x}"


def _source_rules(sources: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Iterator[str]:
    for version, key, always in ((4, "ip", ()), (6, "ip6", ("::", "fe80::/10"))):
        own = [str(source) for source in sources if source.version == version]
        if sources and (own or always):
            yield f"{key} saddr != {{ {', '.join([*own, *always])} }} drop"
        elif sources:
            yield f"ether type {key} drop"


async def apply(
    what: str, host_name: str, rates: Rates, sources: Sequence[str], from_it: Sequence[str]
) -> None:
    """Make the kernel bound an interface that exists; the present bounds are replaced in place.

    from_it: as of `sender`.
    """
    await iproute.tc(what, shaping(host_name, rates.ingress, await iproute.qdiscs(host_name)))
    arriving = policing(host_name, rates.egress, sources, rates.priority)
    await nft.load(what, arriving + routing(host_name, rates.priority, from_it))


async def remove(what: str, host_name: str) -> None:
    """Take away what would outlive the interface."""
    await nft.load(what, policing(host_name, 0) + routing(host_name, 0, ()))
