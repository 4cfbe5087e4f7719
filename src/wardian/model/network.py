"""Managed networks: their keys, defaults, and the choice of free subnets. Pure."""

import ipaddress
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from wardian.errors import HostFailed, InvalidInput
from wardian.model import names, units
from wardian.model.container import Config

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network
TRIES = 500
NONE = "none"


def _address(version: int) -> Callable[[str], object]:
    def check(value: str) -> None:
        if value in (NONE, "auto"):
            return
        try:
            parsed = ipaddress.ip_interface(value)
        except ValueError:
            raise InvalidInput(f'"{value}" is not an address with prefix length, "auto" or "none"') from None
        if parsed.version != version or "/" not in value:
            raise InvalidInput(f'"{value}" is not an IPv{version} address with prefix length')
        if parsed.network.num_addresses < 8:
            raise InvalidInput(f'"{value}" leaves no addresses for containers')

    return check


def _mtu(value: str) -> None:
    if not 1280 <= units.parse_int(value) <= 65535:
        raise InvalidInput(f"{value} is not between 1280 and 65535")


def _domain(value: str) -> None:
    labels = value.split(".")
    if not all(0 < len(x) < 64 and x.replace("-", "a").isalnum() and x.isascii() for x in labels):
        raise InvalidInput(f'"{value}" is not a domain name')


def _text(value: str) -> None:
    if "\0" in value:
        raise InvalidInput("a NUL character is not allowed")


@dataclass(frozen=True)
class NetworkKey:
    """One key of a network's configuration; a trailing `*` stands for anything."""

    name: str
    check: Callable[[str], object]
    default: str
    help: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that completion offers."""
        is_address = self.name in ("ipv4.address", "ipv6.address")
        return ("auto", NONE) if is_address else units.BOOLEANS if self.check is units.parse_bool else ()


KEYS = (
    NetworkKey(
        "ipv4.address", _address(4), "auto", "address of the bridge, `none`, or `auto`: a free subnet"
    ),
    NetworkKey(
        "ipv4.nat", units.parse_bool, "true", "containers reach the outside under the host's address"
    ),
    NetworkKey("ipv4.dhcp", units.parse_bool, "true", "containers get addresses by DHCP"),
    NetworkKey(
        "ipv6.address", _address(6), "auto", "address of the bridge, `none`, or `auto`: a free subnet"
    ),
    NetworkKey(
        "ipv6.nat", units.parse_bool, "true", "containers reach the outside under the host's address"
    ),
    NetworkKey(
        "ipv6.dhcp.stateful",
        units.parse_bool,
        "false",
        "containers get addresses by DHCPv6, instead of making them from what the bridge announces",
    ),
    NetworkKey("bridge.mtu", _mtu, "1500", "largest packet, in bytes"),
    NetworkKey("dns.domain", _domain, "lxd", "domain that container names are in"),
    NetworkKey("user.*", _text, "", "free-form"),
)


def find(name: str) -> NetworkKey | None:
    """The key, or None."""
    for key in KEYS:
        if key.name == name or (key.name.endswith("*") and name.startswith(key.name[:-1])):
            return key
    return None


def get(config: Mapping[str, str], name: str) -> str:
    """The value that counts: the one that is set, else the default."""
    key = find(name)
    return config.get(name) or (key.default if key else "")


def is_on(config: Mapping[str, str], name: str) -> bool:
    """The boolean value that counts."""
    return units.is_true(get(config, name))


def check(name: str, config: Config) -> None:
    """Accept a network, or raise InvalidInput naming the key."""
    names.check_interface(name)
    for key_name, value in config.items():
        key = find(key_name)
        if key is None:
            known = ", ".join(known.name for known in KEYS)
            raise InvalidInput(f'network "{name}": unknown key "{key_name}" (known: {known})')
        try:
            key.check(value)
        except InvalidInput as error:
            raise InvalidInput(f'network "{name}": key "{key_name}": {error}') from error


def interface(
    config: Mapping[str, str], family: int
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    """The bridge's own address and subnet; None if it has none of this family (4 or 6)."""
    value = get(config, f"ipv{family}.address")
    return None if value in (NONE, "auto") else ipaddress.ip_interface(value)


def gives_addresses(config: Mapping[str, str], family: int) -> bool:
    """Whether systems on the bridge get addresses of the family by DHCP."""
    key = "ipv4.dhcp" if family == 4 else "ipv6.dhcp.stateful"
    return interface(config, family) is not None and is_on(config, key)


def free_subnet(family: int, used: Iterable[Subnet], rng: random.Random) -> str:
    """The first address of a random private subnet that overlaps none of `used`, with its length."""
    taken = [subnet for subnet in used if subnet.version == family]
    for _ in range(TRIES):
        subnet: Subnet
        if family == 4:
            subnet = ipaddress.IPv4Network(f"10.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.0/24")
        else:
            words = [f"{rng.randrange(65536):x}" for _ in range(3)]
            subnet = ipaddress.IPv6Network(f"fd42:{':'.join(words)}::/64")
        if not any(subnet.overlaps(other) for other in taken):
            return f"{subnet[1]}/{subnet.prefixlen}"
    raise HostFailed(f'no free IPv{family} subnet found; set "ipv{family}.address" yourself, or to "none"')


def check_free(name: str, key: str, address: str, others: Iterable[tuple[str, Subnet]]) -> None:
    """InvalidInput if the address that a key says takes the subnet of another interface.

    One within a larger subnet of another is no clash: the kernel prefers the smaller one.
    """
    if address in ("", NONE, "auto"):
        return
    own = ipaddress.ip_interface(address).network
    for other, subnet in others:
        if other != name and subnet.version == own.version and _within(subnet, own):
            raise InvalidInput(
                f'network "{name}": key "{key}": {own} takes {subnet}, where {other} is; '
                'choose another subnet, or "auto"'
            )


def _within(inner: Subnet, outer: Subnet) -> bool:
    return inner.overlaps(outer) and inner.prefixlen >= outer.prefixlen
