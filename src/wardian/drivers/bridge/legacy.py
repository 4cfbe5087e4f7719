"""Peace with the older iptables: its chains are no nftables, so `nft` neither sees nor changes them.

Where one drops what it does not know, accepts for the bridge are put at its head, marked with a comment,
as in others' nftables chains (firewall.py). Nothing is done where that iptables has no rules loaded.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from wardian.linux import process

PROGRAMS = {
    "iptables-legacy": Path("/proc/net/ip_tables_names"),
    "ip6tables-legacy": Path("/proc/net/ip6_tables_names"),
}
"""Program -> where the kernel says which of its tables are in use."""
PATIENCE = ("--wait", "5")
"""Seconds to wait for others that change rules at the same time."""


def accepts(bridge: str, mark: str) -> dict[str, list[list[str]]]:
    """Chain -> the rules that let the bridge's traffic pass, as iptables takes them."""
    end = ["-m", "comment", "--comment", mark, "-j", "ACCEPT"]
    ports = (("udp", "53"), ("udp", "67"), ("udp", "547"), ("tcp", "53"))
    return {
        "FORWARD": [["-i", bridge, *end], ["-o", bridge, *end]],
        "INPUT": [["-i", bridge, "-p", protocol, "--dport", port, *end] for protocol, port in ports],
    }


def drops(listing: str) -> bool:
    """From `iptables -S CHAIN`: whether it drops or refuses what no rule is about."""
    lines = listing.splitlines()
    last = lines[-1].split() if lines else []
    is_refused = last[:1] == ["-A"] and last[2:4] in (["-j", "DROP"], ["-j", "REJECT"])
    return is_refused or any(line.startswith("-P") and line.endswith(" DROP") for line in lines)


def loaded() -> list[str]:
    """Programs whose filter rules are in force."""
    return [
        name for name, names in PROGRAMS.items() if names.exists() and "filter" in names.read_text().split()
    ]


async def apply(bridge: str, mark: str) -> None:
    """Open the chains that drop for the bridge."""
    for program in loaded():
        for chain, rules in accepts(bridge, mark).items():
            if shutil.which(program) and _is_closed(await _list(program, chain), mark):
                for rule in rules:
                    await _run(program, "-I", chain, *rule)


async def remove(bridge: str, mark: str) -> None:
    """Take the accepts away."""
    for program in loaded():
        for chain, rules in accepts(bridge, mark).items():
            if shutil.which(program) and mark in await _list(program, chain):
                for rule in rules:
                    await _run(program, "-D", chain, *rule)


async def problem(bridge: str, mark: str) -> str:
    """One line on what keeps the bridge's traffic from flowing, and what to do; or ""."""
    for program in loaded():
        if not shutil.which(program):
            return f"rules of {program} are loaded, but it is not installed; install the package iptables"
        for chain in accepts(bridge, mark):
            if _is_closed(await _list(program, chain), mark):
                return f"{program} chain {chain} drops traffic of {bridge}; restart lxd to open it again"
    return ""


def _is_closed(listing: str, mark: str) -> bool:
    return drops(listing) and mark not in listing


async def _list(program: str, chain: str) -> str:
    return (await _run(program, "-S", chain)).decode(errors="replace")


async def _run(program: str, *words: str) -> bytes:
    argv: Sequence[str] = (program, *PATIENCE, *words)
    return await process.check(f"change the rules of {program}", argv)
