"""launch, init: new containers."""

from __future__ import annotations

import sys

from wardian.cli import container, image_fetch
from wardian.cli.options import FlagError, Values
from wardian.cli.session import Session, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.client.config import Remote


def init(session: Session, values: Values, words: list[str]) -> int:
    """Create a container."""
    _create(session, values, words)
    return 0


def launch(session: Session, values: Values, words: list[str]) -> int:
    """Create and start a container."""
    daemon, name = _create(session, values, words)
    print(f"Starting {name}")
    where = words[1].partition(":")[0] + ":" if len(words) > 1 and ":" in words[1] else ""
    container.change(session, daemon, name, {"action": "start", "timeout": -1}, f"{where}{name}")
    if not values.console:
        return 0
    from wardian.cli import console

    return console.attach(session, f"{where}{name}")


def _create(session: Session, values: Values, words: list[str]) -> tuple[Connection, str]:
    target = words if values.empty else words[1:]
    need(words, 0 if values.empty else 1, 1 if values.empty else 2)
    daemon, name = session.server(target[0] if target else f"{session.config.default}:")
    source = {"type": "none"} if values.empty else source_of(session, daemon, words[0], target)
    request: dict[str, Any] = {"source": source, "config": dict(pair(text) for text in values.config)}
    if name:
        request["name"] = name
    if values.ephemeral:
        request["ephemeral"] = True
    if values.profile or values.no_profiles:
        request["profiles"] = [p for p in values.profile if p]
    if values.type:
        request["instance_type"] = values.type
    devices = _devices(daemon, values, request.get("profiles", ["default"]))
    if devices:
        request["devices"] = devices
    print(f"Creating {name}" if name else "Creating the container")
    operation = session.run(daemon, "POST", "/1.0/containers", request)
    made: str = operation["resources"]["containers"][0].rsplit("/", 1)[1]
    if not name:
        print(f"Container name is: {made}")
    return daemon, made


def _devices(daemon: Connection, values: Values, profiles: list[str]) -> dict[str, dict[str, str]]:
    """The devices that -s, -n and -d give a new container, each as a whole."""
    settings = [_setting(text) for text in values.device]
    found = {"root": {"type": "disk", "path": "/", "pool": values.storage}} if values.storage else {}
    if values.network:
        from wardian.cli import network

        found |= network.nic(daemon, values.network, "eth0", "eth0")
    if {name for name, _ in settings} - set(found):
        inherited: dict[str, dict[str, str]] = {}
        for profile in profiles:
            inherited |= daemon.get(f"/1.0/profiles/{quote(profile)}")["devices"]
        found |= {name: inherited.get(name, {}) for name, _ in settings if name not in found}
    for name, change in settings:
        found[name] = {key: value for key, value in {**found[name], **change}.items() if value}
    return found


def _setting(text: str) -> tuple[str, dict[str, str]]:
    """(device, what changes) of a `-d` flag."""
    name, *pairs = text.split(",")
    if not name or not pairs or not all("=" in one for one in pairs):
        raise FlagError(f'invalid value "{text}" for flag -d: it is like root,size=10GB')
    return name, {key: value for key, _, value in (one.partition("=") for one in pairs)}


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
