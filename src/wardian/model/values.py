"""The types that configuration values have: how each is written and which texts it refuses.

Used by the rows of `model.keys` and `model.devices`. A value that passes is safe in a generated file
and in an argument list: only BLOB and the raw.* types may hold several lines, none holds NUL.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import (
    confinement,
    cpus,
    forwards,
    idmap,
    kernel_limits,
    limits,
    names,
    nics,
    raw_lxc,
    seccomp,
    shift,
    throttle,
    units,
)

LONGEST_NAME = 255
LONGEST_PATH = 4095
"""Both as the kernel has them."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MODULE = re.compile(r"[a-zA-Z0-9_][-a-zA-Z0-9_]{0,63}")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_USER_KEY = re.compile(r"[-a-zA-Z0-9_.:/@+]+")
_HWADDR = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True)
class Type:
    """A kind of value. syntax: for the manual, one line."""

    name: str
    syntax: str
    parse: Callable[[str], object]
    """Raises InvalidInput for a text that is no such value."""
    lines: bool = False
    """Whether a value may have several lines."""
    choices: tuple[str, ...] = ()
    """The words that completion offers: all there are, or the usual spelling of them."""

    def check(self, text: str) -> None:
        """Accept a non-empty text, or raise InvalidInput saying what is wrong with it."""
        if "\0" in text:
            raise InvalidInput("a value cannot contain a NUL character")
        if not self.lines and _CONTROL.search(text):
            raise InvalidInput(f"a value of this key is one line without control characters: {quoted(text)}")
        try:
            self.parse(text)
        except InvalidInput as error:
            if self.lines or not text.endswith(str(error).rpartition(": ")[2]):
                raise
            # It ends with the value, or its suffix, and does not say what is allowed.
            raise InvalidInput(f"{error} ({self.syntax.replace('`', '')})") from None


def quoted(text: str) -> str:
    """A text from outside, fit for one line of an error."""
    return text[:200] if text.isprintable() else text[:200].encode("unicode_escape").decode("ascii")


