"""Firewall of a managed bridge: one nftables table of our own, and peace with the others'.

An `accept` in our table cannot overrule a `drop` in somebody else's: the kernel asks every base
chain. So where another firewall (Docker, ufw, firewalld, ...) drops what it does not know, an accept
for the bridge is put at the head of that very chain, marked with a comment and removed with the
bridge. When that firewall is reloaded the mark is gone; `problem` then says so in one line.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardian.drivers.bridge import legacy
from wardian.errors import HostFailed
from wardian.linux import process
from wardian.model import network

log = logging.getLogger(__name__)

Json = dict[str, Any]
HOOKS = ("input", "forward")
FAMILIES = ("ip", "ip6", "inet")
FIREWALLD = "firewalld"


def table_name(bridge: str) -> str:
    """Our table for a bridge. Bridge names are unique on a host, so two daemons never clash."""
    return f"wardian_{bridge}"


def comment(bridge: str) -> str:
    """The mark of our rules in other firewalls' chains."""
    return f"wardian: network {bridge}"


# --- our own table -----------------------------------------------------------------------------


def table_commands(bridge: str, config: Mapping[str, str]) -> list[Json]:
    """Replace our table in one transaction: NAT, DHCP and DNS in, everything through."""
    table = {"family": "inet", "name": table_name(bridge)}
    commands: list[Json] = [
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
    ]
    for chain, kind, hook, priority in (
        ("nat", "nat", "postrouting", 100),
        ("in", "filter", "input", 0),
        ("forward", "filter", "forward", 0),
    ):
        commands.append(
            {
                "add": {
                    "chain": {
                        "family": "inet",
                        "table": table["name"],
                        "name": chain,
                        "type": kind,
                        "hook": hook,
                        "prio": priority,
                        "policy": "accept",
                    }
                }
            }
        )
    for family in (4, 6):
        own = network.interface(config, family)
        if own is not None and network.is_on(config, f"ipv{family}.nat"):
            commands.append(_rule(bridge, "nat", _masquerade(bridge, family, own.network)))
    commands.append(_rule(bridge, "nat", _hairpin(bridge)))
    for expression in _services(bridge):
        commands.append(_rule(bridge, "in", expression))
    for key in ("iifname", "oifname"):
        commands.append(_rule(bridge, "forward", [_interface(key, bridge), {"accept": None}]))
    return commands


def _rule(bridge: str, chain: str, expression: list[Json]) -> Json:
    rule = {"family": "inet", "table": table_name(bridge), "chain": chain, "expr": expression}
    return {"add": {"rule": rule}}


def _interface(key: str, name: str, op: str = "==") -> Json:
    return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": name}}


def _masquerade(bridge: str, family: int, subnet: network.Subnet) -> list[Json]:
    """What leaves the subnet, and not by the bridge: where br_netfilter is on, the kernel asks also about
    multicast and broadcast from one container to the others, which keeps its sender."""
    protocol = "ip" if family == 4 else "ip6"
    prefix = {"prefix": {"addr": str(subnet.network_address), "len": subnet.prefixlen}}

    def match(field: str, op: str) -> Json:
        left = {"payload": {"protocol": protocol, "field": field}}
        return {"match": {"op": op, "left": left, "right": prefix}}

    outside = _interface("oifname", bridge, "!=")
    return [outside, match("saddr", "=="), match("daddr", "!="), {"masquerade": None}]


def _hairpin(bridge: str) -> list[Json]:
    """What a port of the host led from one container back to another: the answer must come here, too."""
    redirected = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
    return [_interface("iifname", bridge), _interface("oifname", bridge), redirected, {"masquerade": None}]


def _services(bridge: str) -> list[list[Json]]:
    """Accept DNS and DHCP (v4 and v6) from the bridge. A rule for each port: of a set of them in its chains
    iptables-nft knows nothing, and would save a rule for all ports.
    """
    found = []
    for protocol, port in (("udp", 53), ("udp", 67), ("udp", 547), ("tcp", 53)):
        left = {"payload": {"protocol": protocol, "field": "dport"}}
        match = {"match": {"op": "==", "left": left, "right": port}}
        found.append([_interface("iifname", bridge), match, {"accept": None}])
    return found


# --- other firewalls ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """A base chain of another firewall. drops: what it does not know, by its policy."""

    family: str
    table: str
    name: str
    hook: str
    drops: bool

    @property
    def owner(self) -> str:
        """What people call the firewall."""
        return FIREWALLD if self.table == FIREWALLD else f'nftables chain "{self.table} {self.name}"'


