"""The table of device types: what is accepted, the texts of refusals, the order of set-up."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import devices, nics
from wardian.model.device_table import NIC_TYPES, DeviceType, Option

ROOT = {"type": "disk", "path": "/", "pool": "default"}
NIC = {"type": "nic", "nictype": "bridged", "parent": "lxdbr0", "name": "eth0"}
LAN = {"type": "nic", "nictype": "macvlan", "parent": "eno1"}
DATA = {"type": "disk", "path": "/data", "source": "/srv/data"}


def refusal(device: dict[str, str], *, name: str = "x") -> str:
    """The message with which a device is refused."""
    with pytest.raises(InvalidInput) as caught:
        devices.check({name: device}, expanded=False)
    return str(caught.value)


@pytest.mark.parametrize(
    "device",
    [
        ROOT,
        NIC,
        DATA,
        {"type": "none"},
        {**NIC, "mtu": "1500", "hwaddr": "00:16:3e:00:00:01", "host_name": "vc1"},
        {"type": "nic", "nictype": "p2p"},
        {"type": "nic", "network": "lxdbr0", "limits.max": "10Mbit"},
        {"type": "nic", "network": "lxdbr0", "nictype": "bridged", "parent": "lxdbr0"},
        {**NIC, "security.ipv4_filtering": "true", "ipv4.address": "none"},
        {**NIC, "security.ipv4_filtering": "true"},
        {"type": "nic", "nictype": "routed", "ipv4.address": "198.51.100.7, 198.51.100.8"},
        {"type": "proxy", "listen": "tcp:[::]:80", "connect": "unix:/run/x", "proxy_protocol": "true"},
        {"type": "proxy", "listen": "unix:/run/x", "connect": "tcp:127.0.0.1:80", "mode": "0600"},
        {"type": "nic", "nictype": "macvlan", "parent": "eth0"},
        {"type": "nic", "nictype": "physical", "parent": "eth1", "name": "wan0"},
        {**ROOT, "size": "10GB", "readonly": "true"},
        {**ROOT, "source": ""},
        {**DATA, "optional": "yes", "readonly": "no", "recursive": "1"},
        {**DATA, "shift": "1001:0", "limits.read": "10MB", "limits.write": "20iops", "limits.max": "1GB"},
        {"type": "unix-char", "path": "/dev/ttyS0", "uid": "1000", "gid": "5", "mode": "0640"},
        {"type": "unix-char", "source": "/dev/ttyS0", "required": "false"},
        {"type": "unix-block", "path": "/dev/x", "major": "7", "minor": "3"},
        {"type": "usb", "vendorid": "046D", "productid": "c52b", "serial": "A1", "required": "true"},
        {
            "type": "gpu",
            "id": "0",
            "vendorid": "8086",
            "productid": "1234",
            "pci": "01:00.0",
            "mode": "0666",
        },
    ],
)
def test_a_device_may_be(device: dict[str, str]) -> None:
    devices.check({"x": device}, expanded=False)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({}, "Missing device type for device 'x'"),
        (
            {"type": "floppy"},
            "Invalid device type for device 'x': floppy "
            "(not one of none, nic, disk, proxy, unix-char, unix-block, usb, gpu)",
        ),
    ],
)
def test_a_wrong_type_is_refused(device: dict[str, str], message: str) -> None:
    assert refusal(device) == message


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"type": "none", "path": "/"}, "Invalid device configuration key for none: path"),
        ({"type": "nic"}, "Missing nic type"),
        ({"type": "nic", "nictype": "ovn"}, "Bad nic type: ovn"),
        ({"type": "nic", "nictype": "bridged"}, "Missing parent for bridged type nic."),
        ({"type": "nic", "nictype": "macvlan", "parent": ""}, "Missing parent for macvlan type nic."),
        (
            {"type": "nic", "nictype": "p2p", "parent": "eth0"},
            "Invalid device configuration key for nic: parent",
        ),
        ({**NIC, "network": "br1"}, '"network" says what "parent" says too: remove one of them'),
        ({"type": "nic", "nictype": "routed"}, 'a routed nic needs "ipv4.address" or "ipv6.address"'),
        (
            {**NIC, "ipv4.address": "fd42::1"},
            "ipv4.address: Invalid value: fd42::1 (not an IPv4 address of a system)",
        ),
        (
            {**NIC, "limits.max": "1TB"},
            "limits.max: Unsupported suffix: TB (bits per second, as in 512kbit, 10Mbit, 1Gbit)",
        ),
        (
            {"type": "proxy", "listen": "tcp:1.2.3.4:1"},
            'Proxy entry is missing the required "connect" property.',
        ),
        ({**NIC, "vlan": "5"}, "Invalid device configuration key for nic: vlan"),
        ({**NIC, "mtu": "9"}, "mtu: Invalid value for an integer: 9 (not between 68 and 65535)"),
        ({"type": "disk"}, 'Disk entry is missing the required "path" property.'),
        ({"type": "disk", "path": "/a"}, 'Disk entry is missing the required "source" property.'),
        ({**ROOT, "source": "/srv"}, 'Root disk entry may not have a "source" property set.'),
        ({**DATA, "size": "1GB"}, "Only the root disk may have a size quota."),
        (
            {**DATA, "pool": "p"},
            'with "pool", "source" is the name of a volume, not a path of the host',
        ),
        (
            {**ROOT, "recursive": "true"},
            "The recursive option is only supported for additional bind-mounted paths.",
        ),
        ({**DATA, "hwaddr": "x"}, "Invalid device configuration key for disk: hwaddr"),
        ({"type": "unix-char"}, 'Unix device entry is missing the required "path" property.'),
        ({"type": "unix-char", "path": "/"}, "a device node cannot be at /"),
        (
            {"type": "unix-char", "path": "/dev/x", "major": "1"},
            "Both major and minor must be supplied for device: /dev/x",
        ),
        (
            {"type": "unix-block", "path": "/dev/x", "mode": "rw"},
            "mode: Invalid value: rw (not an octal mode such as 0660)",
        ),
        (
            {"type": "usb", "vendorid": "../x"},
            "vendorid: Invalid value: ../x (not four digits as in 046d)",
        ),
        (
            {"type": "nic", "nictype": "macvlan", "parent": "eth0", "limits.max": "1Mbit"},
            "Network limits are only supported on bridged and p2p interfaces",
        ),
        ({"type": "gpu", "pci": "0"}, "pci: Invalid value: 0 (not as in 0000:01:00.0)"),
        (
            {**ROOT, "shift": "true"},
            'the files of the root disk are the container\'s anyway; remove "shift"',
        ),
        ({**DATA, "readonly": "maybe"}, "readonly: Invalid value for a boolean: maybe (true or false)"),
        ({**DATA, "source": "srv"}, '"source" is not an absolute path; for a volume, set "pool", too'),
        ({**DATA, "path": "/../etc"}, "path: Invalid value: /../etc (not a plain path in the container)"),
        (
            {**DATA, "path": "/" + "a" * 256},
            f"path: Invalid value: /{'a' * 199} (a path has up to 4095 bytes, 255 between slashes)",
        ),
        (
            {**DATA, "source": "/ab" * 1366},
            f"source: Invalid value: {'/ab' * 66}/a (a path has up to 4095 bytes, 255 between slashes)",
        ),
        (
            {**DATA, "source": "/srv\nx"},
            "source: a value of this key is one line without control characters: /srv\\nx",
        ),
    ],
)
def test_a_wrong_property_is_refused_by_name(device: dict[str, str], message: str) -> None:
    assert refusal(device) == f'device "x": {message}'


@pytest.mark.parametrize("option", [(kind, option) for kind in NIC_TYPES for option in kind.options])
def test_no_property_of_a_nic_can_add_a_line(
    option: tuple[DeviceType, Option],
) -> None:
    device = {"type": "nic", "nictype": option[0].name, "parent": "br0", option[1].name: "a\nlxc.x = y"}
    assert refusal(device).isprintable()


def test_a_device_name_is_plain() -> None:
    assert refusal(DATA, name="../x").startswith('device name "../x" is not valid')


def test_a_path_is_used_once() -> None:
    with pytest.raises(InvalidInput, match=r"^More than one disk device uses the same path: /data\.$"):
        devices.check({"a": DATA, "b": {**DATA, "path": "data/"}}, expanded=False)


def test_a_container_has_one_root_disk_in_the_end() -> None:
    devices.check({"root": ROOT, "eth0": NIC}, expanded=True)
    with pytest.raises(InvalidInput, match=r"^No root device could be found\.$"):
        devices.check({"eth0": NIC}, expanded=True)
    with pytest.raises(InvalidInput, match=r"^More than one root device found\.$"):
        devices.check({"root": ROOT, "root2": ROOT}, expanded=True)


def test_devices_are_set_up_by_type_then_path_then_name() -> None:
    given = {
        "eth1": NIC,
        "a": {**DATA, "path": "/data-old"},
        "b": {**DATA, "path": "/data/sub"},
        "eth0": NIC,
        "z": DATA,
        "root": ROOT,
        "hidden": {"type": "none"},
    }
    assert [name for name, _ in devices.sorted_devices(given)] == [
        "root",
        "z",
        "b",
        "a",
        "eth0",
        "eth1",
        "hidden",
    ]


def test_a_mount_point_has_one_spelling() -> None:
    assert devices.mount_point({"path": "srv//www/"}) == "/srv/www"
    assert devices.mount_point({"path": "/"}) == "/"


def test_each_default_is_a_value_that_the_property_takes() -> None:
    for kind in (*devices.TYPES, *NIC_TYPES):
        for option in kind.options:
            if option.default:
                option.type.check(option.default)


@pytest.mark.parametrize("kind", [kind.name for kind in devices.TYPES if kind.options])
@pytest.mark.parametrize("text", ["a\nb", "a\0b", "\x1b[0m", "a\rb"])
def test_no_value_of_any_property_adds_a_line(kind: str, text: str) -> None:
    nic = {"nictype": "bridged", "parent": "br0"} if kind == "nic" else {}
    device = {"type": kind, **nic}
    for option in devices.options_of(device):
        with pytest.raises(InvalidInput) as caught:
            devices.check({"x": {**device, option.name: text}}, expanded=False)
        assert 'device "x"' in str(caught.value) and str(caught.value).isprintable()


def test_a_key_of_the_container_counts_for_all_its_nics_with_an_end_on_the_host() -> None:
    found = {"eth0": NIC, "own": {**NIC, "limits.priority": "0"}, "lan": LAN, "root": ROOT}
    assert nics.with_config(found, {}) == found
    meant = nics.with_config(found, {"limits.network.priority": "6"})
    assert meant == {**found, "eth0": {**NIC, "limits.priority": "6"}}
