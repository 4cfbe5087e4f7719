"""What a row of the table of devices is, and the rows of network interfaces, nodes, usb and gpu."""

from dataclasses import dataclass

from wardian.model import values


@dataclass(frozen=True)
class Option:
    """One property of a device."""

    name: str
    type: values.Type
    help: str
    default: str = ""
    live: bool = False
    """Changes in place on a running container; else the device is taken away and given back."""


@dataclass(frozen=True)
class DeviceType:
    """A device type, or one `nictype` of the type nic."""

    name: str
    help: str
    options: tuple[Option, ...]

    def option(self, name: str) -> Option | None:
        """The row of a property, or None."""
        return next((option for option in self.options if option.name == name), None)


_NETWORK = Option("network", values.INTERFACE, "A managed network: short for `nictype` and `parent`.")
_PARENT = Option("parent", values.INTERFACE, "The host's bridge or interface; required.")
_NAME = Option("name", values.INTERFACE, "Name in the container. Unset: the next free `ethN`.")
_HWADDR = Option("hwaddr", values.HWADDR, "MAC address. Unset: one is chosen and kept.")
_HOST_NAME = Option("host_name", values.INTERFACE, "Name on the host. Unset: `veth` and random letters.")
_MTU = Option("mtu", values.MTU, "Largest packet, in bytes. Unset: the parent's.")
_LIMITS = (
    Option("limits.ingress", values.RATE, "Most traffic towards the container.", live=True),
    Option("limits.egress", values.RATE, "Most traffic from the container.", live=True),
    Option("limits.max", values.RATE, "Both at once; overrides them.", live=True),
    Option(
        "limits.priority",
        values.PRIORITY,
        "What queues of the host go by for packets of the container. Unset: `limits.network.priority`.",
        live=True,
    ),
)

NIC_TYPES: tuple[DeviceType, ...] = (
    DeviceType(
        "bridged",
        "A pair of interfaces, one end on a bridge of the host.",
        (
            _PARENT,
            _NETWORK,
            _NAME,
            _HWADDR,
            _HOST_NAME,
            _MTU,
            Option(
                "ipv4.address",
                values.IPV4,
                "Address that DHCP keeps for it; `none`: it may have none.",
                live=True,
            ),
            Option(
                "ipv6.address",
                values.IPV6,
                "Address that DHCPv6 keeps for it where the network has that, and filters let through; "
                "`none`: no IPv6.",
                live=True,
            ),
            Option(
                "security.mac_filtering",
                values.BOOL,
                "Send from its own MAC address only.",
                "false",
                live=True,
            ),
            Option(
                "security.ipv4_filtering",
                values.BOOL,
                "Send from `ipv4.address` only (and its MAC address). Unset: DHCP chooses and keeps one.",
                "false",
                live=True,
            ),
            Option(
                "security.ipv6_filtering",
                values.BOOL,
                "Send from `ipv6.address` and the addresses made from its MAC address only.",
                "false",
                live=True,
            ),
            *_LIMITS,
        ),
    ),
    DeviceType(
        "macvlan",
        "An interface of its own on an interface of the host; no traffic with the host itself.",
        (_PARENT, _NAME, _HWADDR, _MTU),
    ),
    DeviceType(
        "p2p",
        "A pair of interfaces, one end left to the host.",
        (_NAME, _HWADDR, _HOST_NAME, _MTU, *_LIMITS),
    ),
    DeviceType(
        "physical",
        "An interface of the host, given to the container while it runs.",
        (_PARENT, _NAME, _HWADDR, _MTU),
    ),
    DeviceType(
        "routed",
        "A pair of interfaces with addresses of its own, to which the host routes.",
        (
            Option("parent", values.INTERFACE, "Interface of the host that answers for the addresses."),
            _NAME,
            _HWADDR,
            _HOST_NAME,
            _MTU,
            Option("ipv4.address", values.IPV4_LIST, "Its IPv4 addresses, separated by commas."),
            Option("ipv6.address", values.IPV6_LIST, "Its IPv6 addresses, separated by commas."),
            *_LIMITS,
        ),
    ),
)

NIC_OPTIONS = (
    Option("nictype", values.choice(*(nic.name for nic in NIC_TYPES)), "How it is connected; required."),
)

_OWNERSHIP = (
    Option("uid", values.ID, "Owner of the node inside.", "0"),
    Option("gid", values.ID, "Group of the node inside.", "0"),
    Option("mode", values.MODE, "Permission bits of the node.", "0660"),
)
_VENDOR = Option("vendorid", values.HEX_ID, "Vendor of the device. Unset: any.")
_PRODUCT = Option("productid", values.HEX_ID, "Product of the vendor. Unset: any.")
_FOLLOWED = "`false`: the container may run without it, and gets it as soon as the host has it."

NODE_OPTIONS = (
    Option(
        "path", values.MOUNT_POINT, "Where the node is in the container, and on the host without `source`."
    ),
    Option("source", values.HOST_PATH, "The node on the host."),
    Option(
        "major", values.DEVICE_NUMBER, "Number of the driver; with `minor` in place of a node of the host."
    ),
    Option("minor", values.DEVICE_NUMBER, "Number of the device for its driver."),
    *_OWNERSHIP,
    Option("required", values.BOOL, _FOLLOWED, "true"),
)

USB_OPTIONS = (
    _VENDOR,
    _PRODUCT,
    Option("serial", values.LINE, "Serial number of the device. Unset: any."),
    *_OWNERSHIP,
    Option("required", values.BOOL, _FOLLOWED, "false"),
)

GPU_OPTIONS = (
    _VENDOR,
    _PRODUCT,
    Option("id", values.COUNT, "Number of the card, as in `/dev/dri/card0`."),
    Option("pci", values.PCI, "Where the card is on the PCI bus."),
    *_OWNERSHIP,
    Option("required", values.BOOL, _FOLLOWED, "true"),
)
