"""The sockets at which containers ask about themselves, and what they hear there of changes.

Each has a socket of its own, in a folder that is shown at /dev/lxd while it runs.
"""

import logging
from collections.abc import Mapping
from typing import Any

from wardian.core.events import Events
from wardian.core.host import Host
from wardian.errors import WardianError
from wardian.model.container import Config, Devices
from wardian.model.units import is_true

log = logging.getLogger(__name__)

SHOWN = ("user.", "cloud-init.")
TYPES = ("config", "device")


def is_shown(key: str) -> bool:
    """Whether the container may read a key."""
    return key.startswith(SHOWN)


async def open_door(host: Host, name: str, config: Mapping[str, str], *, group: int | None = None) -> None:
    """Make the folder for /dev/lxd, and listen in it unless the container must not know anything.

    group: the host's id of the container's root group; None if it runs already.
    """
    try:
        await host.guests.open(name, listening=_is_allowed(config), group=group)
    except (WardianError, OSError) as error:
        log.warning('container "%s" has no /dev/lxd: %s', name, error)


def _is_allowed(config: Mapping[str, str]) -> bool:
    return is_true(config.get("security.devlxd", "true"))


async def config_changed(host: Host, name: str, old: Config, new: Config) -> None:
    """A container has other keys: open or close its door, tell who listens."""
    if name not in host.running:
        return
    if _is_allowed(old) != _is_allowed(new):
        await open_door(host, name, new)
    for key in sorted(filter(is_shown, {*old, *new})):
        if old.get(key) != new.get(key):
            change = {"key": key, "old_value": old.get(key, ""), "value": new.get(key, "")}
            _tell(host, name, "config", change)


def devices_changed(host: Host, name: str, old: Devices, new: Devices) -> None:
    """A container has other devices: tell who listens."""
    for device in sorted({*old, *new}):
        before, after = old.get(device), new.get(device)
        if before != after:
            action = "added" if before is None else "removed" if after is None else "updated"
            _tell(host, name, "device", {"action": action, "name": device, "config": after or before})


def _tell(host: Host, name: str, kind: str, metadata: dict[str, Any]) -> None:
    events = host.guest_events.get(name)
    if events is not None:
        events.send(kind, metadata)


def events_of(host: Host, name: str) -> Events:
    """Where to subscribe to a container's events."""
    return host.guest_events.setdefault(name, Events())


def ended(host: Host, name: str) -> None:
    """The container does not run any more."""
    host.guests.close(name)
    events = host.guest_events.pop(name, None)
    if events is not None:
        events.close()
