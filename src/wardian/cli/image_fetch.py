"""lxc image copy, import of a URL, refresh: images that the daemon itself fetches."""

from __future__ import annotations

from wardian.cli.options import Values
from wardian.cli.session import Session, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wardian.client.config import Remote


PULL, RELAY = MODES = ("pull", "relay")
"""Who carries a copied image: the server that wants it, or this client."""


def source(remote: Remote, name: str) -> dict[str, str]:
    """Where the daemon gets an image of an image server, or of the remote debian:."""
    found = {"type": "image", "mode": "pull", "protocol": remote.protocol, "alias": name or "default"}
    if remote.protocol == "bootstrap":
        return found
    from wardian.client import simplestreams

    pinned = simplestreams.certificate(remote)
    return {**found, "server": remote.url} | ({"certificate": pinned} if pinned else {})


def copy(session: Session, values: Values, words: list[str]) -> None:
    """Have the daemon fetch an image, and name it."""
    need(words, 2, 2)
    remote, name = session.config.split(words[0])
    daemon, rest = session.server(words[1])
    if values.mode not in MODES:
        raise ApiError(f'invalid mode "{values.mode}"; use {" or ".join(MODES)}')
    if rest:
        raise ApiError(
            'the destination of a copy is a remote alone, as in "local:"; --alias names the image'
        )
    names = [*values.alias, *(_names(session, remote, name) if values.copy_aliases else [])]
    fingerprint = _copy(session, values, remote, name, daemon)
    for alias in names:
        move_alias(daemon, alias, fingerprint)
    print("Image copied successfully!")


def _copy(session: Session, values: Values, remote: Remote, name: str, daemon: Connection) -> str:
    from wardian.cli import image_hosts

    request: dict[str, Any] = {}
    if values.public:
        request["public"] = True
    if values.auto_update:
        request["auto_update"] = True
    if values.mode == RELAY:
        if values.auto_update:
            raise ApiError("--auto-update needs a server to ask: it does not go with --mode relay")
        return image_hosts.relay(session, remote, name, daemon, public=values.public)
    if remote.protocol == "lxd":
        return image_hosts.copy(session, remote, name, daemon, request)
    request["source"] = source(remote, name)
    fingerprint: str = session.run(daemon, "POST", "/1.0/images", request)["metadata"]["fingerprint"]
    return fingerprint


def _names(session: Session, remote: Remote, name: str) -> list[str]:
    """The aliases of a remote's image."""
    if remote.protocol == "lxd":
        from wardian.cli.image_hosts import HostImage

        return [alias["name"] for alias in HostImage(session, remote, name).object["aliases"]]
    if remote.protocol == "bootstrap":
        from wardian.cli import image_list

        lists = ([a["name"] for a in built["aliases"]] for built in image_list.offers())
        return next((names for names in lists if (name or "default") in names), [])
    from wardian.client import simplestreams

    found_in, offer = simplestreams.find(remote, name)
    return found_in.names_of(offer)


def move_alias(daemon: Connection, alias: str, fingerprint: str) -> None:
    """Point the alias at the image, whether it exists or not."""
    body = {"name": alias, "target": fingerprint}
    try:
        daemon.request("POST", "/1.0/images/aliases", body)
    except ApiError as error:
        if error.code != 409:
            raise
        daemon.request("PATCH", f"/1.0/images/aliases/{quote(alias)}", {"target": fingerprint})


def from_url(
    session: Session, daemon: Connection, url: str, *, public: bool, properties: Sequence[str]
) -> str:
    """Have the daemon fetch the image that a URL stands for; its fingerprint."""
    if url.startswith("http://"):
        raise ApiError("Only https:// is supported for remote image import.")
    request = {
        "source": {"type": "url", "mode": "pull", "url": url},
        "public": public,
        "properties": dict(text.split("=", 1) for text in properties),
    }
    finished = session.run(daemon, "POST", "/1.0/images", request)
    fingerprint: str = finished["metadata"]["fingerprint"]
    return fingerprint


def refresh(session: Session, daemon: Connection, path: str) -> None:
    """Have the daemon replace an image by its newest version. path: of the image in the API."""
    finished = session.run(daemon, "POST", f"{path}/refresh")
    is_new = finished["metadata"]["refreshed"]
    print("Image refreshed successfully!" if is_new else "Image already up to date.")
