"""Device nodes of the host as mounts into containers: what unix-char, unix-block, usb and gpu share."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model.plans import DevicePlan, Mount, Node
from wardian.ports.runtime import DeviceContext

DEFAULT_MODE = "0660"

Numbers = tuple[Literal["char", "block"], int, int]
"""Kind, major and minor number of a device."""


@dataclass(frozen=True)
class Found:
    """A device of the host. source: its node there; target: where its node shall be inside."""

    source: str
    target: str
    kind: Literal["char", "block"]
    major: int
    minor: int


def plan(name: str, options: Mapping[str, str], found: list[Found], around: DeviceContext) -> DevicePlan:
    """One node for each device found, owned as `uid`, `gid` and `mode` say.

    InvalidInput for an id that the container does not have.
    """
    node_owner = {kind: _host_id(name, kind, options.get(kind) or "0", around) for kind in ("uid", "gid")}
    mounts = []
    for number, device in enumerate(found):
        node = Node(
            kind=device.kind,
            major=device.major,
            minor=device.minor,
            uid=node_owner["uid"],
            gid=node_owner["gid"],
            mode=int(options.get("mode") or DEFAULT_MODE, 8),
        )
        mount = Mount(
            source=device.source,
            place=str(around.folder / f"unix.{name}.{number}"),
            target=device.target.strip("/"),
            is_folder=False,
            group=around.idmap.host_id("gid", 0) or 0,
            node=node,
        )
        mounts.append(mount)
    return DevicePlan(name, mounts=tuple(mounts))


def _host_id(name: str, kind: str, text: str, around: DeviceContext) -> int:
    if around.is_privileged:
        return int(text)
    host_id = around.idmap.host_id("uid" if kind == "uid" else "gid", int(text))
    if host_id is None:
        raise InvalidInput(f'device "{name}": the container has no {kind} {text}')
    return host_id


def look(path: Path) -> Numbers | None:
    """What a device node stands for; None if there is nothing, or no device, at the path."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return None
    kind: Literal["char", "block"] = "char" if stat.S_ISCHR(found.st_mode) else "block"
    return kind, os.major(found.st_rdev), os.minor(found.st_rdev)


def numbers(text: str) -> tuple[int, int]:
    """MAJOR and MINOR of a `dev` file of sysfs."""
    major, _, minor = text.strip().partition(":")
    return int(major), int(minor)


def text_of(path: Path) -> str:
    """The content of a file of sysfs, without its newline; empty if it is not there."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
