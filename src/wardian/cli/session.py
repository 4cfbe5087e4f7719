"""What a command works with: the configuration, the daemon it talks to, waiting for operations."""

from __future__ import annotations

import sys

from wardian.cli.interrupts import GivenUp, Interrupts
from wardian.client import config, jsontext
from wardian.client.connection import ApiError, Connection, UnixPlace, quote
from wardian.client.websocket import TEXT, open_websocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wardian.cli.options import Values
    from wardian.client.config import Remote
    from wardian.client.connection import Place
    from wardian.client.websocket import WebSocket

FINAL = 200
CANCELLED = 401
STAGES = {
    "download": "Retrieving image",
    "unpack": "Unpacking image",
    "create_image_from_container_pack": "Packing image",
    "create_backup": "Packing container",
    "fs": "Transferring container",
}
"""What people read for a stage of an operation; others are shown as they are called."""


class UsageError(Exception):
    """Wrong number of words: the usage is shown, exit status 1."""


class OperationFailed(ApiError):
    """An operation has ended, and not well. operation: as the daemon shows it."""

    def __init__(self, operation: dict[str, Any]) -> None:
        super().__init__(operation["err"] or operation["status"])
        self.operation = operation


class OperationLost(ApiError):
    """An operation was begun, and how it ended cannot be asked."""


class Session:
    """One run of the client."""

    def __init__(self, configuration: config.Config, *, quiet: bool = False) -> None:
        """quiet: show no progress."""
        self.config = configuration
        self.quiet = quiet
        self._connections: dict[str, Connection] = {}

    def server(self, text: str) -> tuple[Connection, str]:
        """(daemon, object) of `[remote:]object`; ApiError if the remote has no containers."""
        remote, name = self.config.split(text)
        if remote.public:
            raise ApiError("The remote isn't a private LXD server")
        return self.at(remote), name

    def at(self, remote: Remote) -> Connection:
        """The daemon of a remote; a public one sees us as a guest."""
        if remote.protocol != "lxd":
            raise ApiError("The remote isn't a private LXD server")
        if remote.name not in self._connections:
            self._connections[remote.name] = Connection(place(remote))
        return self._connections[remote.name]

    def run(
        self, daemon: Connection, verb: str, path: str, content: Any = None, *, quiet: bool = False
    ) -> dict[str, Any]:
        """Send a request that starts an operation and wait for its end; the operation's object.

        OperationFailed with its own message if it fails. On a terminal, progress is shown.
        """
        watches = sys.stdout.isatty() and not (quiet or self.quiet)
        events = open_websocket(daemon.place, "/1.0/events?type=operation") if watches else None
        try:
            with Interrupts() as interrupts:
                started = daemon.request(verb, path, content)[0]
                if started["type"] != "async":
                    return started
                finished = _ended(daemon.place, started["metadata"]["id"], events, interrupts)
        finally:
            if events is not None:
                events.close()
        if finished["status_code"] != FINAL:
            raise OperationFailed(finished)
        return finished


def _ended(place: Place, id: str, events: WebSocket | None, interrupts: Interrupts) -> dict[str, Any]:
    """The operation once it has ended; an interrupt cancels it. events: shows its progress."""
    path = f"/1.0/operations/{id}"
    is_cancelled = False
    while True:
        if interrupts.is_due:
            interrupts.answer()
            is_cancelled = True
            _cancel(place, path)
        try:
            if events is not None and not events.closed:
                interrupts.watch(events)
                _follow(events, id)
            asking = Connection(place)
            interrupts.watch(asking)
            found: dict[str, Any] = asking.get(f"{path}/wait")
        except GivenUp:
            raise
        except ApiError as error:
            if interrupts.is_due:
                continue
            raise OperationLost(str(error), error.code) from None
        if is_cancelled and found["status_code"] == CANCELLED:
            raise ApiError("Remote operation canceled by user")
        return found


def _cancel(place: Place, path: str) -> None:
    try:
        Connection(place).request("DELETE", path)
    except ApiError as error:
        sys.stderr.write(f"{error} (interrupt two more times to force)\n")


def _follow(events: WebSocket, id: str) -> None:
    """Show how far the operation is, until it has ended or there are no more events."""
    shown = ""
    try:
        while not events.closed:
            for kind, payload in events.receive():
                operation = jsontext.loads(payload)["metadata"] if kind == TEXT else {}
                if operation.get("id") != id:
                    continue
                text = _progress_text(operation)
                if text != shown:
                    sys.stdout.write("\r" + text.ljust(len(shown)) + ("" if text else "\r"))
                    sys.stdout.flush()
                    shown = text
                if operation["status_code"] >= FINAL:
                    return
    finally:
        if shown:
            sys.stdout.write("\r" + " " * len(shown) + "\r")
            sys.stdout.flush()


def place(remote: Remote) -> Place:
    """Where the daemon of a remote is; our certificate is made if it needs one and there is none."""
    if remote.url.startswith("unix:"):
        return UnixPlace(remote.url.removeprefix("unix:").removeprefix("//"), remote.url)
    import ssl

    from wardian.client.tls import HttpsPlace

    kept = config.pinned(remote.name)
    return HttpsPlace(
        remote.name,
        remote.url,
        pinned=ssl.PEM_cert_to_DER_cert(kept) if kept else None,
        identity=None if remote.public else identity(),
        authority=config.authority(),
    )


def identity() -> tuple[str, str]:
    """The files of our certificate and key, made on first need."""
    if not config.has_identity():
        sys.stderr.write("Generating a client certificate. This may take a minute...\n")
        config.make_identity()
    return config.identity()


def _progress_text(operation: dict[str, Any]) -> str:
    for key, value in (operation.get("metadata") or {}).items():
        if key.endswith("_progress"):
            stage = key.removesuffix("_progress")
            return f"{STAGES.get(stage, stage.capitalize())}: {value}"[:100]
    return ""


def is_protected(container: dict[str, Any]) -> bool:
    """Whether a container, as the API tells it, is not to be deleted."""
    value: str = container["expanded_config"].get("security.protection.delete", "")
    return value.lower() in ("true", "1", "yes", "on")


def container_url(name: str, *rest: str) -> str:
    """The path of a container, or of a snapshot (`container/snapshot`), in the API."""
    container, slash, snapshot = name.partition("/")
    own = ("snapshots", quote(snapshot).replace("/", "%2F")) if slash else ()
    return "/".join(("/1.0/containers", quote(container), *own, *rest))


def dispatch(
    subcommands: Mapping[str, Callable[[Session, Values, list[str]], object]],
    session: Session,
    values: Values,
    words: list[str],
) -> int:
    """Run what the first word names with the others; UsageError if it names nothing."""
    if not words or words[0] not in subcommands:
        raise UsageError
    subcommands[words[0]](session, values, words[1:])
    return 0


def need(words: Sequence[str], least: int, most: int | None = None) -> None:
    """UsageError unless there are that many words (most None: no bound; default: exactly `least`)."""
    if len(words) < least or (most is not None and len(words) > most):
        raise UsageError


def in_parallel(names: Sequence[str], work: Callable[[str], None], verb: str) -> None:
    """Do it for all names at once; every failure is told, then one error for all."""
    if len(names) < 2:
        for name in names:
            work(name)
        return
    import threading

    failures: dict[str, str] = {}

    def one(name: str) -> None:
        try:
            work(name)
        except ApiError as error:
            failures[name] = str(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        for name in names:
            for line in failures.get(name, "").splitlines():
                sys.stderr.write(f"{name}: error: {line}\n")
        sys.stderr.write("\n")
        raise ApiError(f"Some containers failed to {verb}")
