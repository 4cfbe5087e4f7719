"""Device type `disk`: a file or folder of the host, bound into the container at its start.

The root disk (path `/`) is the container's own volume and needs no plan.
"""

from collections.abc import Mapping
from pathlib import Path

from wardian.errors import InvalidInput
from wardian.model.units import is_true
from wardian.ports import DevicePlan, Mount


class DiskDevice:
    """Plans one bind mount."""

    def plan(self, name: str, options: Mapping[str, str]) -> DevicePlan:
        """See ports.DeviceDriver."""
        target = options["path"].strip("/")
        if not target:
            return DevicePlan()
        source = Path(options["source"])
        if not source.exists():
            if is_true(options.get("optional", "")):
                return DevicePlan()
            raise InvalidInput(
                f'missing source "{source}" for disk "{name}"; create it, or set the device\'s optional=true'
            )
        mount = Mount(
            source=source,
            target=target,
            is_folder=source.is_dir(),
            read_only=is_true(options.get("readonly", "")),
            recursive=is_true(options.get("recursive", "")),
        )
        return DevicePlan(mounts=(mount,))
