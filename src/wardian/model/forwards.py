"""Addresses of proxy devices: `tcp:ADDR:PORT`, `udp:ADDR:PORT`, `unix:PATH`. Pure."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from wardian.errors import InvalidInput
from wardian.model import nics
from wardian.model.container import Devices
from wardian.model.units import is_true

Kind = Literal["tcp", "udp", "unix"]
LONGEST_PATH = 107
"""Bytes that a socket's address holds (unix(7))."""
MOST_PORTS = 250
SYNTAX = "not tcp:ADDRESS:PORT, udp:ADDRESS:PORT or unix:PATH"

_INET = re.compile(r"(tcp|udp):(\[[0-9a-fA-F:.]+\]|[0-9.]+):([0-9,-]+)")


@dataclass(frozen=True)
class End:
    """One end of a proxy device. host, port: of tcp and udp; path: of unix, `@name` if abstract."""

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        return f"{self.kind}:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse(text: str) -> list[End]:
    """The ends that an address names, one for each port; InvalidInput for others."""
    if text.startswith("unix:"):
        return [End("unix", path=_path(text.removeprefix("unix:"), text))]
    match = _INET.fullmatch(text)
    if match is None:
        raise InvalidInput(f"Invalid value: {text} ({SYNTAX})")
    host = match[2].strip("[]")
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidInput(f"Invalid value: {text} ({host} is not an IP address)") from None
    if (parsed.version == 6) != match[2].startswith("["):
        raise InvalidInput(f"Invalid value: {text} (an IPv6 address is written in brackets)")
    return [End(cast(Kind, match[1]), str(parsed), port) for port in _ports(match[3], text)]


def _path(path: str, text: str) -> str:
    parts = path.split("/")
    is_abstract = path.startswith("@") and len(path) > 1
    if not is_abstract and (parts[0] or len(parts) < 2 or "" in parts[1:] or "." in parts or ".." in parts):
        raise InvalidInput(f"Invalid value: {text} (not a plain absolute path, nor @NAME)")
    if len(path.encode()) > LONGEST_PATH:
        raise InvalidInput(f"Invalid value: {text} (longer than {LONGEST_PATH} bytes)")
    return path


def _ports(text: str, whole: str) -> list[int]:
    found: list[int] = []
    for word in text.split(","):
        first, dash, last = word.partition("-")
        numbers = [int(n) if n.isdigit() and len(n) < 6 else 0 for n in (first, last if dash else first)]
        if not 0 < numbers[0] <= numbers[1] < 65536:
            raise InvalidInput(f"Invalid value: {whole} ({word} is not a port or a range of ports)")
        if len(found) + numbers[1] - numbers[0] >= MOST_PORTS:
            raise InvalidInput(f"Invalid value: {whole} (more than {MOST_PORTS} ports)")
        found += range(numbers[0], numbers[1] + 1)
    return found


def pairs(options: Mapping[str, str]) -> list[tuple[End, End]]:
    """(listen, connect) for each port; InvalidInput if both do not fit each other."""
    listen, connect = parse(options["listen"]), parse(options["connect"])
    if ("udp" in (listen[0].kind, connect[0].kind)) and listen[0].kind != connect[0].kind:
        raise InvalidInput("a proxy from udp leads to udp, and one from tcp or unix to tcp or unix")
    if len(connect) == 1:
        connect *= len(listen)
    if len(listen) != len(connect):
        raise InvalidInput(
            f'"listen" names {len(listen)} ports and "connect" {len(connect)}: name one, or as many'
        )
    return list(zip(listen, connect, strict=True))


