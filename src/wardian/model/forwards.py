"""Addresses of proxy devices: `tcp:ADDR:PORT`, `udp:ADDR:PORT`, `unix:PATH`. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from wardian.errors import InvalidInput
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
