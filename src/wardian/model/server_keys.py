"""The daemon's own configuration keys: one table (spec/configuration.md section 2).

Readers: validation here, GET /1.0, help and completion of `lxc config set`, the reference in docs/.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import pool_keys, proxies, units, values

COMPRESSIONS = ("none", "gzip", "bzip2", "xz", "lzma", "zstd")
TRUST_PASSWORD = "core.trust_password"
HTTPS_ADDRESS = "core.https_address"
ALLOWED_ORIGIN = "core.https_allowed_origin"
AUTO_UPDATE_CACHED = "images.auto_update_cached"
AUTO_UPDATE_INTERVAL = "images.auto_update_interval"
COMPRESSION = "images.compression_algorithm"
REMOTE_CACHE_EXPIRY = "images.remote_cache_expiry"
ACCEPT_MEMORY = "migration.accept_memory"
MIGRATION_TIMEOUT = "migration.timeout"
PARTIAL_EXPIRY = "migration.partial_expiry"

ALLOWED_ORIGINS = {
    "core.https_allowed_headers": "Access-Control-Allow-Headers",
    "core.https_allowed_methods": "Access-Control-Allow-Methods",
    ALLOWED_ORIGIN: "Access-Control-Allow-Origin",
}
"""Key -> the header that has its value, in answers to requests of a page of another origin."""


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of `host`, `host:port`, `[ipv6]` or `[ipv6]:port`; the default port is 8443."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise InvalidInput(f"{values.quoted(text)} is not an address: write [IPv6]:PORT")
        port = rest[1:]
        _parse_ip(host)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    elif ":" in text:
        _parse_ip(text)
    if not host or any(c.isspace() or not c.isprintable() or c in "/[]" for c in host):
        raise InvalidInput(f"{values.quoted(text)} is not an address: write HOST:PORT or [IPv6]:PORT")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidInput(f"{values.quoted(text)}: the port is not a number from 1 to 65535")
    return host, int(port or 8443)


def _parse_ip(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise InvalidInput(f"{values.quoted(text)} is not an IPv6 address") from None


def _check_text(text: str) -> None:
    if not text.isprintable():
        raise InvalidInput("a character that cannot be printed is not allowed")


def _check_compression(text: str) -> None:
    if text not in COMPRESSIONS:
        raise InvalidInput(
            f"Invalid value, only the following values are allowed: [{' '.join(COMPRESSIONS)}]"
        )


def _check_seconds(text: str) -> None:
    if not 1 <= units.parse_int(text) <= 86400:
        raise InvalidInput("the time is a number of seconds from 1 to 86400")


def _check_hours(text: str) -> None:
    if not 0 <= units.parse_int(text) <= 8760:
        raise InvalidInput("the time is a number of hours from 0 to 8760")


@dataclass(frozen=True)
class ServerKey:
    """One key. check raises InvalidInput for a value that it cannot have.

    choices: the words that completion offers.
    """

    name: str
    check: Callable[[str], object]
    default: str
    help: str
    hidden: bool = False
    """Shown as `true`, never with its value."""
    used: bool = False
    """False: the value is checked and kept, but nothing in this version acts on it."""
    choices: tuple[str, ...] = ()


KEYS = (
    ServerKey(HTTPS_ADDRESS, parse_address, "", "address and port of the API on the network", used=True),
    ServerKey("core.https_allowed_headers", _check_text, "", "headers that web pages may send", used=True),
    ServerKey("core.https_allowed_methods", _check_text, "", "methods that web pages may use", used=True),
    ServerKey(ALLOWED_ORIGIN, _check_text, "", "web pages that may use the API", used=True),
    ServerKey("core.proxy_http", proxies.check, "", "proxy for the daemon's downloads over http", used=True),
    ServerKey(
        "core.proxy_https", proxies.check, "", "proxy for the daemon's downloads over https", used=True
    ),
    ServerKey(
        "core.proxy_ignore_hosts", _check_text, "", "hosts reached without the proxy, by commas", used=True
    ),
    ServerKey(TRUST_PASSWORD, _check_text, "", "lets a client add its certificate", hidden=True, used=True),
    ServerKey(
        AUTO_UPDATE_CACHED,
        units.parse_bool,
        "true",
        "keep cached images up to date",
        used=True,
        choices=units.BOOLEANS,
    ),
    ServerKey(
        AUTO_UPDATE_INTERVAL, units.parse_int, "6", "hours between image updates; 0: never", used=True
    ),
    ServerKey(
        COMPRESSION,
        _check_compression,
        "gzip",
        "how new images are compressed",
        used=True,
        choices=COMPRESSIONS,
    ),
    ServerKey(
        REMOTE_CACHE_EXPIRY,
        units.parse_int,
        "10",
        "days an unused cached image is kept; 0: for ever",
        used=True,
    ),
    ServerKey(
        ACCEPT_MEMORY,
        units.parse_bool,
        "false",
        "take running containers; what the other host sends is restored as root: only if it is trusted",
        used=True,
        choices=units.BOOLEANS,
    ),
    ServerKey(
        MIGRATION_TIMEOUT,
        _check_seconds,
        "30",
        "seconds after which a copy or move gives up on a host that is silent",
        used=True,
    ),
    ServerKey(
        PARTIAL_EXPIRY,
        _check_hours,
        "24",
        "hours for which what has come of a copy or move that broke off is kept for the next try; 0: not",
        used=True,
    ),
    ServerKey(
        "storage.lvm_fstype",
        pool_keys.check_file_system,
        "ext4",
        "file system of new volumes in the volume group of storage.lvm_vg_name",
        used=True,
    ),
    ServerKey(
        "storage.lvm_thinpool_name",
        pool_keys.check_group,
        "LXDPool",
        "thin pool in that volume group; made if it is missing",
        used=True,
    ),
    ServerKey(
        "storage.lvm_vg_name",
        pool_keys.check_group,
        "",
        "volume group on which new containers are made (storage pool `lvm`)",
        used=True,
    ),
    ServerKey(
        "storage.lvm_volume_size",
        pool_keys.check_size,
        "10GiB",
        "size of new volumes in that volume group",
        used=True,
    ),
    ServerKey(
        "storage.zfs_pool_name",
        pool_keys.check_dataset,
        "",
        "pool of ZFS, or dataset in one, on which new containers are made (storage pool `zfs`)",
        used=True,
    ),
)
_BY_NAME = {key.name: key for key in KEYS}


def find(name: str) -> ServerKey:
    """The key; InvalidInput if there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise InvalidInput(f"Bad server config key: '{name}'") from None


def value(config: Mapping[str, str], name: str) -> str:
    """What applies for a key: what is configured, or its default."""
    return config.get(name) or find(name).default


def check(name: str, value: str) -> None:
    """Accept a value for a key, or raise InvalidInput naming the key."""
    key = find(name)
    try:
        key.check(value)
    except InvalidInput as error:
        raise InvalidInput(f'key "{name}": {error}') from error


def shown(config: Mapping[str, str]) -> dict[str, str | bool]:
    """What a caller may see: keys equal to their default are left out, hidden ones are true."""
    visible: dict[str, str | bool] = {}
    for key in KEYS:
        value = config.get(key.name, "")
        if value and value != key.default:
            visible[key.name] = True if key.hidden else value
    return visible
