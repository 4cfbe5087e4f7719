"""DHCP and DNS of a managed bridge: one dnsmasq each, a process of its own that outlives the daemon."""

import ipaddress
import os
import pwd
import shutil
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wardian.errors import InvalidInput
from wardian.linux import dhcp, process
from wardian.model import names, network, values
from wardian.ports.network import Lease, Reservation

LEASE_TIME = "1h"
USERS = ("dnsmasq", "nobody")
LEASES = "dnsmasq.leases"
HOSTS = "dnsmasq.hosts"
"""The file of reserved addresses; dnsmasq reads it again on SIGHUP, with all leases kept."""


def config_text(name: str, config: Mapping[str, str], folder: Path, user: str) -> str:
    """The whole configuration file; no value can add a line."""
    domain = network.get(config, "dns.domain")
    lines = [
        "no-resolv" if not os.path.exists("/etc/resolv.conf") else "resolv-file=/etc/resolv.conf",
        "no-hosts",
        "strict-order",
        "bind-interfaces",
        "except-interface=lo",
        "no-ping",
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
        "dhcp-authoritative",
        "dhcp-no-override",
        "expand-hosts",
        f"interface={name}",
        f"domain={domain}",
        f"local=/{domain}/",
        f"user={user}",
        f"pid-file={folder / 'dnsmasq.pid'}",
        f"dhcp-leasefile={folder / LEASES}",
        f"dhcp-hostsfile={folder / HOSTS}",
    ]
    ipv4, ipv6 = network.interface(config, 4), network.interface(config, 6)
    if ipv4 is not None:
        lines.append(f"listen-address={ipv4.ip}")
        if network.is_on(config, "ipv4.dhcp"):
            first, last = ipv4.network[2], ipv4.network[-2]
            lines.append(f"dhcp-range={first},{last},{ipv4.netmask},{LEASE_TIME}")
            lines.append(f"dhcp-lease-max={ipv4.network.num_addresses}")
            lines.append(f"dhcp-option=option:domain-search,{domain}")
    if ipv6 is not None:
        lines += [
            f"listen-address={ipv6.ip}",
            "enable-ra",
            f"dhcp-range={_range6(name, config, ipv6.network)}",
            f"dhcp-option=option6:domain-search,{domain}",
        ]
    if any(ord(c) < 32 for line in lines for c in line):
        raise InvalidInput(f'network "{name}": a value contains a control character')
    return "".join(f"{line}\n" for line in lines)


def _range6(name: str, config: Mapping[str, str], subnet: network.Subnet) -> str:
    if not network.is_on(config, "ipv6.dhcp.stateful"):
        return f"::,constructor:{name},ra-stateless,ra-names"
    return f"{subnet[2]},{subnet[-1]},{subnet.prefixlen},{LEASE_TIME}"


def hosts_text(reserved: Iterable[Reservation]) -> str:
    """The file of reserved addresses; no value can add a line or a field."""
    lines = []
    for found in reserved:
        addresses = [ipaddress.ip_address(address) for address in found.addresses]
        words = [str(a) if a.version == 4 else f"[{a}]" for a in addresses]
        names.check_container(found.hostname)
        lines.append(",".join([values.parse_hwaddr(found.hwaddr), *words, found.hostname]))
    return "".join(f"{line}\n" for line in sorted(lines))


async def reserve(name: str, folder: Path, reserved: Sequence[Reservation]) -> None:
    """Have dnsmasq give these systems their addresses and nobody else, from now on.

    A lease of such an address to another system would keep it from its owner until it ends: it is
    forgotten, which dnsmasq can only do while it does not run.
    """
    text, file = hosts_text(reserved), folder / HOSTS
    if file.exists() and file.read_text() == text:
        return
    new = folder / f".tmp-{HOSTS}"
    new.write_text(text)
    new.chmod(0o644)
    os.replace(new, file)
    pid = running(folder)
    if not pid:
        return
    owners = {address: found.hwaddr.lower() for found in reserved for address in found.addresses}
    if any(owners.get(lease.address, lease.hwaddr) != lease.hwaddr for lease in leases(folder)):
        await stop(folder)
        _forget_leases(folder / LEASES, owners)
        await _start(name, folder)
    else:
        os.kill(pid, signal.SIGHUP)


def _forget_leases(file: Path, owners: Mapping[str, str]) -> None:
    def kept(line: str) -> bool:
        fields = line.split()
        return len(fields) < 4 or owners.get(fields[2], fields[1]) == fields[1]

    text = "".join(line for line in file.read_text().splitlines(keepends=True) if kept(line))
    new = file.with_name(f".tmp-{file.name}")
    new.write_text(text)
    shutil.copystat(file, new)
    os.chown(new, file.stat().st_uid, file.stat().st_gid)
    os.replace(new, file)


def _user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in known)


async def ensure(name: str, config: Mapping[str, str], folder: Path) -> None:
    """Have dnsmasq run with this configuration: left alone if it does, else (re)started."""
    folder.mkdir(mode=0o755, exist_ok=True)
    file = folder / "dnsmasq.conf"
    text = config_text(name, config, folder, _user())
    if running(folder) and file.exists() and file.read_text() == text:
        return
    await stop(folder)
    file.write_text(text)
    hosts = folder / HOSTS
    if not hosts.exists():
        hosts.write_text("")
    await _start(name, folder)


async def _start(name: str, folder: Path) -> None:
    file = folder / "dnsmasq.conf"
    await process.check(f'start dnsmasq for network "{name}"', ["dnsmasq", f"--conf-file={file}"])


def running(folder: Path) -> int:
    """The pid of the dnsmasq that runs from this folder; 0 if none does."""
    try:
        pid = int((folder / "dnsmasq.pid").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    return pid if f"--conf-file={folder / 'dnsmasq.conf'}".encode() in arguments else 0


async def stop(folder: Path) -> None:
    """End it and wait until it is gone; harmless if none runs."""
    pid = running(folder)
    if not pid:
        return
    fd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        await process.wait_readable(fd)
    finally:
        os.close(fd)


def leases(folder: Path) -> list[Lease]:
    """What dnsmasq has given out: lines `expiry MAC address hostname client-id`."""
    try:
        lines = (folder / LEASES).read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) >= 4 and fields[0].isdigit() and ":" in fields[1]:
            found.append(Lease(hostname=fields[3].strip("*"), hwaddr=fields[1], address=fields[2]))
    return found


def give_back(name: str, folder: Path, server: str, hwaddr: str) -> None:
    """Have dnsmasq forget the addresses that it has lent to a system, which is gone. OSError.

    server: the bridge's own address. An IPv6 address stays lent for its time: there are enough.
    """
    for address, client_id in _lent(folder, hwaddr):
        dhcp.release(name, server, address, hwaddr, client_id)


def _lent(folder: Path, hwaddr: str) -> list[tuple[str, bytes]]:
    """(IPv4 address, client id) of each lease of a MAC address."""
    if not any(lease.hwaddr == hwaddr for lease in leases(folder)):
        return []
    fields = [line.split() for line in (folder / LEASES).read_text().splitlines()]
    return [
        (words[2], bytes.fromhex(words[4].replace(":", "")) if words[4] != "*" else b"")
        for words in fields
        if len(words) == 5 and words[1] == hwaddr
    ]
