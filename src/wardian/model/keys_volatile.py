"""Rows of the keys that the daemon keeps (`volatile.*`): of containers only, never set by a profile."""

from wardian.model import names, values
from wardian.model.key import Key, Where

_INTERNAL: tuple[Where, ...] = ("container",)

OF_FILES = ("volatile.last_state.idmap",)
"""What tells how the files on disk are."""
OF_RUN = ("volatile.*.host_name", "volatile.idmap.current", "volatile.last_state.power")
"""What tells how a container runs, while it does."""

KEYS = (
    Key(
        "volatile.apply_template",
        values.choice("create", "copy"),
        "Templates to apply at the next start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.base_image",
        values.LINE,
        "Fingerprint of the image that the container was made from.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.idmap.base",
        values.ID,
        "First host id of the container's own map; 0 for the shared one.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.idmap.current",
        values.IDMAP,
        "Id map of the last start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.idmap.next",
        values.IDMAP,
        "Id map of the next start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.last_state.idmap",
        values.IDMAP,
        "Id map under which the files are on disk; [] where they are unshifted.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.last_state.power",
        values.choice("RUNNING", "STOPPED"),
        "Whether the container was running.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.*.host_name",
        values.INTERFACE,
        "Name on the host that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.hwaddr",
        values.HWADDR,
        "MAC address that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.ipv4.address",
        values.IPV4,
        "Address that DHCP keeps for a network device, chosen because it may use no other one.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.ipv6.address",
        values.IPV6,
        "The same of IPv6, where the network gives out addresses by DHCPv6.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.name",
        values.INTERFACE,
        "Name in the container that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
)
