"""Device type `none`: hides a device of the same name that comes from an earlier profile."""

from collections.abc import Mapping

from wardian.drivers.devices.base import Device
from wardian.model.plans import DevicePlan
from wardian.ports.runtime import DeviceContext


class NoDevice(Device):
    """Asks for nothing."""

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        return DevicePlan(name)
