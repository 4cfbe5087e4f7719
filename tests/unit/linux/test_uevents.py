"""What the kernel says of devices, decoded."""

from wardian.drivers import hotplug
from wardian.linux.uevents import Uevent, parse


def test_an_event_is_read() -> None:
    message = (
        b"add@/devices/virtual/block/loop9\0ACTION=add\0DEVPATH=/devices/virtual/block/loop9\0"
        b"SUBSYSTEM=block\0MAJOR=7\0MINOR=9\0DEVNAME=loop9\0SEQNUM=77\0"
    )
    assert parse(message) == Uevent("add", "block", "loop9")
    assert parse(b"add@/x\0ACTION=add\0SUBSYSTEM=net\0") == Uevent("add", "net", "")


def test_what_an_event_says_came_or_went() -> None:
    assert hotplug.part(Uevent("offline", "cpu", "")) == "cpus"
    assert hotplug.part(Uevent("add", "block", "loop9")) == "devices"
    for other in (
        Uevent("change", "cpu", ""),
        Uevent("add", "net", ""),
        Uevent("bind", "usb", "bus/usb/1/2"),
    ):
        assert hotplug.part(other) is None


def test_what_is_no_event_is_none() -> None:
    for message in (b"", b"libudev\0\xfe\xed", b"@\0", b"add@/x\0", b"\xff\xff\0ACTION"):
        assert parse(message) is None
