"""Device types `unix-char` and `unix-block`: a device node of the host, or one of given numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from wardian.drivers.devices import nodes
from wardian.drivers.devices.mounts import MountedDevice
from wardian.errors import InvalidInput
from wardian.model.plans import DevicePlan
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext


class UnixDevice(MountedDevice):
    """Plans one node."""

    def __init__(self, kind: Literal["char", "block"]) -> None:
        self._kind: Literal["char", "block"] = kind

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        source = options.get("source") or options["path"]
        target = options.get("path") or source
        if options.get("major"):
            at = (self._kind, int(options["major"]), int(options["minor"]))
        else:
            seen = nodes.look(Path("/") / source)
            if seen is None:
                if not is_true(options.get("required") or "true"):
                    return DevicePlan(name)
                raise InvalidInput(
                    f'device "{name}": "{source}" is no device of this host and major/minor are not set; '
                    "correct it, or set required=false"
                )
            at = seen
        if at[0] != self._kind:
            words = {"char": "character", "block": "block"}
            raise InvalidInput(
                f'device "{name}": Path specified for unix-{self._kind} device is a {words[at[0]]} device.'
            )
        return nodes.plan(name, options, [nodes.Found(source, target, *at)], around)
