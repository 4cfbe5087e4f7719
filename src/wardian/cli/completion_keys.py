"""What completion knows of keys, devices and values: the tables of `wardian.model`, read as words.

A place on the command line is found by the words before it. Its word is KEY, KEY=VALUE or VALUE,
as the command takes it; where a key is to be taken away, those that are set are offered.
"""

from __future__ import annotations

from wardian.cli.completion import objects
from wardian.cli.session import Session, container_url
from wardian.client.connection import quote
from wardian.model import devices, keys, network, pool_keys, server_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Choices = Mapping[str, tuple[str, ...]]
    """Key -> the values it can have; none: any. A family of keys ends with its dot."""


def words(session: Session, command: str, before: list[str], current: str) -> list[str] | None:
    """The keys, types and values that can stand in place of the current word; None: something else does.

    before: the words after the command, without options.
    """
    action, *rest = before or [""]
    if command in ("config", "profile") and action == "device":
        return _device(session, command, rest, current)
    place = (command, action)
    if command == "config" and action in ("get", "set", "unset"):
        return _config(session, action, rest, current)
    if place in _OF_OBJECTS and rest:
        url, choices = _OF_OBJECTS[place]
        if action in ("get", "unset"):
            return sorted(_present(session, url, rest[0])["config"]) if len(rest) == 1 else []
        return _pair(choices(), rest[1:], current, alone=action == "set")
    if place == ("storage", "create") and rest:
        return (
            sorted(pool_keys.DRIVERS) if len(rest) == 1 else _pair(_pools(), rest[2:], current, alone=False)
        )
    return None


def _config(session: Session, action: str, rest: list[str], current: str) -> list[str]:
    """Of the server, or of the container that the first word names."""
    server = {key.name: key.choices for key in server_keys.KEYS if key.used}
    if not rest and "=" in current:
        return _pair(server, [], current, alone=True)
    if not rest:
        return [*objects(session, "container", current), *server]
    if rest[0].partition("=")[0] in server or rest[0].endswith(":"):
        own = rest[1:] if rest[0].endswith(":") else rest
        return _pair(server, own, current, alone=action == "set")
    if action == "set":
        return _pair(_configuration(), rest[1:], current, alone=True)
    return sorted(_present(session, container_url, rest[0])["config"]) if len(rest) == 1 else []


def _device(session: Session, command: str, before: list[str], current: str) -> list[str] | None:
    """After `config device` or `profile device`."""
    if len(before) < 2:
        return ["add", "get", "list", "override", "remove", "set", "show", "unset"] if not before else None
    action, owner, *rest = before
    url = container_url if command == "config" else _profile_url
    if action == "add":
        if len(rest) < 2:
            return [kind.name for kind in devices.TYPES] if rest else []
        return _pair(_choices_of(rest[1], rest[2:]), rest[2:], current, alone=False)
    found = _present(session, url, owner)
    own: dict[str, dict[str, str]] = found["devices"]
    if action == "override":
        own = {n: d for n, d in found.get("expanded_devices", {}).items() if n not in own}
    if not rest or action == "remove":
        return sorted(own)
    device = own.get(rest[0], {})
    if action in ("get", "unset"):
        return sorted(device) if len(rest) == 1 else []
    given = [f"{key}={value}" for key, value in device.items()]
    choices = _choices_of(device.get("type", ""), given)
    return _pair(choices, rest[1:], current, alone=action == "set")


def _choices_of(kind: str, given: list[str]) -> Choices:
    known = next((found for found in devices.TYPES if found.name == kind), None)
    if known is None:
        return {}
    pairs = {key: value for key, _, value in (word.partition("=") for word in given)}
    options = devices.options_of({**pairs, "type": kind})
    if kind == "nic" and not pairs.get("nictype"):
        options = (*options, *(o for o in devices.nic_options("bridged") if o not in options))
    return {option.name: option.type.choices for option in options}


def _pair(choices: Choices, given: list[str], current: str, *, alone: bool) -> list[str]:
    """The next `KEY=VALUE`; with `alone` also a key, or the value of the key before it."""
    key, has_value, _ = current.partition("=")
    if alone and len(given) == 1 and "=" not in given[0]:
        return list(choices.get(given[0], ()))
    if has_value:
        return [f"{key}={value}" for value in choices.get(key, ())]
    used = {word.partition("=")[0] for word in given}
    free = sorted(name for name in choices if name not in used)
    return free if alone and not given else [name if name.endswith(".") else f"{name}=" for name in free]


def _configuration() -> Choices:
    """Keys of containers and profiles; of a family what stands before the `*`."""
    return {key.name.partition("*")[0]: key.type.choices for key in keys.KEYS if "profile" in key.scope}


def _networks() -> Choices:
    return {key.name.partition("*")[0]: key.choices for key in network.KEYS}


def _pools() -> Choices:
    return {key.name.partition("*")[0]: () for key in pool_keys.KEYS}


def _present(session: Session, url: Callable[[str], str], word: str) -> dict[str, Any]:
    daemon, name = session.server(word)
    found: dict[str, Any] = daemon.get(url(name))
    return found


def _profile_url(name: str) -> str:
    return f"/1.0/profiles/{quote(name)}"


def _network_url(name: str) -> str:
    return f"/1.0/networks/{quote(name)}"


def _pool_url(name: str) -> str:
    return f"/1.0/storage-pools/{quote(name)}"


_OF_OBJECTS: dict[tuple[str, str], tuple[Callable[[str], str], Callable[[], Choices]]] = {
    (command, action): found
    for command, actions, found in (
        ("profile", ("get", "set", "unset"), (_profile_url, _configuration)),
        ("network", ("get", "set", "unset", "create"), (_network_url, _networks)),
        ("storage", ("get", "set", "unset"), (_pool_url, _pools)),
    )
    for action in actions
}
"""(command, action) -> where the object is found, and its keys."""
