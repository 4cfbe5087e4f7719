"""Device type `disk`: a file, a folder or a block device's file system of the host, or a custom volume.

The root disk (path `/`) is the container's own volume and needs no mount.
"""

from collections.abc import Mapping
from pathlib import Path

from wardian.drivers.devices.mounts import MountedDevice
from wardian.errors import InvalidInput
from wardian.linux import blockdevs
from wardian.model import shift, throttle
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Mount
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext


class DiskDevice(MountedDevice):
    """Plans one mount."""

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        target = options["path"].strip("/")
        if not target:
            return DevicePlan(name, throttles=_throttles(name, options, around.own_volume))
        source = around.volume or Path(options["source"])
        if not source.exists():
            if is_true(options.get("optional", "")):
                return DevicePlan(name)
            raise InvalidInput(
                f"Missing source '{source}' for disk '{name}'; create it, or set the device's optional=true"
            )
        is_block = source.is_block_device()
        mount = Mount(
            source=str(source),
            place=str(around.folder / f"disk.{name}"),
            target=target,
            is_folder=is_block or source.is_dir(),
            group=around.idmap.host_id("gid", 0) or 0,
            read_only=is_true(options.get("readonly", "")),
            recursive=is_true(options.get("recursive", "")) and not is_block,
            is_filesystem=is_block,
            owners=_owners(name, options, around),
        )
        return DevicePlan(name, mounts=(mount,), throttles=_throttles(name, options, source))


def _owners(name: str, options: Mapping[str, str], around: DeviceContext) -> IdMap | None:
    try:
        wanted = "true" if around.volume else options.get("shift", "")
        return shift.owners(wanted, around.idmap)
    except InvalidInput as error:
        raise InvalidInput(f'device "{name}": {error}') from None


def _throttles(name: str, options: Mapping[str, str], path: Path) -> tuple[throttle.Throttle, ...]:
    if not throttle.is_wanted(options):
        return ()
    found = blockdevs.behind(path)
    if not found:
        raise InvalidInput(
            f'device "{name}": there is no block device behind "{path}" that limits.* could apply to'
        )
    return tuple(throttle.of_disk(options, device) for device in found)
