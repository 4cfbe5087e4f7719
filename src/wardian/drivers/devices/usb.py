"""Device type `usb`: the nodes of USB devices of a vendor and product, wherever they are plugged in.

Read from sysfs: Documentation/ABI/stable/sysfs-bus-usb of the kernel.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.drivers.devices import nodes
from wardian.drivers.devices.mounts import MountedDevice
from wardian.errors import InvalidInput
from wardian.model.plans import DevicePlan
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext

FILES = {"vendorid": "idVendor", "productid": "idProduct", "serial": "serial"}


class UsbDevice(MountedDevice):
    """Plans a node for each USB device that fits."""

    def __init__(self, sysfs: Path = Path("/sys/bus/usb/devices")) -> None:
        self._sysfs = sysfs

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        found = list(self._fitting(options))
        if not found and is_true(options.get("required", "")):
            wish = ", ".join(f"{key} {options[key]}" for key in FILES if options.get(key)) or "at all"
            raise InvalidInput(
                f'device "{name}": this host has no USB device {wish}; plug it in, or set required=false'
            )
        return nodes.plan(name, options, found, around)

    def _fitting(self, options: Mapping[str, str]) -> Iterator[nodes.Found]:
        folders = sorted(self._sysfs.iterdir()) if self._sysfs.is_dir() else []
        for folder in folders:
            numbers = nodes.text_of(folder / "dev")
            bus, device = (nodes.text_of(folder / name) for name in ("busnum", "devnum"))
            if not (numbers and bus.isdigit() and device.isdigit()):
                continue  # an interface of a device, not a device
            wanted = {file: options[key] for key, file in FILES.items() if options.get(key)}
            if all(nodes.text_of(folder / file).lower() == text.lower() for file, text in wanted.items()):
                path = f"/dev/bus/usb/{int(bus):03}/{int(device):03}"
                yield nodes.Found(path, path, "char", *nodes.numbers(numbers))
