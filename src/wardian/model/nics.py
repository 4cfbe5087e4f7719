"""Rules of the device type `nic` that its table of properties cannot say. Pure."""

import ipaddress
import random
from collections.abc import Callable, Collection, Mapping
from typing import Literal, cast

from wardian.errors import HostFailed, InvalidInput
from wardian.model.container import Devices
from wardian.model.units import is_true

Kind = Literal["bridged", "macvlan", "p2p", "physical", "routed"]
NONE = "none"
GUARDS = ("security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering")
FAMILIES = (4, 6)
PRIORITY, PRIORITY_KEY = "limits.priority", "limits.network.priority"
"""The property of a nic, and the key of the container that stands for it on all of its nics."""
GATEWAYS = {4: "169.254.0.1", 6: "fe80::1"}
"""Address of the host's end of a routed pair, by family: the container's way out."""


def plain(options: Mapping[str, str]) -> dict[str, str]:
    """The properties with `network=NAME` written as the bridge of that name."""
    found = dict(options)
    if network := found.pop("network", ""):
        found |= {"nictype": "bridged", "parent": network}
    return found


def kind(options: Mapping[str, str]) -> Kind:
    """How it is connected, of properties that were checked."""
    return cast(Kind, "bridged" if options.get("network") else options["nictype"])


def is_paired(options: Mapping[str, str]) -> bool:
    """Whether it is a pair of interfaces with one end on the host."""
    return kind(options) in ("bridged", "p2p", "routed")


def with_config(devices: Devices, config: Mapping[str, str]) -> Devices:
    """Expanded devices, with what keys of the container ask of all its nics written as their properties."""
    priority = config.get(PRIORITY_KEY, "")
    if not priority:
        return devices
    return {
        name: {**device, PRIORITY: device.get(PRIORITY) or priority} if _has_priority(device) else device
        for name, device in devices.items()
    }


def _has_priority(device: Mapping[str, str]) -> bool:
    return device.get("type") == "nic" and is_paired(device)


def addresses(options: Mapping[str, str]) -> list[str]:
    """Its own addresses, IPv4 first, in one spelling and without prefix length."""
    found = []
    for family in FAMILIES:
        for word in options.get(f"ipv{family}.address", "").split(","):
            if word.strip() not in ("", NONE):
                found.append(str(ipaddress.ip_address(word.strip())))
    return found


def family(address: str) -> int:
    """4 or 6."""
    return ipaddress.ip_address(address).version


def whole(address: str) -> str:
    """The address as a network of its own: `10.0.0.1/32`."""
    parsed = ipaddress.ip_address(address)
    return f"{parsed}/{parsed.max_prefixlen}"


def is_in(address: str, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Whether the address is one that systems of the subnet may have."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return parsed in subnet and parsed not in (subnet.network_address, subnet[-1])
    return parsed in subnet and parsed != subnet.network_address


def free_address(
    network: str,
    subnet: ipaddress.IPv4Network | ipaddress.IPv6Network,
    taken: Collection[str],
    rng: random.Random,
) -> str:
    """An address that a system of the subnet may have; HostFailed if all are taken.

    taken: those of others and that of the bridge.
    """
    size = subnet.num_addresses
    start = rng.randrange(size)
    for number in range(min(size, len(taken) + 3)):  # the first and the last one are no system's, either
        address = str(subnet[(start + number) % size])
        if address not in taken and is_in(address, subnet):
            return address
    raise HostFailed(
        f'network "{network}" has no address left ({subnet}); delete containers, or give it a larger subnet'
    )


def parse_address(family: int, *, several: bool) -> Callable[[str], list[str]]:
    """A parser of `ipvN.address`: one address (or `none`), or a list of them."""

    def parse(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",")] if several else [text]
        if not several and text == NONE:
            return []
        for word in words:
            _check_address(word, family)
        return words

    return parse


