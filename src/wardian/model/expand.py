"""What a container gets from its profiles (spec/configuration.md sections 7 and 8).

Profiles count in the container's order, later ones win, the container's own values win over all.
Configuration merges key by key; a device is replaced as a whole.
"""

from collections.abc import Mapping, Sequence

from wardian.errors import InvalidInput
from wardian.model.container import Config, Devices, Profile

LOCAL = ""
"""The source of what the container itself sets; no profile has this name."""


def expand_config(profiles: Sequence[Profile], local: Config) -> Config:
    """The configuration that counts. An empty local value hides a profile's."""
    merged: Config = {}
    for layer in (*(profile.config for profile in profiles), local):
        merged.update(layer)
    return {key: value for key, value in merged.items() if value != ""}


def expand_devices(profiles: Sequence[Profile], local: Devices) -> Devices:
    """The devices that count, those of type `none` among them: they hide a profile's device."""
    merged: Devices = {}
    for layer in (*(profile.devices for profile in profiles), local):
        merged.update(layer)
    return {name: dict(device) for name, device in merged.items()}


def config_sources(profiles: Sequence[Profile], local: Config) -> dict[str, str]:
    """Key -> name of the profile whose value counts, or LOCAL."""
    sources = {key: profile.name for profile in profiles for key in profile.config}
    return sources | dict.fromkeys(local, LOCAL)


def device_sources(profiles: Sequence[Profile], local: Devices) -> dict[str, str]:
    """Device name -> name of the profile whose device counts, or LOCAL."""
    sources = {name: profile.name for profile in profiles for name in profile.devices}
    return sources | dict.fromkeys(local, LOCAL)


def is_root(device: Mapping[str, str]) -> bool:
    """Whether a device is a container's root disk."""
    return device.get("type") == "disk" and device.get("path") == "/" and not device.get("source")


def has_root_device(expanded: Devices) -> bool:
    """Whether there is a root disk."""
    return any(is_root(device) for device in expanded.values())


def root_device(expanded: Devices) -> tuple[str, dict[str, str]]:
    """Name and properties of the one root disk; InvalidInput if there is none or more than one."""
    roots = [(name, device) for name, device in expanded.items() if is_root(device)]
    if not roots:
        raise InvalidInput("No root device could be found.")
    if len(roots) > 1:
        raise InvalidInput("More than one root device found.")
    return roots[0]
