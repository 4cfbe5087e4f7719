"""lxc snapshot, restore: containers as they were."""

from __future__ import annotations

from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def snapshot(session: Session, values: Values, words: list[str]) -> int:
    """Take a snapshot of a container."""
    need(words, 1, 2)
    daemon, name = session.server(words[0])
    if values.expiry and values.no_expiry:
        raise ApiError("Can't specify --expiry with --no-expiry")
    request: dict[str, Any] = {"name": words[1]} if len(words) > 1 else {}
    if values.stateful:
        request["stateful"] = True
    if values.expiry:
        request["expires_at"] = end_of(values.expiry)
    if len(words) < 2 or not (values.reuse and _exists(daemon, f"{name}/{words[1]}")):
        session.run(daemon, "POST", container_url(name, "snapshots"), request, quiet=True)
        return 0
    made = f"{words[1][:100]}.new"  # the old one goes only after the new one is there
    session.run(daemon, "POST", container_url(name, "snapshots"), {**request, "name": made}, quiet=True)
    session.run(daemon, "DELETE", container_url(f"{name}/{words[1]}"), quiet=True)
    session.run(daemon, "POST", container_url(f"{name}/{made}"), {"name": words[1]}, quiet=True)
    return 0


def _exists(daemon: Connection, snapshot: str) -> bool:
    try:
        daemon.get(container_url(snapshot))
    except ApiError as error:
        if error.code != 404:
            raise
        return False
    return True


def end_of(duration: str) -> str:
    """The moment at the end of a duration that begins now, as the API wants it."""
    from datetime import UTC, datetime

    from wardian.errors import InvalidInput
    from wardian.model.snapshots import expires_at

    try:
        return expires_at(duration, datetime.now(UTC)).isoformat()
    except InvalidInput as error:
        raise ApiError(str(error)) from None


def restore(session: Session, values: Values, words: list[str]) -> int:
    """Give a container the files and configuration of a snapshot, and its memory if asked to."""
    need(words, 2, 2)
    daemon, name = session.server(words[0])
    change: dict[str, str | bool] = {"restore": words[1]}
    if values.stateful:
        change["stateful"] = True
    session.run(daemon, "PUT", container_url(name), change, quiet=True)
    return 0
