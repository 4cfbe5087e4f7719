"""Device types by name. A new type is one file here and its row in model/devices.py."""

from wardian.drivers.devices.disk import DiskDevice
from wardian.drivers.devices.nic import NicDevice
from wardian.drivers.devices.none import NoDevice
from wardian.drivers.devices.proxy import ProxyDevice
from wardian.model.paths import Paths
from wardian.ports import DeviceDriver


def drivers(paths: Paths) -> dict[str, DeviceDriver]:
    """One driver for each device type."""
    return {
        "disk": DiskDevice(),
        "nic": NicDevice(),
        "none": NoDevice(),
        "proxy": ProxyDevice(paths.forwarder, paths.logs / "forwarder.log"),
    }
