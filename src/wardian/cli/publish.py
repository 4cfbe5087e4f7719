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

    from wardian.client.config import Remote

KNOWN = "The image already exists: "


def publish(session: Session, values: Values, words: list[str]) -> int:
    """Make an image of a container or snapshot."""
    need(words, 1)
    remote, name = session.config.split(words[0])
    daemon = target = session.at(remote)
    if not name:
        raise ApiError("Container name is mandatory")
    rest = words[1:]
    if rest and "=" not in rest[0]:
        target, image = session.server(rest.pop(0))
        if image:
            raise ApiError('There is no "image name".  Did you want an alias?')
    request = {
        "source": {"type": "snapshot" if "/" in name else "container", "name": name},
        "public": values.public,
        "properties": dict(_property(text) for text in rest) or None,
        "compression_algorithm": values.compression,
    }

    def work() -> str:
        if target is daemon:
            return make(session, daemon, request, may_exist=values.reuse)
        return _make_elsewhere(session, remote, request, target, may_exist=values.reuse)

    fingerprint = work() if "/" in name else _stopped(session, daemon, name, work, force=values.force)
    for alias in values.alias:
        old = _target(target, alias)
        move_alias(target, alias, fingerprint)
        if values.reuse and old not in ("", fingerprint):
            _delete_unnamed(session, target, old)
    print(f"Container published with fingerprint: {fingerprint}")
    return 0


def _make_elsewhere(
    session: Session, remote: Remote, request: dict[str, Any], target: Connection, *, may_exist: bool
) -> str:
    """Make an image at the container's host, for another one that gets it; the first keeps none."""
    from wardian.cli import image_hosts

    daemon = session.at(remote)
    is_new = True
    try:
        fingerprint = make(session, daemon, request, may_exist=False)
    except ApiError as error:
        if not str(error).startswith(KNOWN):
            raise
        fingerprint, is_new = str(error).removeprefix(KNOWN), False
    try:
        if may_exist and _has(target, fingerprint):
            return fingerprint
        return image_hosts.copy(session, remote, fingerprint, target, {"public": request["public"]})
    finally:
        if is_new:
            session.run(daemon, "DELETE", f"/1.0/images/{fingerprint}", quiet=True)


def _has(daemon: Connection, fingerprint: str) -> bool:
    try:
        daemon.get(f"/1.0/images/{fingerprint}")
    except ApiError as error:
        if error.code != 404:
            raise
        return False
    return True


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
