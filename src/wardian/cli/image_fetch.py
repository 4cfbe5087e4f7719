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


def source(remote: Remote, name: str) -> dict[str, str]:
    """Where the daemon gets an image of a remote; ApiError if it gets none from there."""
    found = {"type": "image", "mode": "pull", "protocol": remote.protocol, "alias": name or "default"}
    if remote.protocol == "bootstrap":
        return found
    if remote.protocol != "simplestreams":
        raise ApiError(f'images of remote "{remote.name}" cannot be fetched in this version')
    from wardian.client import simplestreams

    pinned = simplestreams.certificate(remote)
    return {**found, "server": remote.url} | ({"certificate": pinned} if pinned else {})


def copy(session: Session, values: Values, words: list[str]) -> None:
    """Have the daemon fetch an image, and name it."""
    need(words, 2, 2)
    remote, name = session.config.split(words[0])
    daemon, rest = session.server(words[1])
    if rest:
        raise ApiError(
            'the destination of a copy is a remote alone, as in "local:"; --alias names the image'
        )
    request: dict[str, Any] = {"source": source(remote, name)}
    if values.public:
        request["public"] = True
    if values.auto_update:
        request["auto_update"] = True
    names = [*values.alias, *(_names(remote, name) if values.copy_aliases else [])]
    fingerprint = session.run(daemon, "POST", "/1.0/images", request)["metadata"]["fingerprint"]
    for alias in names:
        move_alias(daemon, alias, fingerprint)
    print("Image copied successfully!")


def _names(remote: Remote, name: str) -> list[str]:
    """The aliases of a remote's image."""
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