def others_chains(listing: Mapping[str, Any]) -> list[Chain]:
    """From `nft -j list chains`: base chains of other firewalls that the bridge's traffic goes through."""
    found = []
    for item in listing.get("nftables", []):
        chain = item.get("chain", {})
        if (
            chain.get("type") != "filter"
            or chain.get("hook") not in HOOKS
            or chain["family"] not in FAMILIES
        ):
            continue
        drops = chain.get("policy") == "drop" or chain["table"] == FIREWALLD
        found.append(Chain(chain["family"], chain["table"], chain["name"], chain["hook"], drops))
    return [chain for chain in found if not chain.table.startswith("wardian_")]


def refuses_all(listing: Mapping[str, Any]) -> bool:
    """From `nft -j list chain`: whether a rule of it drops or rejects whatever comes to it."""
    rules = [item["rule"] for item in listing.get("nftables", []) if "rule" in item]
    return any(_is_refusal(rule.get("expr", [])) for rule in rules)


def _is_refusal(expression: Sequence[Json]) -> bool:
    statements = [each for each in expression if not each.keys() & {"counter", "log"}]
    if len(statements) != 1:
        return False
    by_iptables = statements[0].get("xt", {}) == {"type": "target", "name": "REJECT"}
    return by_iptables or bool(statements[0].keys() & {"drop", "reject"})


def accept_commands(chain: Chain, bridge: str) -> list[Json]:
    """Rules at the head of the chain that let the bridge's traffic pass."""
    expressions = (
        [[_interface("iifname", bridge)], [_interface("oifname", bridge)]]
        if chain.hook == "forward"
        else [rule[:-1] for rule in _services(bridge)]
    )
    place = {"family": chain.family, "table": chain.table, "chain": chain.name, "comment": comment(bridge)}
    return [{"insert": {"rule": {**place, "expr": [*e, {"accept": None}]}}} for e in expressions]


def marked_handles(listing: Mapping[str, Any], bridge: str) -> list[int]:
    """From `nft -j -a list chain`: handles of our rules in it."""
    rules = [item["rule"] for item in listing.get("nftables", []) if "rule" in item]
    return [rule["handle"] for rule in rules if rule.get("comment") == comment(bridge)]


# --- doing it ----------------------------------------------------------------------------------


async def _nft(what: str, commands: Sequence[Json]) -> None:
    await process.check(what, ["nft", "-j", "-f", "-"], stdin=json.dumps({"nftables": commands}).encode())


async def _list(*words: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(await process.check("list firewall rules", ["nft", "-j", *words]))
    return found


async def _rules_of(chain: Chain) -> Mapping[str, Any]:
    return await _list("-a", "list", "chain", chain.family, chain.table, chain.name)


async def _closed_chains() -> AsyncIterator[tuple[Chain, Mapping[str, Any]]]:
    """Chains of others that let nothing pass which they do not know, and their rules."""
    for chain in others_chains(await _list("list", "chains")):
        listing = await _rules_of(chain)
        if chain.drops or refuses_all(listing):
            yield chain, listing


async def apply(bridge: str, config: Mapping[str, str]) -> None:
    """Put our table in place and open the others for the bridge."""
    await _nft(f'set up the firewall of network "{bridge}"', table_commands(bridge, config))
    async for chain, listing in _closed_chains():
        if not marked_handles(listing, bridge):
            try:
                await _nft(f'let network "{bridge}" pass {chain.owner}', accept_commands(chain, bridge))
            except HostFailed as error:  # a table may belong to the process that made it; `problem` tells
                log.warning("%s", error)
    await legacy.apply(bridge, comment(bridge))


async def remove(bridge: str) -> None:
    """Take away all that `apply` did; harmless if nothing is there."""
    table = {"family": "inet", "name": table_name(bridge)}
    await _nft(
        f'remove the firewall of network "{bridge}"',
        [{"add": {"table": table}}, {"delete": {"table": table}}],
    )
    for chain in others_chains(await _list("list", "chains")):
        listing = await _rules_of(chain)
        place = {"family": chain.family, "table": chain.table, "chain": chain.name}
        doomed = [{"delete": {"rule": {**place, "handle": h}}} for h in marked_handles(listing, bridge)]
        if doomed:
            await _nft(f'remove the rules of network "{bridge}"', doomed)
    await legacy.remove(bridge, comment(bridge))


async def problem(bridge: str) -> str:
    """One line on what keeps the bridge's traffic from flowing, and what to type; or ""."""
    try:
        async for chain, listing in _closed_chains():
            if marked_handles(listing, bridge):
                continue
            if chain.table != FIREWALLD:
                return f"{chain.owner} drops traffic of {bridge}; restart lxd to open it again"
            if f'"{bridge}"' not in json.dumps(await _list("list", "table", chain.family, chain.table)):
                zone = f"firewall-cmd --permanent --zone=trusted --add-interface={bridge}"
                return f"{FIREWALLD} drops traffic of {bridge}; type `{zone}` and `firewall-cmd --reload`"
        return await legacy.problem(bridge, comment(bridge))
    except HostFailed as error:
        return str(error)
