"""Which names things may have (spec/configuration.md section 11).

Each name also becomes a folder, a host name, a URL part or a line of a generated file; a name that
passes here is safe in all of these. Every `check_*` returns nothing or raises InvalidInput.
"""

import re

from wardian.errors import InvalidInput

LONGEST_BYTES = 128
"""Longest snapshot, profile and alias name: a file name with room for a suffix."""

_CONTAINER = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_DEVICE = re.compile(r"[a-zA-Z0-9_][-a-zA-Z0-9_.:]{0,63}")
_POOL = re.compile(r"[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,62}")
_INTERFACE = re.compile(r"[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,14}")


def check_container(name: str) -> None:
    """A container's name is its host name: one DNS label that begins with a letter."""
    if "/" in name:
        raise InvalidInput("The character '/' is reserved for snapshots.")
    if not _CONTAINER.fullmatch(name):
        raise InvalidInput("Container name isn't a valid hostname.")


def check_snapshot(name: str) -> None:
    """A snapshot's own name, without its container's: any file name."""
    if "/" in name:
        raise InvalidInput("Snapshot names may not contain slashes")
    if name in (".", ".."):
        raise InvalidInput(f"Invalid snapshot name '{name}'")
    _check_text("snapshot", name)


def check_profile(name: str) -> None:
    """A profile's name: any file name."""
    if not name:
        raise InvalidInput("No name provided")
    if "/" in name:
        raise InvalidInput("Profile names may not contain slashes")
    if name in (".", ".."):
        raise InvalidInput(f"Invalid profile name '{name}'")
    _check_text("profile", name)


def check_alias(name: str) -> None:
    """An image alias: any printable text; slashes are common, as in `debian/trixie`."""
    _check_text("image alias", name)


def check_device(name: str) -> None:
    """A device's name: part of volatile keys and of files in the container's folder."""
    _check_pattern("device", name, _DEVICE, "1 to 64 letters, digits and . _ : -")


def check_volume(name: str) -> None:
    """A custom volume's name: a folder."""
    _check_pattern("storage volume", name, _POOL, "1 to 63 letters, digits and . _ -")


def check_pool(name: str) -> None:
    """A storage pool's name: a folder and a file system label."""
    _check_pattern("storage pool", name, _POOL, "1 to 63 letters, digits and . _ -")


def check_interface(name: str) -> None:
    """A name that the kernel takes for a network interface, without its `%d` patterns."""
    _check_pattern("network interface", name, _INTERFACE, "1 to 15 letters, digits and . _ -")


def _check_text(kind: str, name: str) -> None:
    if not name:
        raise InvalidInput(f"{kind} name is empty")
    if not name.isprintable():
        raise InvalidInput(f"{kind} name {name!a} has characters that cannot be printed")
    if len(name.encode()) > LONGEST_BYTES:
        raise InvalidInput(f'{kind} name "{name[:20]}..." is longer than {LONGEST_BYTES} bytes')


def _check_pattern(kind: str, name: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(name):
        raise InvalidInput(f"{kind} name {_shown(name)} is not valid: use {rule}, not beginning with - or .")


def _shown(name: str) -> str:
    """The name in double quotes, on one line and not endless."""
    return '"' + name[:80].encode("unicode_escape").decode("ascii") + '"'
