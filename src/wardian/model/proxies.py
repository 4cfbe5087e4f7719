"""Which proxy a request goes through (spec/configuration.md section 2, core.proxy_*). Pure.

The rules are those that most programs share: a host's own name, its domain (with or without a
leading dot), an address, a network as in 10.0.0.0/8, or `*`; the loopback is always reached directly.
"""

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from wardian.errors import InvalidInput

VARIABLES = {"http": "http_proxy", "https": "https_proxy", "ignore": "no_proxy"}
"""Field -> the variable of the environment, also in upper case, that counts where nothing is configured."""

KEYS = {"http": "core.proxy_http", "https": "core.proxy_https", "ignore": "core.proxy_ignore_hosts"}
"""Field -> the daemon's own key."""


class Proxies(NamedTuple):
    """URLs of proxies by the scheme of a request, and the hosts that are reached without."""

    http: str = ""
    https: str = ""
    ignore: str = ""

    def of(self, url: str) -> str:
        """The proxy's URL for a request to this one; "" for none."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or not parts.hostname or _is_ignored(parts.hostname, parts.port, self.ignore):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"


def configured(config: Mapping[str, str], environment: Mapping[str, str]) -> Proxies:
    """What the keys say, and the environment where they are not set; InvalidInput names a wrong variable."""
    values = {}
    for field, key in KEYS.items():
        names = (VARIABLES[field].upper(), VARIABLES[field])
        found = next((name for name in names if environment.get(name)), "")
        values[field] = config.get(key) or (environment[found] if found else "")
        if found and not config.get(key) and field != "ignore":
            try:
                check(environment[found])
            except InvalidInput as error:
                raise InvalidInput(f"variable {found} of the environment: {error}") from error
    return Proxies(**values)


def check(text: str) -> None:
    """Accept the value of core.proxy_http(s), or raise InvalidInput."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput("not the URL of a proxy: write http://HOST:PORT")


def shown(proxy: str) -> str:
    """A proxy's URL for people, without the password that may be in it."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _is_ignored(host: str, port: int | None, ignore: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host.lower(), port, address) for entry in ignore.split(","))


def _matches(
    entry: str, host: str, port: int | None, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    if entry == "*":
        return True
    if not entry:
        return False
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # with a port, or a name
    name, _, wanted_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if wanted_port and wanted_port != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
