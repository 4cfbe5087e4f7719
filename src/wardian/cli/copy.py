"""lxc copy, move, rename: containers and snapshots under other names."""

from __future__ import annotations

from wardian.cli.container import pair
from wardian.cli.options import FlagError, Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def copy(session: Session, values: Values, words: list[str]) -> int:
    """Copy a container or a snapshot to a new container."""
    need(words, 2, 2)
    daemon, source = session.server(words[0])
    target_daemon, name = session.server(words[1])
    if not source:
        raise ApiError("You must specify a source container name")
    if target_daemon is not daemon:
        raise ApiError("containers cannot be copied to another host in this version")
    alone = not values.snapshots or values.instance_only or values.container_only
    request: dict[str, Any] = {
        "source": {"type": "copy", "source": source, **({"container_only": True} if alone else {})},
        "name": name,
        "ephemeral": values.ephemeral,
        "config": dict(pair(text) for text in values.config),
        "devices": _devices(daemon.get(container_url(source)), values.device),
    }
    if values.profile:
        request["profiles"] = [p for p in values.profile if p]
    operation = session.run(daemon, "POST", "/1.0/containers", request)
    if not name:
        print(f"Container name is: {operation['resources']['containers'][0].rsplit('/', 1)[1]}")
    return 0


def _devices(source: dict[str, Any], settings: list[str]) -> dict[str, dict[str, str]]:
    """The devices that `-d NAME,KEY=VALUE` changes, each as a whole."""
    changed: dict[str, dict[str, str]] = {}
    for text in settings:
        name, comma, setting = text.partition(",")
        key, equals, value = setting.partition("=")
        if not comma or not equals:
            raise FlagError(f'invalid value "{text}" for flag -d: it is like eth0,name=eth1')
        if name not in source["expanded_devices"]:
            raise ApiError(f'the source has no device "{name}"')
        changed.setdefault(name, dict(source["expanded_devices"][name]))[key] = value
    return {name: {k: v for k, v in device.items() if v} for name, device in changed.items()}


def move(session: Session, values: Values, words: list[str]) -> int:
    """Rename a stopped container, or a snapshot."""
    need(words, 2, 2)
    daemon, source = session.server(words[0])
    target_daemon, target = session.server(words[1])
    if target_daemon is not daemon:
        raise ApiError("containers cannot be moved to another host in this version")
    container, slash, _ = source.partition("/")
    if slash:
        target_container, target_slash, own = target.partition("/")
        if target_slash and target_container != container:
            raise ApiError(f'a snapshot stays with its container: name it "{container}/{own}"')
        target = own if target_slash else target
    elif "/" in target:
        raise ApiError("Invalid container name")
    session.run(daemon, "POST", container_url(source), {"name": target}, quiet=True)
    return 0


def rename(session: Session, values: Values, words: list[str]) -> int:
    """The same, on one host by definition."""
    need(words, 2, 2)
    if ":" in words[1]:
        raise UsageError
    remote, colon, _ = words[0].rpartition(":")
    return move(session, values, [words[0], f"{remote}{colon}{words[1]}"])
