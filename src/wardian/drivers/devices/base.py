"""What device drivers share: steps that most types have nothing to do for."""

from collections.abc import Mapping

from wardian.model.plans import DevicePlan
from wardian.ports.runtime import Started


class Device:
    """A device whose steps do nothing; a type overrides those that it needs (see ports.DeviceDriver)."""

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """See ports.DeviceDriver."""

    async def prepare(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""

    async def release(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""

    async def cut_off(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""

    async def connected(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""

    async def change(self, old: DevicePlan, new: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
