"""What keeps a container in, besides its namespaces: a value made from the merged configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardian.errors import InvalidInput
from wardian.model import seccomp
from wardian.model.units import is_true

APPARMOR_KEYS = ("raw.apparmor", "security.nesting")
"""Every key of the AppArmor profile that can change while the container runs."""


@dataclass(frozen=True)
class Confinement:
    """See the module."""

    privileged: bool = False
    """No user namespace: capabilities and devices are bounded, too."""
    nesting: bool = False
    """Containers may run inside."""
    apparmor: str = ""
    """raw.apparmor: further lines of the profile."""
    seccomp: str = field(default_factory=lambda: seccomp.policy({}))
    """The whole policy."""


def of(config: Mapping[str, str]) -> Confinement:
    """The confinement that a merged configuration asks for."""
    return Confinement(
        privileged=is_true(config.get("security.privileged", "")),
        nesting=is_true(config.get("security.nesting", "")),
        apparmor=config.get("raw.apparmor", ""),
        seccomp=seccomp.policy(config),
    )


def parse_raw_apparmor(text: str) -> str:
    """The text if it can only be lines inside a profile; InvalidInput if its braces end the profile."""
    depth = 0
    for line in text.split("\n"):
        if any(ord(c) < 32 and c != "\t" for c in line) or "\x7f" in line:
            raise InvalidInput(f"Invalid value: {line} (it has a control character)")
        for character in line:
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth < 0:
                raise InvalidInput(f"Invalid value: {line} (a closing brace without an opening one)")
    if depth:
        raise InvalidInput("Invalid value: an opening brace without a closing one")
    return text
