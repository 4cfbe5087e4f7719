"""Device types by name. A new type is one file here and its row in model/devices.py."""

from wardian.drivers.devices.disk import DiskDevice
from wardian.drivers.devices.gpu import GpuDevice
from wardian.drivers.devices.nic import NicDevice
from wardian.drivers.devices.none import NoDevice
from wardian.drivers.devices.proxy import ProxyDevice
from wardian.drivers.devices.unix import UnixDevice
from wardian.drivers.devices.usb import UsbDevice
from wardian.model.paths import Paths
from wardian.ports.runtime import DeviceDriver


def drivers(paths: Paths) -> dict[str, DeviceDriver]:
    """One driver for each device type."""
    return {
        "none": NoDevice(),
        "nic": NicDevice(),
        "disk": DiskDevice(),
        "unix-char": UnixDevice("char"),
        "unix-block": UnixDevice("block"),
        "usb": UsbDevice(),
        "gpu": GpuDevice(),
        "proxy": ProxyDevice(paths.forwarder, paths.logs / "forwarder.log"),
    }
