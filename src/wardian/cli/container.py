"""launch, init, start, stop, restart, pause, delete."""

from __future__ import annotations

import sys

from wardian.cli import image_fetch
from wardian.cli.options import FlagError, Values
from wardian.cli.session import Session, container_url, in_parallel, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.client.config import Remote

LOG_HINT = "Try `lxc info --show-log {}` for more info"


def init(session: Session, values: Values, words: list[str]) -> int:
    """Create a container."""
    _create(session, values, words)
    return 0


def launch(session: Session, values: Values, words: list[str]) -> int:
    """Create and start a container."""
    daemon, name = _create(session, values, words)
    print(f"Starting {name}")
    where = words[1].partition(":")[0] + ":" if len(words) > 1 and ":" in words[1] else ""
    _change(session, daemon, name, {"action": "start", "timeout": -1}, f"{where}{name}")
    return 0


def _create(session: Session, values: Values, words: list[str]) -> tuple[Connection, str]:
    need(words, 1, 2)
    daemon, name = session.server(words[1] if len(words) > 1 else f"{session.config.default}:")
    request: dict[str, Any] = {"source": source_of(session, daemon, words[0], words[1:])}
    if name:
        request["name"] = name
    if values.ephemeral:
        request["ephemeral"] = True
    if values.profile or values.no_profiles:
        request["profiles"] = [p for p in values.profile if p]
    if values.type:
        request["instance_type"] = values.type
    request["config"] = dict(pair(text) for text in values.config)
    if values.storage:
        request["devices"] = {"root": {"type": "disk", "path": "/", "pool": values.storage}}
    print(f"Creating {name}" if name else "Creating the container")
    operation = session.run(daemon, "POST", "/1.0/containers", request)
    made: str = operation["resources"]["containers"][0].rsplit("/", 1)[1]
    if not name:
        print(f"Container name is: {made}")
    return daemon, made


def pair(text: str) -> tuple[str, str]:
    """(key, value) of a `-c` flag."""
    key, equals, value = text.partition("=")
    if not equals:
        raise FlagError(f'invalid value "{text}" for flag -c: Invalid configuration key')
    return key, value


def source_of(session: Session, daemon: Connection, image: str, target: list[str]) -> dict[str, str]:
    """Where the daemon gets an image from, as the words of the command name it."""
    remote, name = session.config.split(image)
    wanted_by, _ = session.config.split(target[0] if target else f"{session.config.default}:")
    if remote.protocol == "lxd" and remote.url != wanted_by.url:
        return _host_source(session, remote, name or "default", daemon)
    if remote.protocol == "lxd":
        guess = _forgotten_colon(session, daemon, image) if ":" not in image else ""
        if not guess:
            return _local_source(daemon, name or "default")
        remote, name = session.config.split(guess)
    return image_fetch.source(remote, name)


def _host_source(session: Session, remote: Remote, name: str, daemon: Connection) -> dict[str, str]:
    """Where the daemon gets an image of another host; without an address it gets it through us, now."""
    from wardian.cli.image_hosts import HostImage

    image = HostImage(session, remote, name)
    sources = image.sources()
    if not sources:
        return {"type": "image", "fingerprint": image.relay(daemon, public=False)}
    return image.opened(sources[0])


def _forgotten_colon(session: Session, daemon: Connection, image: str) -> str:
    first, slash, rest = image.partition("/")
    if first not in session.config.remotes or _exists(daemon, image):
        return ""
    guess = f"{first}:{rest}"
    sys.stderr.write(f"The local image '{image}' couldn't be found, trying '{guess}' instead.\n")
    return guess if slash else f"{first}:default"


def _exists(daemon: Connection, image: str) -> bool:
    for path in (f"/1.0/images/aliases/{quote(image)}", f"/1.0/images/{quote(image)}"):
        try:
            daemon.get(path)
        except ApiError:
            continue
        return True
    return False


def _local_source(daemon: Connection, name: str) -> dict[str, str]:
    try:
        target = daemon.get(f"/1.0/images/aliases/{quote(name)}")["target"]
    except ApiError as error:
        if error.code != 404:
            raise
        target = name
    if not target or set(target) - set("0123456789abcdef"):
        raise ApiError(
            f'image "{name}" not found; `lxc image list` shows the local ones, debian:bookworm builds one'
        )
    return {"type": "image", "fingerprint": target}


def _change(session: Session, daemon: Connection, name: str, change: dict[str, Any], shown: str) -> None:
    try:
        session.run(daemon, "PUT", container_url(name, "state"), change, quiet=True)
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
        change = {"action": "unfreeze" if found["status"] == "Frozen" else "start", "timeout": -1}
        if found["stateful"] and found["status"] == "Stopped" and not values.stateless:
            change["stateful"] = True
        _change(own, daemon, name, change, word)

    in_parallel(_targets(session, words, "start" if values.all else ""), one, "start")
    return 0


def _act(session: Session, values: Values, words: list[str], action: str, verb: str, **more: Any) -> int:
    def one(word: str) -> None:
        own = Session(session.config)
        daemon, name = own.server(word)
        _change(own, daemon, name, {"action": action, **more}, word)

    in_parallel(_targets(session, words, verb if values.all else ""), one, verb)
    return 0


def stop(session: Session, values: Values, words: list[str]) -> int:
    """Stop containers."""
    more = {"stateful": True} if values.stateful else {}
    return _act(session, values, words, "stop", "stop", timeout=values.timeout, force=values.force, **more)


def restart(session: Session, values: Values, words: list[str]) -> int:
    """Stop containers and start them again."""
    return _act(session, values, words, "restart", "restart", timeout=values.timeout, force=values.force)


def pause(session: Session, values: Values, words: list[str]) -> int:
    """Freeze containers."""
    return _act(session, values, words, "freeze", "pause")


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
            if not values.force:
                raise ApiError("The container is currently running, stop it first or pass --force.")
            _change(own, daemon, name, {"action": "stop", "timeout": -1, "force": True}, word)
            if found["ephemeral"]:
                return
        own.run(daemon, "DELETE", container_url(name), quiet=True)

    in_parallel(names, one, "delete")
    return 0
