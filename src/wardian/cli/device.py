"""lxc config device, lxc profile device: the devices that a container or a profile itself has."""

from __future__ import annotations

import sys

from wardian.cli import output
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Kind = Literal["container", "profile"]

MISSING = "The device doesn't exist"


class Owner:
    """A container or a profile: its devices as they are, and a way to change them."""

    def __init__(self, session: Session, kind: Kind, words: list[str], least: int, most: int | None) -> None:
        """words: `[remote:]NAME` and what follows; UsageError if there are too few or too many."""
        need(words, least, most)
        self.kind = kind
        self.daemon: Connection
        self.daemon, self.name = session.server(words[0])
        if not self.name:
            raise UsageError
        self.words = words[1:]
        self._path = container_url(self.name) if kind == "container" else f"/1.0/profiles/{quote(self.name)}"
        found, headers = self.daemon.request("GET", self._path)
        self._etag = headers["etag"]
        self.devices: dict[str, dict[str, str]] = found["metadata"]["devices"]
        self.inherited: dict[str, dict[str, str]] = {
            name: device
            for name, device in found["metadata"].get("expanded_devices", {}).items()
            if name not in self.devices
        }

    def device(self, name: str) -> dict[str, str]:
        """The device of this name; ApiError if there is none, or if it is a profile's."""
        if name in self.devices:
            return self.devices[name]
        if name in self.inherited:
            raise ApiError(
                f"{MISSING}: {name} is a profile's; `lxc config device override {self.name} {name}` "
                "gives the container one of its own"
            )
        raise ApiError(MISSING)

    def change(self, devices: dict[str, dict[str, str] | None]) -> None:
        """Write these devices; None removes one. StaleRevision's error if others were quicker."""
        self.daemon.request("PATCH", self._path, {"devices": devices}, {"If-Match": self._etag})


def run(session: Session, kind: Kind, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    if not words or words[0] not in SUBCOMMANDS or (words[0] == "override" and kind == "profile"):
        raise UsageError
    function, least, most = SUBCOMMANDS[words[0]]
    function(Owner(session, kind, words[1:], least, most))
    return 0


def pairs(words: list[str]) -> dict[str, str]:
    """The map that `KEY=VALUE` words are."""
    for word in words:
        if "=" not in word:
            raise ApiError(f'No value found in "{word}"')
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _add(owner: Owner) -> None:
    name, kind, *rest = owner.words
    if name in owner.devices:
        raise ApiError("The device already exists")
    owner.change({name: {**pairs(rest), "type": kind}})
    print(f"Device {name} added to {owner.name}")


def _get(owner: Owner) -> None:
    name, key = owner.words
    print(owner.device(name).get(key, ""))


def _set(owner: Owner) -> None:
    name, *rest = owner.words
    changed = {rest[0]: rest[1]} if len(rest) == 2 and "=" not in rest[0] else pairs(rest)
    owner.change({name: {**owner.device(name), **changed}})


def _unset(owner: Owner) -> None:
    name, key = owner.words
    owner.change({name: {k: v for k, v in owner.device(name).items() if k != key}})


def _list(owner: Owner) -> None:
    for name in sorted(owner.devices):
        print(name)


def _show(owner: Owner) -> None:
    shown = {name: dict(sorted(device.items())) for name, device in sorted(owner.devices.items())}
    sys.stdout.write(output.yaml(shown))


def _remove(owner: Owner) -> None:
    for name in owner.words:
        owner.device(name)
    owner.change(dict.fromkeys(owner.words))
    print(f"Device {', '.join(owner.words)} removed from {owner.name}")


def _override(owner: Owner) -> None:
    name, *rest = owner.words
    if name in owner.devices:
        raise ApiError("The device already exists")
    if name not in owner.inherited:
        raise ApiError("The profile device doesn't exist")
    owner.change({name: {**owner.inherited[name], **pairs(rest)}})
    print(f"Device {name} overridden for {owner.name}")


SUBCOMMANDS: dict[str, tuple[Any, int, int | None]] = {
    "add": (_add, 3, None),
    "get": (_get, 3, 3),
    "set": (_set, 3, None),
    "unset": (_unset, 3, 3),
    "list": (_list, 1, 1),
    "show": (_show, 1, 1),
    "remove": (_remove, 2, None),
    "override": (_override, 2, None),
}
"""Word -> (function, least and most words after it)."""
