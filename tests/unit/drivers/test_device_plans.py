"""What devices plan, from trees like those of sysfs."""

import os
from pathlib import Path

import pytest

from wardian.drivers.devices.disk import DiskDevice
from wardian.drivers.devices.gpu import GpuDevice
from wardian.drivers.devices.unix import UnixDevice
from wardian.drivers.devices.usb import UsbDevice
from wardian.errors import InvalidInput
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Mount, Node
from wardian.ports.runtime import DeviceContext

AROUND = DeviceContext("c1", Path("/devices/c1"), Path("/pool/c1"), IdMap.contiguous(1_000_000, 65536), {})
PRIVILEGED = DeviceContext("c1", Path("/devices/c1"), Path("/pool/c1"), IdMap(), {})


def sources(plan: DevicePlan) -> list[str]:
    return [mount.source for mount in plan.mounts]


def test_a_folder_is_a_mount(tmp_path: Path) -> None:
    options = {"type": "disk", "source": str(tmp_path), "path": "/srv//x", "readonly": "true"}
    assert DiskDevice().plan("src", options, AROUND) == DevicePlan(
        "src",
        mounts=(
            Mount(
                source=str(tmp_path),
                place="/devices/c1/disk.src",
                target="srv//x",
                is_folder=True,
                group=1_000_000,
                read_only=True,
            ),
        ),
    )


def test_a_node_has_owners_of_the_host() -> None:
    options = {"type": "unix-char", "source": "/dev/zero", "path": "dev/z", "uid": "5", "mode": "0600"}
    mount = UnixDevice("char").plan("z", options, AROUND).mounts[0]
    assert (mount.target, mount.node) == ("dev/z", Node("char", 1, 5, 1_000_005, 1_000_000, 0o600))
    mount = UnixDevice("char").plan("z", options, PRIVILEGED).mounts[0]
    assert mount.node == Node("char", 1, 5, 5, 0, 0o600)
    with pytest.raises(InvalidInput, match="the container has no uid 70000"):
        UnixDevice("char").plan("z", {**options, "uid": "70000"}, AROUND)


def test_a_node_that_is_not_required_may_be_missing() -> None:
    options = {"type": "unix-char", "path": "/dev/nothing-of-the-kind"}
    assert UnixDevice("char").plan("z", {**options, "required": "false"}, AROUND) == DevicePlan("z")
    with pytest.raises(InvalidInput, match="doesn't exist on the host and major/minor wasn't specified"):
        UnixDevice("char").plan("z", options, AROUND)


def test_a_node_is_looked_for_as_soon_as_it_is_configured(tmp_path: Path) -> None:
    check = UnixDevice("block").check
    check("z", {"path": "/dev/z", "major": "7", "minor": "1"})
    check("z", {"path": "/dev/nothing-of-the-kind", "required": "false"})
    with pytest.raises(InvalidInput, match="The device path doesn't exist on the host"):
        check("z", {"path": "/dev/nothing-of-the-kind"})
    with pytest.raises(InvalidInput, match="Path specified for unix-block device is a character device"):
        check("z", {"path": "/dev/null", "required": "false"})


def usb_device(sysfs: Path, name: str, **files: str) -> None:
    (sysfs / name).mkdir(parents=True)
    for file, text in files.items():
        (sysfs / name / file).write_text(f"{text}\n")


@pytest.fixture
def usb(tmp_path: Path) -> UsbDevice:
    mouse = {"idVendor": "046d", "idProduct": "c077", "busnum": "1", "devnum": "5", "dev": "189:4"}
    usb_device(tmp_path, "1-1", **mouse)
    usb_device(tmp_path, "1-1:1.0", bInterfaceClass="03")
    stick = {"idVendor": "0781", "idProduct": "5567", "busnum": "2", "devnum": "13", "dev": "189:140"}
    usb_device(tmp_path, "2-3", serial="ABC", **stick)
    return UsbDevice(tmp_path)


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        ({}, ["/dev/bus/usb/001/005", "/dev/bus/usb/002/013"]),
        ({"vendorid": "046D"}, ["/dev/bus/usb/001/005"]),
        ({"vendorid": "0781", "productid": "5567", "serial": "abc"}, ["/dev/bus/usb/002/013"]),
        ({"vendorid": "0781", "productid": "0000"}, []),
    ],
)
def test_usb_devices_are_found(usb: UsbDevice, wishes: dict[str, str], found: list[str]) -> None:
    plan = usb.plan("u", {"type": "usb", **wishes}, AROUND)
    assert sources(plan) == found
    if found == ["/dev/bus/usb/002/013"]:
        assert plan.mounts[0].node == Node("char", 189, 140, 1_000_000, 1_000_000, 0o660)


def test_a_usb_device_can_be_required(usb: UsbDevice) -> None:
    with pytest.raises(InvalidInput, match="no USB device vendorid ffff"):
        usb.plan("u", {"type": "usb", "vendorid": "ffff", "required": "true"}, AROUND)


@pytest.fixture
def gpu(tmp_path: Path) -> GpuDevice:
    drm = tmp_path / "drm"
    drm.mkdir()
    (drm / "card0-HDMI-A-1").mkdir()
    for number, vendor in enumerate(("0x8086", "0x10de")):
        slot = tmp_path / f"0000:0{number}:00.0"
        for name, device in ((f"card{number}", number), (f"renderD{128 + number}", 128 + number)):
            (slot / "drm" / name).mkdir(parents=True)
            (slot / "drm" / name / "dev").write_text(f"226:{device}\n")
        (slot / "vendor").write_text(f"{vendor}\n")
        (slot / "device").write_text("0x1234\n")
        os.symlink(slot, slot / "drm" / f"card{number}" / "device")
        os.symlink(slot / "drm" / f"card{number}", drm / f"card{number}")
    (tmp_path / "dev").mkdir()
    os.symlink("/dev/null", tmp_path / "dev/nvidiactl")
    return GpuDevice(drm, tmp_path / "dev")


FIRST = ["/dev/dri/card0", "/dev/dri/renderD128"]
SECOND = ["/dev/dri/card1", "/dev/dri/renderD129", "/dev/nvidiactl"]


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        ({}, FIRST + SECOND),
        ({"id": "0"}, FIRST),
        ({"vendorid": "10DE", "productid": "1234"}, SECOND),
        ({"pci": "01:00.0"}, SECOND),
        ({"pci": "0000:00:00.0"}, FIRST),
        ({"pci": "0000:07:00.0", "required": "false"}, []),
    ],
)
def test_graphics_cards_are_found(gpu: GpuDevice, wishes: dict[str, str], found: list[str]) -> None:
    assert sorted(sources(gpu.plan("g", {"type": "gpu", **wishes}, AROUND))) == sorted(found)


def test_a_missing_graphics_card_is_named(gpu: GpuDevice) -> None:
    with pytest.raises(InvalidInput, match="no graphics card id 9"):
        gpu.plan("g", {"type": "gpu", "id": "9"}, AROUND)
