"""lxc publish: images of containers and snapshots."""

from __future__ import annotations

from wardian.cli.image_fetch import move_alias
from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KNOWN = "The image already exists: "


def publish(session: Session, values: Values, words: list[str]) -> int:
    """Make an image of a container or snapshot."""
    need(words, 1)
    daemon, name = session.server(words[0])
    if not name:
        raise ApiError("Container name is mandatory")
    rest = words[1:]
    if rest and "=" not in rest[0]:
        target, image = session.server(rest.pop(0))
        if image:
            raise ApiError('There is no "image name".  Did you want an alias?')
        if target is not daemon:
            raise ApiError("publish to the host of the container, then use `lxc image copy`")
    request = {
        "source": {"type": "snapshot" if "/" in name else "container", "name": name},
        "public": values.public,
        "properties": dict(_property(text) for text in rest) or None,
        "compression_algorithm": values.compression,
    }

    def work() -> str:
        return make(session, daemon, request, may_exist=values.reuse)

    fingerprint = work() if "/" in name else _stopped(session, daemon, name, work, force=values.force)
    for alias in values.alias:
        old = _target(daemon, alias)
        move_alias(daemon, alias, fingerprint)
        if values.reuse and old not in ("", fingerprint):
            _delete_unnamed(session, daemon, old)
    print(f"Container published with fingerprint: {fingerprint}")
    return 0


def _property(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ApiError(f'"{text}" is not a property: write KEY=VALUE')
    return key, value


def make(session: Session, daemon: Connection, request: dict[str, Any], *, may_exist: bool) -> str:
    """Have the daemon make an image; its fingerprint, also (with `may_exist`) of one that is there."""
    try:
        finished = session.run(daemon, "POST", "/1.0/images", request)
    except ApiError as error:
        if may_exist and str(error).startswith(KNOWN):
            return str(error).removeprefix(KNOWN)
        raise
    fingerprint: str = finished["metadata"]["fingerprint"]
    return fingerprint


def _stopped(
    session: Session, daemon: Connection, name: str, work: Callable[[], str], *, force: bool
) -> str:
    """Do the work while the container is stopped, and start it again if it ran."""
    found = daemon.get(container_url(name))
    if found["status"] == "Stopped":
        return work()
    if not force:
        raise ApiError("The container is currently running. Use --force to have it stopped and restarted.")
    state = container_url(name, "state")
    if found["ephemeral"]:
        daemon.request("PATCH", container_url(name), {"ephemeral": False})
    session.run(daemon, "PUT", state, {"action": "stop", "timeout": -1, "force": True}, quiet=True)
    try:
        return work()
    finally:
        if found["ephemeral"]:
            daemon.request("PATCH", container_url(name), {"ephemeral": True})
        session.run(daemon, "PUT", state, {"action": "start", "timeout": -1}, quiet=True)


def _target(daemon: Connection, alias: str) -> str:
    """The fingerprint that an alias stands for; "" if there is no such alias."""
    try:
        target: str = daemon.get(f"/1.0/images/aliases/{quote(alias)}")["target"]
    except ApiError as error:
        if error.code != 404:
            raise
        return ""
    return target


def _delete_unnamed(session: Session, daemon: Connection, fingerprint: str) -> None:
    """Delete an image that no alias names any more."""
    if not daemon.get(f"/1.0/images/{fingerprint}")["aliases"]:
        session.run(daemon, "DELETE", f"/1.0/images/{fingerprint}", quiet=True)
