"""The devices of containers and profiles: types, their properties, and what is accepted.

One table, `TYPES`, read by the API, the device drivers, the client's help and the manual. A nic's
properties depend on its `nictype`. Texts of errors are those of spec/configuration.md section 12.
"""

from collections.abc import Mapping

from wardian.errors import InvalidInput
from wardian.model import forwards, names, nics, units, values
from wardian.model.container import Devices
from wardian.model.device_table import (
    GPU_OPTIONS,
    NIC_OPTIONS,
    NIC_TYPES,
    NODE_OPTIONS,
    USB_OPTIONS,
    DeviceType,
    Option,
)
from wardian.model.expand import is_root, root_device

Device = Mapping[str, str]


TYPES: tuple[DeviceType, ...] = (
    DeviceType("none", "Hides a device of the same name that a profile defines.", ()),
    DeviceType("nic", "A network interface.", NIC_OPTIONS),
    DeviceType(
        "disk",
        "A file or directory of the host, or the container's root disk (path `/`).",
        (
            Option(
                "path", values.MOUNT_POINT, "Where it appears in the container; required. `/`: root disk."
            ),
            Option(
                "source",
                values.DISK_SOURCE,
                "What of the host appears, or which volume of `pool`; required, but not for a root disk.",
            ),
            Option(
                "optional", values.BOOL, "Start the container without it if the source is missing.", "false"
            ),
            Option("readonly", values.BOOL, "Refuse writes.", "false"),
            Option("recursive", values.BOOL, "Include what is mounted below the source.", "false"),
            Option("size", values.SIZE, "Most space that a root disk takes. Unset: no limit.", live=True),
            Option(
                "pool",
                values.POOL,
                "Storage pool of a root disk, or of the custom volume that is the source.",
            ),
            Option(
                "shift",
                values.SHIFT,
                "Whose the files are. `true`: each id on disk is the same id inside; so it is with volumes. "
                "Pairs: files of the host's id are those of the id inside. Unset: they are nobody's inside.",
                "false",
            ),
            Option("limits.read", values.THROTTLE, "How fast the container may read it.", live=True),
            Option("limits.write", values.THROTTLE, "How fast the container may write it.", live=True),
            Option(
                "limits.max",
                values.THROTTLE,
                "In place of both `limits.read` and `limits.write`.",
                live=True,
            ),
        ),
    ),
    DeviceType(
        "proxy",
        "Connections to an address on the host are carried to one in the container, or the other way round.",
        (
            Option("listen", values.FORWARD, "Where it listens; required."),
            Option("connect", values.FORWARD, "Where it connects to; required. One port, or as many."),
            Option("bind", values.choice("host", "container"), "Which side it listens on.", "host"),
            Option("uid", values.ID, "Owner of the socket file that `listen=unix:PATH` makes.", "0"),
            Option("gid", values.ID, "Group of that file.", "0"),
            Option("mode", values.MODE, "Permissions of that file.", "0644"),
            Option(
                "nat",
                values.BOOL,
                "Have the kernel lead the ports to an address that a nic of the container keeps "
                "(`0.0.0.0` and `[::]`: the one that it has).",
                "false",
            ),
            Option(
                "proxy_protocol",
                values.BOOL,
                "Tell the target who connects, by the PROXY protocol (version 1).",
                "false",
            ),
        ),
    ),
    DeviceType("unix-char", "A character device of the host, or one of given numbers.", NODE_OPTIONS),
    DeviceType(
        "unix-block", "A block device of the host, or one of given numbers; not mounted.", NODE_OPTIONS
    ),
    DeviceType("usb", "USB devices, wherever and whenever they are plugged in.", USB_OPTIONS),
    DeviceType("gpu", "Graphics cards: all of the host, or those that fit.", GPU_OPTIONS),
)

RATES = ("limits.ingress", "limits.egress", "limits.max")

_UNIX = ("unix-char", "unix-block")
_BY_NAME = {kind.name: kind for kind in TYPES}
_NIC_BY_NAME = {kind.name: kind for kind in NIC_TYPES}


def check(devices: Devices, *, expanded: bool) -> None:
    """Accept a set of devices, or raise InvalidInput naming the device.

    expanded: the final set of a container, which must have one root disk; False for what a profile or
    a container itself defines, where no two disks may have the same path.
    """
    for name, device in devices.items():
        names.check_device(name)
        _check_type(name, device)
        try:
            _check_properties(device)
        except InvalidInput as e:
            raise InvalidInput(f'device "{name}": {e}') from None
    if expanded:
        root_device(devices)
        nics.check_names(devices)
    else:
        _check_paths(devices)


def sorted_devices(devices: Devices) -> list[tuple[str, dict[str, str]]]:
    """(name, device) in the order to set them up: by type, disks by path (parents first), by name."""
    return sorted(devices.items(), key=_order)


