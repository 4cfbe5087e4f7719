"""The daemon's own configuration keys: one table (spec/configuration.md section 2).

Readers: validation here, GET /1.0, help and completion of `lxc config set`, the reference in docs/.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import units

Check = Callable[[str], object]


def _text(value: str) -> None:
    if any(ord(c) < 32 for c in value):
        raise InvalidInput("a control character is not allowed")


def _compression(value: str) -> None:
    if value not in COMPRESSIONS:
        raise InvalidInput(f"Invalid value: {value} (not one of {' '.join(COMPRESSIONS)})")


COMPRESSIONS = ("none", "gzip", "bzip2", "xz", "lzma", "zstd")


@dataclass(frozen=True)
class ServerKey:
    """One key. hidden: shown as `true`, never with its value."""

    name: str
    check: Check
    default: str
    help: str
    hidden: bool = False


KEYS = (
    ServerKey("core.proxy_http", _text, "", "proxy for the daemon's downloads over http"),
    ServerKey("core.proxy_https", _text, "", "proxy for the daemon's downloads over https"),
    ServerKey("core.proxy_ignore_hosts", _text, "", "hosts that are reached without the proxy, by commas"),
    ServerKey("images.auto_update_cached", units.parse_bool, "true", "keep cached images up to date"),
    ServerKey(
        "images.auto_update_interval", units.parse_int, "6", "hours between updates of images; 0: never"
    ),
    ServerKey("images.compression_algorithm", _compression, "gzip", "how new images are compressed"),
    ServerKey("images.remote_cache_expiry", units.parse_int, "10", "days an unused cached image is kept"),
)


def find(name: str) -> ServerKey | None:
    """The key, or None."""
    return next((key for key in KEYS if key.name == name), None)


def check(config: Mapping[str, str]) -> None:
    """Accept a server configuration, or raise InvalidInput naming the key."""
    for name, value in config.items():
        key = find(name)
        if key is None:
            raise InvalidInput(f"Bad server config key: '{name}'")
        try:
            key.check(value)
        except InvalidInput as error:
            raise InvalidInput(f'key "{name}": {error}') from error


def shown(config: Mapping[str, str]) -> dict[str, str]:
    """What a caller may see: keys equal to their default are left out, hidden ones are `true`."""
    visible = {}
    for name, value in config.items():
        key = find(name)
        if key is not None and value != key.default:
            visible[name] = "true" if key.hidden else value
    return visible


def get(config: Mapping[str, str], name: str) -> str:
    """The value that counts: the one that is set, else the default."""
    key = find(name)
    return config.get(name) or (key.default if key else "")