def check(options: Mapping[str, str]) -> None:
    """What the properties of a proxy device mean together; InvalidInput otherwise."""
    for key in ("listen", "connect"):
        if not options.get(key):
            raise InvalidInput(f'Proxy entry is missing the required "{key}" property.')
    (listen, connect), *_ = pairs(options)
    is_file = listen.kind == "unix" and not listen.path.startswith("@")
    for key in ("uid", "gid", "mode"):
        if options.get(key) and not is_file:
            raise InvalidInput(f'"{key}" is of the socket file that "listen=unix:PATH" makes')
    if is_true(options.get("proxy_protocol", "")) and (listen.kind, connect.kind) not in (
        ("tcp", "tcp"),
        ("tcp", "unix"),
    ):
        raise InvalidInput('"proxy_protocol" tells who connects by tcp; "listen" is not tcp')
    if is_nat(options):
        _check_nat(options, listen, connect)


def is_nat(options: Mapping[str, str]) -> bool:
    """Whether the kernel carries the traffic."""
    return is_true(options.get("nat", ""))


def _check_nat(options: Mapping[str, str], listen: End, connect: End) -> None:
    if options.get("bind") == "container":
        raise InvalidInput('"nat" is for ports of the host: remove "bind=container"')
    if listen.kind == "unix" or connect.kind != listen.kind:
        raise InvalidInput('"nat" leads from tcp to tcp and from udp to udp')
    if nics.family(listen.host) != nics.family(connect.host):
        raise InvalidInput('"nat" leads from IPv4 to IPv4 and from IPv6 to IPv6')
    if is_true(options.get("proxy_protocol", "")):
        raise InvalidInput('with "nat" the container sees who connects: remove "proxy_protocol"')
    for key, end in (("listen", listen), ("connect", connect)):
        if ipaddress.ip_address(end.host).is_loopback:
            raise InvalidInput(f'"{key}": {end.host} cannot be reached from outside, which "nat" is for')


def with_targets(devices: Devices, config: Mapping[str, str]) -> Devices:
    """Devices of a container, with the address of a nic in place of `0.0.0.0` and `[::]` of "nat" proxies.

    config: of the container, with its volatile keys. InvalidInput naming a proxy that leads nowhere.
    """
    own = _fixed(devices, config)
    return {
        name: {**device, "connect": _target(name, device["connect"], own)} if _leads(device) else device
        for name, device in devices.items()
    }


def check_targets(devices: Devices, config: Mapping[str, str]) -> None:
    """Refuse a "nat" proxy without a nic that keeps the address it leads to, and a port that is led twice
    (InvalidInput).

    config: of the container; addresses that will be chosen count, too.
    """
    awaited = [
        "0.0.0.0" if family == 4 else "::"
        for family in nics.FAMILIES
        if any(nics.needs_address(device, family) for device in devices.values())
    ]
    own = _fixed(devices, config) + awaited
    owners: dict[End, str] = {}
    for name, device in sorted(devices.items()):
        if _leads(device):
            _target(name, device["connect"], own)
            for end in parse(device["listen"]):
                if end in owners:
                    raise InvalidInput(f'devices "{owners[end]}" and "{name}" both listen on {end}')
                owners[end] = name


def _leads(device: Mapping[str, str]) -> bool:
    return device.get("type") == "proxy" and is_nat(device)


def _fixed(devices: Devices, config: Mapping[str, str]) -> list[str]:
    found = []
    for name, device in devices.items():
        if device.get("type") == "nic" and nics.kind(device) in ("bridged", "routed"):
            volatile = {option: config.get(f"volatile.{name}.{option}", "") for option in nics.CHOSEN}
            found += nics.fixed_addresses(device, volatile)
    return found


def _target(name: str, connect: str, own: Sequence[str]) -> str:
    kind, _, rest = connect.partition(":")
    host, _, ports = rest.rpartition(":")
    address = str(ipaddress.ip_address(host.strip("[]")))
    family = nics.family(address)
    fitting = [one for one in own if nics.family(one) == family]
    if ipaddress.ip_address(address).is_unspecified and fitting:
        return f"{kind}:{fitting[0] if family == 4 else f'[{fitting[0]}]'}:{ports}"
    if address not in own:
        raise InvalidInput(
            f'device "{name}": "nat" leads to an address that a nic keeps; set "ipv{family}.address" of one'
            + ("" if ipaddress.ip_address(address).is_unspecified else f" to {address}")
        )
    return connect
