"""Device type `nic`: bridged, p2p, macvlan and physical network interfaces.

liblxc makes the interface at start (and again at each reboot inside the container).
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from wardian.errors import InvalidInput
from wardian.ports import DevicePlan, Nic

Kind = Literal["bridged", "p2p", "macvlan", "physical"]


class NicDevice:
    """Plans one interface."""

    def __init__(self, interfaces: Path = Path("/sys/class/net")) -> None:
        self._interfaces = interfaces

    def plan(self, name: str, options: Mapping[str, str]) -> DevicePlan:
        """See ports.DeviceDriver. `name` and `hwaddr` come filled in from volatile keys."""
        kind = cast(Kind, options["nictype"])
        parent = options.get("parent", "")
        if kind != "p2p" and not (self._interfaces / parent).exists():
            raise InvalidInput(
                f'missing parent "{parent}" for nic "{name}"; '
                f"create the network with `lxc network create {parent}` or change the device"
            )
        host_name = options.get("host_name", "")
        if not host_name and kind in ("bridged", "p2p"):
            host_name = f"veth{secrets.token_hex(4)}"
        nic = Nic(
            kind=kind,
            name=options.get("name", ""),
            parent=parent,
            host_name=host_name,
            hwaddr=options.get("hwaddr", ""),
            mtu=options.get("mtu", "") or self._mtu(parent),
        )
        return DevicePlan(nics=(nic,))

    def _mtu(self, parent: str) -> str:
        try:
            return (self._interfaces / parent / "mtu").read_text().strip() if parent else ""
        except OSError:
            return ""