def choice(*allowed: str) -> Type:
    """A type of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise InvalidInput(f"Invalid value: {text} (not one of [{' '.join(allowed)}])")
        return text

    return Type("choice", " or ".join(f"`{word}`" for word in allowed), parse, choices=allowed)


def check_variable(name: str) -> None:
    """The NAME of `environment.NAME`."""
    if not _VARIABLE.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInput(f'environment variable name "{quoted(name)}" is not letters, digits and _')


def check_user_key(name: str) -> None:
    """The NAME of `user.NAME`."""
    if not _USER_KEY.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInput(
            f'configuration key "user.{quoted(name)}" is not up to {LONGEST_NAME} of the characters '
            "a-z A-Z 0-9 -_.:/@+"
        )


def parse_hwaddr(text: str) -> str:
    """A unicast MAC address."""
    if not _HWADDR.fullmatch(text) or int(text[:2], 16) & 1 or not int(text.replace(":", ""), 16):
        raise InvalidInput(f"Invalid value: {text} (not a unicast MAC address such as 00:16:3e:12:34:56)")
    return text.lower()


def parse_mount_point(text: str) -> str:
    """A path in a container, with or without the first slash, that stays below its root."""
    parts = [part for part in text.split("/") if part]
    if "." in parts or ".." in parts or (not parts and text != "/"):
        raise InvalidInput(f"Invalid value: {quoted(text)} (not a plain path in the container)")
    _check_length(text)
    return text


def parse_host_path(text: str) -> str:
    """An absolute path of the host."""
    if not text.startswith("/"):
        raise InvalidInput(f"Invalid value: {quoted(text)} (not an absolute path)")
    _check_length(text)
    return text


def _check_length(path: str) -> None:
    encoded = path.encode(errors="replace")
    if len(encoded) > LONGEST_PATH or max(map(len, encoded.split(b"/"))) > LONGEST_NAME:
        raise InvalidInput(
            f"Invalid value: {quoted(path)} "
            f"(a path has up to {LONGEST_PATH} bytes, {LONGEST_NAME} between slashes)"
        )


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = units.parse_int(text)
        if not least <= number <= most:
            raise InvalidInput(f"Invalid value for an integer: {text} (not between {least} and {most})")
        return number

    return parse


def _uint32(least: int, why: str = "") -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= 2**31:
            raise InvalidInput(f"Invalid value for uint32: {quoted(text)}: not a number below {2**31}")
        if int(text) < least:
            raise InvalidInput(f"Invalid value for uint32: {text}: {why}")
        return int(text)

    return parse


def parse_mode(text: str) -> int:
    """Permission bits, octal."""
    if not re.fullmatch("0?[0-7]{3}", text):
        raise InvalidInput(f"Invalid value: {text} (not an octal mode such as 0660)")
    return int(text, 8)


def _rate(text: str) -> int:
    bits = units.parse_bits(text)
    if not 8 <= bits <= 2**40:
        raise InvalidInput(f"Invalid value: {text} (not between 8bit and 1Tbit a second)")
    return bits


def _parse_modules(text: str) -> list[str]:
    modules = units.split_list(text)
    for module in modules:
        if not _MODULE.fullmatch(module):
            raise InvalidInput(f"Invalid value: {text} (kernel module names are separated by commas)")
    return modules


def parse_disk_source(text: str) -> str:
    """A path of the host, or the name of a volume."""
    if text.startswith("/"):
        return parse_host_path(text)
    names.check_volume(text)
    return text


def _pattern(pattern: str, meaning: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise InvalidInput(f"Invalid value: {text} (not {meaning})")
        return text

    return parse


BOOL = Type("boolean", "`true` or `false`", units.parse_bool, choices=units.BOOLEANS)
INTEGER = Type("integer", "a whole number", units.parse_int)
COUNT = Type("integer", "a whole number, 0 or more", _between(0, 2**31 - 1))
POSITIVE = Type("integer", "a whole number, 1 or more", _between(1, 2**31 - 1))
PRIORITY = Type("integer", "0 to 10", _between(0, 10))
SIZE = Type("size", "`N`, or `N` with `kB MB GB TB PB EB`, multiples of 1024", units.parse_size)
MEMORY = Type("size or percentage", "as in `512MB`, `2GB`, `10%`", limits.check_memory)
CPUS = Type("CPUs", "as in `2`, `0,2`, `0-3`, `1-1`", cpus.parse)
ALLOWANCE = Type("CPU time", "as in `50%`, `25ms/100ms`", limits.parse_allowance)
LINE = Type("text", "one line", str)
BLOB = Type("text", "any number of lines", str, lines=True)
MODULES = Type("list", "separated by commas", _parse_modules)
ID = Type("integer", "an id", _uint32(0))
ID_COUNT = Type("integer", "a number of ids", _uint32(1, "a map has at least one id"))
ID_BASE = Type("integer", "an id from 65536 on", _uint32(65536, "ids below 65536 belong to the host"))
IDMAP = Type("JSON", "an id map", idmap.from_json)
RAW_IDMAP = Type("lines", "lines as `both 1000 1000`", idmap.parse_raw, lines=True)
RAW_LXC = Type("lines", "lines `key = value`", raw_lxc.parse, lines=True)
RAW_APPARMOR = Type("lines", "lines of a profile", confinement.parse_raw_apparmor, lines=True)
RAW_SECCOMP = Type("lines", "a policy of liblxc", seccomp.parse_raw, lines=True)
CALLS = Type("lines", "lines `CALL` or `CALL errno N`", seccomp.parse_calls, lines=True)
KERNEL_LIMIT = Type("limit", "`N`, `SOFT:HARD`, `unlimited`", kernel_limits.parse_limit)
HWADDR = Type("MAC address", "as in `00:16:3e:12:34:56`", parse_hwaddr)
INTERFACE = Type("interface name", "up to 15 characters", names.check_interface)
MTU = Type("integer", "68 to 65535", _between(68, 65535))
SHIFT = Type(
    "ids", "`true`, `false`, or pairs HOST:INSIDE as in `1001:0`, `uid:1001:0,gid:100:0`", shift.parse
)
THROTTLE = Type("rate", "bytes a second as in `10MB`, or operations as in `500iops`", throttle.parse)
DEVICE_NUMBER = Type("integer", "0 to 1048575", _between(0, (1 << 20) - 1))
HEX_ID = Type(
    "hexadecimal number", "four digits as in `046d`", _pattern(r"[0-9a-fA-F]{4}", "four digits as in 046d")
)
PCI = Type(
    "PCI address",
    "as in `0000:01:00.0`",
    _pattern(r"(?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", "as in 0000:01:00.0"),
)
POOL = Type("name", "a storage pool", names.check_pool)
MOUNT_POINT = Type("path", "a path in the container", parse_mount_point)
HOST_PATH = Type("path", "an absolute path of the host", parse_host_path)
DISK_SOURCE = Type("path or name", "an absolute path of the host, or a volume of `pool`", parse_disk_source)
RATE = Type("bit rate", "bits per second, as in `512kbit`, `10Mbit`, `1Gbit`", _rate)
IPV4 = Type("IPv4 address", "an address, or `none`", nics.parse_address(4, several=False))
IPV6 = Type("IPv6 address", "an address, or `none`", nics.parse_address(6, several=False))
IPV4_LIST = Type("IPv4 addresses", "addresses", nics.parse_address(4, several=True))
IPV6_LIST = Type("IPv6 addresses", "addresses", nics.parse_address(6, several=True))
FORWARD = Type("address", "`tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT` or `unix:PATH`", forwards.parse)
MODE = Type("mode", "octal, as in `0660`", parse_mode)
