"""What a change of configuration changes, and when it reaches a container. Pure.

Said before a change (dry run) and after it (what waits for the next start), by the same function.
"""

from typing import Literal

from msgspec import Struct

from wardian.model import keys
from wardian.model.container import Config, Devices

When = Literal["now", "exec", "start"]
"""At once, with the next command that is run, when the container starts again."""


class Effects(Struct, frozen=True):
    """Of one container: key or device -> when; only those that differ."""

    running: bool
    config: dict[str, When] = {}
    devices: dict[str, When] = {}


def between(old: tuple[Config, Devices], new: tuple[Config, Devices], *, running: bool) -> Effects:
    """The effects of a change from one merged configuration to another; volatile keys do not count."""
    changed = [name for name in keys.changes(old[0], new[0]) if not name.startswith("volatile.")]
    devices = sorted(
        name for name in old[1].keys() | new[1].keys() if _plain(old[1], name) != _plain(new[1], name)
    )
    return Effects(
        running=running,
        config={name: _when(name, running=running) for name in changed},
        devices=dict.fromkeys(devices, "now" if running else "start"),
    )


def _when(name: str, *, running: bool) -> When:
    live = keys.find(name).live
    if live == "n/a":
        return "now"
    if not running or live == "start":
        return "start"
    return "exec" if live == "exec" else "now"


def _plain(devices: Devices, name: str) -> dict[str, str] | None:
    found = devices.get(name)
    return None if found is None else {key: value for key, value in found.items() if value}
