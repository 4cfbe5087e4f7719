"""lxc copy, move, rename: containers and snapshots under other names."""

from __future__ import annotations

from wardian.cli import migrate
from wardian.cli.create import pair
from wardian.cli.options import FlagError, Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def copy(session: Session, values: Values, words: list[str]) -> int:
    """Copy a container or a snapshot to a new container, here or on another host."""
    need(words, 1, 2)
    source, target = migrate.ends(session, words)
    if not source.name:
        raise ApiError("You must specify a source container name")
    if source.daemon is not target.daemon:
        migrate.copy(session, values, source, target)
        return 0
    for flag in ("mode", "limit"):
        if getattr(values, flag):
            raise FlagError(f"--{flag} is for copies between hosts")
    _copy_here(session, values, source.daemon, source.name, target.name)
    return 0


def _copy_here(session: Session, values: Values, daemon: Connection, source: str, name: str) -> None:
    wanted = values.snapshots or values.refresh
    alone = not wanted or values.instance_only or values.container_only
    if values.refresh and not name:
        raise ApiError("name the copy that is to be brought up to date")
    found = daemon.get(container_url(source))
    request: dict[str, Any] = {
        "source": {"type": "copy", "source": source, **({"container_only": True} if alone else {})},
        "name": name,
        "ephemeral": values.ephemeral,
        "config": dict(pair(text) for text in values.config),
        "devices": migrate.devices(found, values.device, values.storage),
    }
    if values.refresh:
        request["source"]["refresh"] = True
    if values.profile:
        request["profiles"] = [p for p in values.profile if p]
    operation = session.run(daemon, "POST", "/1.0/containers", request)
    if not name:
        print(f"Container name is: {operation['resources']['containers'][0].rsplit('/', 1)[1]}")


def move(session: Session, values: Values, words: list[str]) -> int:
    """Rename a stopped container, or a snapshot, or move it to another storage pool or host."""
    pool = getattr(values, "storage", "")
    need(words, 1 if pool else 2, 2)
    origin, goal = migrate.ends(session, words)
    if not origin.name:
        raise ApiError("You must specify a source container name")
    if goal.daemon is not origin.daemon:
        migrate.move(session, values, origin, goal)
        return 0
    for flag in (
        "mode",
        "limit",
        "config",
        "device",
        "profile",
        "instance_only",
        "container_only",
    ):
        if getattr(values, flag, None):
            raise FlagError(f"--{flag.replace('_', '-')} is for moves between hosts")
    if pool:
        if "/" in origin.name:
            raise ApiError("a snapshot stays in the storage pool of its container")
        if "/" in goal.name:
            raise ApiError("Invalid container name")
        wanted = {"pool": pool, "name": goal.name or origin.name}
        session.run(origin.daemon, "POST", container_url(origin.name), wanted)
        return 0
    daemon, source, target = origin.daemon, origin.name, goal.name
    container, slash, _ = source.partition("/")
    if slash:
        target_container, _, own = target.partition("/")
        if target_container != container or not own:
            raise ApiError(f'a snapshot stays with its container: name it "{container}/{own}"')
        target = own
    elif "/" in target:
        raise ApiError("Invalid container name")
    session.run(daemon, "POST", container_url(source), {"name": target}, quiet=True)
    return 0


def rename(session: Session, values: Values, words: list[str]) -> int:
    """The same, on one host by definition."""
    need(words, 2, 2)
    if ":" in words[1]:
        raise UsageError
    remote, colon, name = words[0].rpartition(":")
    container, slash, _ = name.partition("/")
    target = words[1] if not slash or "/" in words[1] else f"{container}/{words[1]}"
    return move(session, values, [words[0], f"{remote}{colon}{target}"])
