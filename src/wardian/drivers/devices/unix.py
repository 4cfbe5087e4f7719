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
        source = _source(options)
        target = options.get("path") or source
        at = self._find(name, options)
        if at is None:
            return DevicePlan(name)
        return nodes.plan(name, options, [nodes.Found(source, target, *at)], around)

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """See ports.DeviceDriver."""
        self._find(name, options)

    def _find(self, name: str, options: Mapping[str, str]) -> nodes.Numbers | None:
        """The numbers that are set, or those of the host's node; None where it may be missing."""
        if options.get("major"):
            return self._kind, int(options["major"]), int(options["minor"])
        source = _source(options)
        seen = nodes.look(Path("/") / source)
        if seen is None and is_true(options.get("required") or "true"):
            raise InvalidInput(
                f"device \"{name}\": The device path doesn't exist on the host and major/minor wasn't "
                f"specified: {source}; correct it, or set required=false"
            )
        if seen is not None and seen[0] != self._kind:
            words = {"char": "character", "block": "block"}
            raise InvalidInput(
                f'device "{name}": Path specified for unix-{self._kind} device is a {words[seen[0]]} device.'
            )
        return seen


def _source(options: Mapping[str, str]) -> str:
    return options.get("source") or options["path"]
