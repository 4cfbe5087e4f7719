"""Device type `none`: hides a device of the same name that comes from an earlier profile."""

from collections.abc import Mapping

from wardian.ports import DevicePlan


class NoDevice:
    """Asks for nothing."""

    def plan(self, name: str, options: Mapping[str, str]) -> DevicePlan:
        """See ports.DeviceDriver."""
        return DevicePlan()