def _check_address(text: str, family: int) -> None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        parsed = None
    ordinary = parsed is not None and not (
        parsed.is_multicast or parsed.is_unspecified or parsed.is_loopback or parsed.is_link_local
    )
    if parsed is None or parsed.version != family or not ordinary or "%" in text:
        raise InvalidInput(f"Invalid value: {text} (not an IPv{family} address of a system)")


def check(options: Mapping[str, str]) -> None:
    """What properties mean together; InvalidInput otherwise."""
    if options.get("network"):
        for key, value in (("nictype", "bridged"), ("parent", options["network"])):
            if options.get(key) not in (None, "", value):
                raise InvalidInput(f'"network" says what "{key}" says too: remove one of them')
    how = kind(options)
    if how in ("bridged", "macvlan", "physical") and not (options.get("parent") or options.get("network")):
        raise InvalidInput(f"Missing parent for {how} type nic.")
    if how == "routed" and not addresses(options):
        raise InvalidInput('a routed nic needs "ipv4.address" or "ipv6.address"')


def check_names(devices: Mapping[str, Mapping[str, str]]) -> None:
    """No two interfaces of a container have the same name in it, or on the host; InvalidInput otherwise."""
    for key in ("name", "host_name"):
        seen: dict[str, str] = {}
        for device, options in sorted(devices.items()):
            name = options.get(key, "") if options.get("type") == "nic" else ""
            if name and name in seen:
                raise InvalidInput(f'nics "{seen[name]}" and "{device}" have the same "{key}": {name}')
            seen[name] = device


CHOSEN = ("hwaddr", "name", "host_name", *(f"ipv{family}.address" for family in FAMILIES))
"""Properties that are chosen and kept in `volatile.DEVICE.*` while they are not set."""


def chosen_for(key: str) -> tuple[str, str]:
    """(device, property) of a key `volatile.DEVICE.PROPERTY` of a nic; ("", "") for other keys."""
    for option in CHOSEN:
        device = key.removeprefix("volatile.").removesuffix(f".{option}")
        if device and key == f"volatile.{device}.{option}":
            return device, option
    return "", ""


def needs_address(device: Mapping[str, str], family: int) -> bool:
    """Whether it is a nic on a bridge that may use only what is chosen for it: it has no address set."""
    on_bridge = device.get("type") == "nic" and kind(device) == "bridged"
    guarded = is_true(device.get(f"security.ipv{family}_filtering", ""))
    return on_bridge and guarded and not device.get(f"ipv{family}.address")


def fixed_addresses(device: Mapping[str, str], volatile: Mapping[str, str]) -> list[str]:
    """Addresses that a nic has for good: those that are set, and those that were chosen for it.

    volatile: what `volatile.DEVICE.*` holds.
    """
    keys = [f"ipv{family}.address" for family in FAMILIES if needs_address(device, family)]
    return addresses({**device, **{key: volatile.get(key, "") for key in keys}})


def reserved(device: Mapping[str, str], volatile: Mapping[str, str]) -> tuple[str, str, list[str]] | None:
    """(network, MAC address, addresses) that DHCP keeps for a nic; None if it keeps none.

    volatile: what `volatile.DEVICE.*` holds.
    """
    on = on_bridge(device, volatile)
    own = fixed_addresses(device, volatile) if on else []
    return (*on, own) if on and own else None


def on_bridge(device: Mapping[str, str], volatile: Mapping[str, str]) -> tuple[str, str] | None:
    """(network, MAC address) of a nic on a bridge; None if it is none, or has no such address yet."""
    if device.get("type") != "nic" or kind(device) != "bridged":
        return None
    hwaddr = device.get("hwaddr") or volatile.get("hwaddr", "")
    return (plain(device)["parent"], hwaddr.lower()) if hwaddr else None


def eui64(hwaddr: str, subnet: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    """The address that a system gives itself in a /64 from its MAC address (RFC 4291 appendix A)."""
    octets = bytes.fromhex(hwaddr.replace(":", ""))
    own = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return subnet.network_address + int.from_bytes(own, "big")
