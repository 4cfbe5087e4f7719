"""Device type `nic`: bridged, p2p, macvlan and physical network interfaces.

liblxc makes the interface at start (and again at each reboot inside the container).
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from wardian.drivers.devices.base import Device
from wardian.errors import HostFailed, InvalidInput
from wardian.model.plans import DevicePlan, Nic
from wardian.ports import DeviceContext, Started

Kind = Literal["bridged", "p2p", "macvlan", "physical"]


class NicDevice(Device):
    """Plans one interface."""

    def __init__(self, interfaces: Path = Path("/sys/class/net")) -> None:
        self._interfaces = interfaces

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        options = {**around.volatile, **{key: value for key, value in options.items() if value}}
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
        return DevicePlan(name, nics=(nic,))

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        raise _not_live(plan, started)

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        raise _not_live(plan, started)

    def _mtu(self, parent: str) -> str:
        try:
            return (self._interfaces / parent / "mtu").read_text().strip() if parent else ""
        except OSError:
            return ""


def _not_live(plan: DevicePlan, started: Started) -> HostFailed:
    return HostFailed(
        f'nic "{plan.device}" of container "{started.name}" cannot change while it runs; stop it first'
    )