def options_of(device: Device) -> tuple[Option, ...]:
    """The rows of the properties that a device of this type (and nictype) may have."""
    own = _BY_NAME[device["type"]].options
    nictype = "bridged" if device.get("network") else device.get("nictype", "")
    return (*own, *nic_options(nictype)) if device["type"] == "nic" else own


def nic_options(nictype: str) -> tuple[Option, ...]:
    """The rows of the properties of one `nictype`; none for an unknown one."""
    nic = _NIC_BY_NAME.get(nictype)
    return nic.options if nic else ()


def mount_point(device: Device) -> str:
    """The path of a disk in the container, absolute and in one spelling: `srv//www/` -> `/srv/www`."""
    return "/" + "/".join(part for part in device["path"].split("/") if part)


def place_of(device: Device) -> str:
    """Where a device is mounted in the container, as of `mount_point`; "" for others and the root disk."""
    if device.get("type") in _UNIX:
        return mount_point({"path": device.get("path") or device["source"]})
    has_place = device.get("type") == "disk" and not is_root(device)
    return mount_point(device) if has_place else ""


def follows_host(device: Device) -> bool:
    """Whether a running container gets and loses it as the host does."""
    kind = device.get("type")
    may_lack = not units.is_true(device.get("required") or "true")
    return kind == "usb" or (kind in (*_UNIX, "gpu") and may_lack)


def _check_type(name: str, device: Device) -> None:
    kind = device.get("type", "")
    if not kind:
        raise InvalidInput(f"Missing device type for device '{name}'")
    if kind not in _BY_NAME:
        known = ", ".join(_BY_NAME)
        raise InvalidInput(
            f"Invalid device type for device '{name}': {values.quoted(kind)} (not one of {known})"
        )


def _check_properties(device: Device) -> None:
    kind = device["type"]
    if kind == "nic":
        _check_nictype(device)
    rows = {option.name: option for option in options_of(device)}
    for name, value in device.items():
        if name == "type":
            continue
        if name in RATES and kind == "nic" and name not in rows:
            raise InvalidInput("Network limits are only supported on bridged and p2p interfaces")
        if name not in rows:
            raise InvalidInput(f"Invalid device configuration key for {kind}: {values.quoted(name)}")
        if value == "":
            continue
        try:
            rows[name].type.check(value)
        except InvalidInput as e:
            raise InvalidInput(f"{name}: {e}") from None
    if kind == "nic":
        nics.check(device)
    if kind == "disk":
        _check_disk(device)
    if kind == "proxy":
        forwards.check(device)
    if kind in _UNIX:
        _check_unix(device)


def _check_nictype(device: Device) -> None:
    nictype = device.get("nictype", "")
    if device.get("network"):
        return
    if not nictype:
        raise InvalidInput("Missing nic type")
    if nictype not in _NIC_BY_NAME:
        raise InvalidInput(f"Bad nic type: {values.quoted(nictype)}")


def _check_disk(device: Device) -> None:
    if not device.get("path"):
        raise InvalidInput('Disk entry is missing the required "path" property.')
    at_root = device["path"] == "/"
    if at_root and device.get("source"):
        raise InvalidInput('Root disk entry may not have a "source" property set.')
    if not at_root and not device.get("source"):
        raise InvalidInput('Disk entry is missing the required "source" property.')
    if not at_root and device.get("size"):
        raise InvalidInput("Only the root disk may have a size quota.")
    if not at_root and device.get("pool") and "/" in device["source"]:
        raise InvalidInput('with "pool", "source" is the name of a volume, not a path of the host')
    if not at_root and not device.get("pool") and not device["source"].startswith("/"):
        raise InvalidInput('"source" is not an absolute path; for a volume, set "pool", too')
    if at_root and device.get("shift"):
        raise InvalidInput('the files of the root disk are the container\'s anyway; remove "shift"')
    if at_root and units.is_true(device.get("recursive", "")):
        raise InvalidInput("The recursive option is only supported for additional bind-mounted paths.")


def _check_unix(device: Device) -> None:
    if not device.get("path") and not device.get("source"):
        raise InvalidInput('Unix device entry is missing the required "path" property.')
    if mount_point({"path": device.get("path") or device["source"]}) == "/":
        raise InvalidInput("a device node cannot be at /")
    if bool(device.get("major")) != bool(device.get("minor")):
        path = device.get("path") or device["source"]
        raise InvalidInput(f"Both major and minor must be supplied for device: {path}")


def _check_paths(devices: Devices) -> None:
    seen: set[str] = set()
    for device in devices.values():
        if device["type"] != "disk":
            continue
        path = mount_point(device)
        if path in seen:
            raise InvalidInput(f"More than one disk device uses the same path: {path}.")
        seen.add(path)


def _order(item: tuple[str, dict[str, str]]) -> tuple[str, tuple[str, ...], str]:
    name, device = item
    kind = device["type"]
    return kind, tuple(mount_point(device).split("/")) if kind == "disk" else (), name
