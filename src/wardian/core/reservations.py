"""Addresses that DHCP keeps for containers (`ipv4.address`, `ipv6.address` of bridged nics).

What is kept follows from the records alone. Where two containers name the same address, the one
that runs has it, and the other is refused when it starts.
"""

import ipaddress
import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardian.core.host import Host
from wardian.errors import InvalidInput, WardianError
from wardian.model import expand, network, nics
from wardian.model.container import Config, Container, Devices, Network, Profile
from wardian.ports.network import Reservation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """A container's nic that has addresses of its own. network: name of the bridge."""

    container: str
    device: str
    network: str
    hwaddr: str
    addresses: tuple[str, ...]


def claims(container: Container, devices: Devices) -> Iterator[Claim]:
    """Those of a container with its expanded devices."""
    for name, device in devices.items():
        found = nics.reserved(device, _volatile(container, name))
        if found is not None:
            parent, hwaddr, addresses = found
            yield Claim(container.name, name, parent, hwaddr, tuple(addresses))


def _volatile(container: Container, device: str) -> dict[str, str]:
    """What `volatile.DEVICE.*` holds."""
    prefix = f"volatile.{device}."
    return {k.removeprefix(prefix): v for k, v in container.config.items() if k.startswith(prefix)}


async def check(host: Host, devices: Devices) -> None:
    """Refuse a nic that may only use an address that nothing chooses for it (InvalidInput)."""
    for name, device in devices.items():
        if nics.needs_address(device, 4):
            bridge = nics.plain(device)["parent"]
            found = await host.records.networks.find(bridge)
            if found is None or not network.gives_addresses(found.config, 4):
                raise InvalidInput(
                    f'nic "{name}": "security.ipv4_filtering" needs "ipv4.address" (or "none"): '
                    f'"{bridge}" is not a managed network with DHCP'
                )


async def choose(host: Host, container: Container, devices: Devices) -> Config:
    """Volatile keys of the addresses that nics have to get from their networks; kept ones where they fit.

    container: with its MAC addresses. HostFailed if a network has no address left.
    """
    chosen: Config = {}
    for name, device in devices.items():
        for family in nics.FAMILIES:
            if not nics.needs_address(device, family):
                continue
            found = await host.records.networks.find(nics.plain(device)["parent"])
            if found is not None and network.gives_addresses(found.config, family):
                hwaddr = device.get("hwaddr") or container.config[f"volatile.{name}.hwaddr"]
                key = f"volatile.{name}.ipv{family}.address"
                present = container.config.get(key, "")
                others = await _taken(host, found.name, container, devices, name, set(chosen.values()))
                chosen[key] = await _free(host, found, family, hwaddr.lower(), present, others)
    return chosen


async def _taken(
    host: Host, bridge: str, container: Container, devices: Devices, name: str, more: set[str]
) -> set[str]:
    """Addresses on a network that records give to other nics than the one of that name."""
    profiles = {profile.name: profile for profile in await host.records.profiles.all()}
    others = [other for other in await host.records.containers.all() if other.name != container.name]
    found = [claim for other in others for claim in claims(other, _devices(other, profiles))]
    found += [claim for claim in claims(container, devices) if claim.device != name]
    return more | {address for claim in found if claim.network == bridge for address in claim.addresses}


async def _free(host: Host, found: Network, family: int, hwaddr: str, present: str, others: set[str]) -> str:
    """The present address, or that of the lease that the nic has, or a free one."""
    own = network.interface(found.config, family)
    assert own is not None
    leases = [lease for lease in await host.bridge.leases(found) if nics.family(lease.address) == family]
    taken = {str(own.ip), *others}
    leased = [lease.address for lease in leases if lease.hwaddr == hwaddr]
    lent = {lease.address for lease in leases if lease.hwaddr != hwaddr}
    if isinstance(own.network, ipaddress.IPv6Network):
        leased.append(str(nics.eui64(hwaddr, own.network)))  # what it gives itself, too
    for address in [present, *leased]:
        if address and address not in taken and nics.is_in(address, own.network):
            return address
    return nics.free_address(found.name, own.network, taken | lent, random.SystemRandom())


async def settle(host: Host, container: Container, devices: Devices, was: Devices | None = None) -> None:
    """Have DHCP keep the addresses of a container that runs from now on, and those of all others.

    was: the devices that it had before. InvalidInput if another container that runs has one of the
    addresses, or the network does not.
    """
    own = list(claims(container, devices))
    if own or any(claims(container, was or {})):
        managed = {found.name: found for found in await host.records.networks.all()}
        for claim in own:
            _check(claim, managed)
        await _apply(host, await _all(host, container, own), list(managed.values()))


async def release(host: Host, container: Container) -> None:
    """A container is gone: its addresses are free, those too that DHCP has lent it. Failures are logged."""
    profiles = {profile.name: profile for profile in await host.records.profiles.all()}
    devices = _devices(container, profiles)
    managed = {found.name: found for found in await host.records.networks.all()}
    try:
        if any(claims(container, devices)):
            await settle_all(host)
        for name, device in devices.items():
            on = nics.on_bridge(device, _volatile(container, name))
            if on is not None and on[0] in managed:
                await host.bridge.give_back(managed[on[0]], on[1])
    except WardianError as error:
        log.warning('container "%s" is gone: %s', container.name, error)


def _devices(container: Container, profiles: Mapping[str, Profile]) -> Devices:
    used = [profiles[name] for name in container.profiles if name in profiles]
    return expand.expand_devices(used, container.devices)


async def all_claims(host: Host) -> list[Claim]:
    """Which addresses are kept for whom; of two that want the same, who runs."""
    return await _all(host, None, [])


async def settle_all(host: Host) -> None:
    """Have DHCP keep what the records say."""
    await _apply(host, await _all(host, None, []), await host.records.networks.all())


async def _all(host: Host, first: Container | None, own: list[Claim]) -> list[Claim]:
    """Every claim that counts: the given ones, then those of containers that run, then the rest."""
    profiles = {profile.name: profile for profile in await host.records.profiles.all()}
    others = [c for c in await host.records.containers.all() if first is None or c.name != first.name]
    found = list(own)
    for container in sorted(others, key=lambda c: (c.name not in host.running, c.name)):
        for claim in claims(container, _devices(container, profiles)):
            rival = next((other for other in found if _collide(other, claim)), None)
            if rival is None:
                found.append(claim)
            elif first and rival.container == first.name and container.name in host.running:
                raise InvalidInput(
                    f'nic "{rival.device}": container "{container.name}" runs with the same address on '
                    f'"{claim.network}"; choose another one'
                )
    return found


def _collide(one: Claim, other: Claim) -> bool:
    return one.network == other.network and not set(one.addresses).isdisjoint(other.addresses)


def _check(claim: Claim, managed: Mapping[str, Network]) -> None:
    found = managed.get(claim.network)
    if found is None:
        return  # a bridge of somebody else: the addresses are those that filters let through
    for address in claim.addresses:
        family = nics.family(address)
        own = network.interface(found.config, family)
        if own is None or not nics.is_in(address, own.network) or str(own.ip) == address:
            shown = own.network if own else f"none of IPv{family}"
            raise InvalidInput(
                f'nic "{claim.device}": {address} is not an address of "{claim.network}" ({shown})'
            )


async def _apply(host: Host, found: list[Claim], networks: list[Network]) -> None:
    by_network: dict[str, list[Reservation]] = defaultdict(list)
    for claim in found:
        by_network[claim.network].append(Reservation(claim.container, claim.hwaddr, claim.addresses))
    for known in networks:
        await host.bridge.reserve(known, by_network[known.name])
