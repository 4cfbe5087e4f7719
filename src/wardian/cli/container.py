"""start, stop, restart, pause, delete."""

from __future__ import annotations

import sys

from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, in_parallel, is_protected, need
from wardian.client.connection import ApiError, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


LOG_HINT = "Try `lxc info --show-log {}` for more info"


def change(session: Session, daemon: Connection, name: str, wanted: dict[str, Any], shown: str) -> None:
    """Have a container change its state; ApiError with a hint at its log. shown: its name for people."""
    try:
        session.run(daemon, "PUT", container_url(name, "state"), wanted, quiet=True)
    except ApiError as error:
        if error.code:
            raise
        raise ApiError(f"{error}\n{LOG_HINT.format(shown)}") from None


ALL = {
    "start": ("Stopped", "Frozen"),
    "stop": ("Running", "Frozen"),
    "restart": ("Running",),
    "pause": ("Running",),
}
"""Command -> the states in which --all takes a container."""


def _targets(session: Session, words: list[str], every: str = "") -> list[str]:
    """The containers that the words name. every: the command that is for all containers of servers."""
    if every:
        places = words or [f"{session.config.default}:"]
        return [name for place in places for name in _all(session, place, ALL[every])]
    need(words, 1)
    for word in words:
        _, name = session.config.split(word)
        if not name:
            raise ApiError(f'Must supply container name for: "{word}"')
    return words


def _all(session: Session, word: str, states: tuple[str, ...]) -> list[str]:
    remote, name = session.config.split(word)
    if name:
        raise ApiError(f'--all is for all containers of a server; leave out "{name}"')
    found = session.at(remote).get("/1.0/containers?recursion=1")
    prefix = f"{remote.name}:" if word and remote.name != session.config.default else ""
    return [prefix + container["name"] for container in found if container["status"] in states]


def start(session: Session, values: Values, words: list[str]) -> int:
    """Start containers; a frozen one goes on."""

    def one(word: str) -> None:
        own = Session(session.config)
        daemon, name = own.server(word)
        found = daemon.get(container_url(name))
        wanted = {"action": "unfreeze" if found["status"] == "Frozen" else "start", "timeout": -1}
        if found["stateful"] and found["status"] == "Stopped" and not values.stateless:
            wanted["stateful"] = True
        change(own, daemon, name, wanted, word)

    names = _targets(session, words, "start" if values.all else "")
    _check_console(values, names)
    in_parallel(names, one, "start")
    return _console(session, values, names)


def _check_console(values: Values, names: list[str]) -> None:
    if values.console and len(names) != 1:
        raise ApiError("--console is for one container at a time")


def _console(session: Session, values: Values, names: list[str]) -> int:
    """Show the console, if that is wanted."""
    if not values.console:
        return 0
    from wardian.cli import console

    return console.attach(session, names[0])


def _act(session: Session, values: Values, words: list[str], action: str, verb: str, **more: Any) -> int:
    def one(word: str) -> None:
        own = Session(session.config)
        daemon, name = own.server(word)
        change(own, daemon, name, {"action": action, **more}, word)

    in_parallel(_targets(session, words, verb if values.all else ""), one, verb)
    return 0


def stop(session: Session, values: Values, words: list[str]) -> int:
    """Stop containers."""
    more = {"stateful": True} if values.stateful else {}
    return _act(session, values, words, "stop", "stop", timeout=values.timeout, force=values.force, **more)


def restart(session: Session, values: Values, words: list[str]) -> int:
    """Stop containers and start them again."""
    _check_console(values, words)
    _act(session, values, words, "restart", "restart", timeout=values.timeout, force=values.force)
    return _console(session, values, words)


def pause(session: Session, values: Values, words: list[str]) -> int:
    """Freeze containers."""
    return _act(session, values, words, "freeze", "pause")


def _may_be_stopped(name: str, found: dict[str, Any], *, force: bool) -> None:
    """Accept that a container is stopped to be deleted, or raise ApiError."""
    if not force:
        raise ApiError("The container is currently running, stop it first or pass --force.")
    if is_protected(found):  # the daemon refuses, too, but only once it is stopped
        raise ApiError(
            f'container "{name}" is protected; set "security.protection.delete" to false to delete it'
        )


def delete(session: Session, values: Values, words: list[str]) -> int:
    """Delete containers and snapshots, by force also running ones."""
    names = _targets(session, words)
    if values.interactive:
        for name in names:
            print(f"Remove {name} (yes/no): ", end="", flush=True)
            if sys.stdin.readline().strip().lower() != "yes":
                raise ApiError("User aborted delete operation.")

    def one(word: str) -> None:
        own = Session(session.config)
        daemon, name = own.server(word)
        if "/" in name:
            own.run(daemon, "DELETE", container_url(name), quiet=True)
            return
        try:
            found = daemon.get(container_url(name))
        except ApiError as error:
            if error.code != 404:
                raise
            found = {"status": "Stopped"}  # there may be what is kept of a copy that broke off
        if found["status"] != "Stopped":
            _may_be_stopped(name, found, force=values.force)
            change(own, daemon, name, {"action": "stop", "timeout": -1, "force": True}, word)
            if found["ephemeral"]:
                return
        own.run(daemon, "DELETE", container_url(name), quiet=True)

    in_parallel(names, one, "delete")
    return 0
