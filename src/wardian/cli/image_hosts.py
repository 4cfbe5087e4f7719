"""Images of one host for another: fetched by the other itself, or sent through this client."""

from __future__ import annotations

import os

from wardian.cli import image_transfer
from wardian.cli.session import Session
from wardian.client import config
from wardian.client.connection import ApiError, Connection, envelope, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.client.config import Remote

FAILED = "Failed remote image download:"


def resolve(daemon: Connection, name: str) -> str:
    """The fingerprint (or prefix) of an alias or fingerprint."""
    try:
        target: str = daemon.get(f"/1.0/images/aliases/{quote(name)}")["target"]
    except ApiError as error:
        if error.code != 404:
            raise
        return name
    return target


class HostImage:
    """An image of a host, as this client sees it. ApiError if there is none."""

    def __init__(self, session: Session, remote: Remote, name: str) -> None:
        self.daemon = session.at(remote)
        self.object: dict[str, Any] = self.daemon.get(f"/1.0/images/{quote(resolve(self.daemon, name))}")
        self.fingerprint: str = self.object["fingerprint"]
        self._remote = remote
        self._alias = "" if self.fingerprint.startswith(name) else name

    def sources(self) -> list[dict[str, str]]:
        """Where another daemon can fetch it, one request's `source` for each address of the host.

        The secret that opens a private image is good for one of them.
        """
        if self._remote.url.startswith("https:"):
            places, certificate = [self._remote.url], config.pinned(self._remote.name) or ""
        else:
            about = self.daemon.get("/1.0")["environment"]
            places = [f"https://{address}" for address in about["addresses"]]
            certificate = about["certificate"]
        base = {"type": "image", "mode": "pull", "protocol": "lxd"}
        public = self.object["public"]
        base |= {"alias": self._alias} if public and self._alias else {"fingerprint": self.fingerprint}
        if certificate:
            base["certificate"] = certificate
        return [base | {"server": place} for place in places]

    def opened(self, source: dict[str, str]) -> dict[str, str]:
        """The source, with a fresh secret if the image is private."""
        if self.object["public"]:
            return source
        token = self.daemon.request("POST", f"/1.0/images/{self.fingerprint}/secret")[0]["metadata"]
        return source | {"secret": token["metadata"]["secret"]}

    def relay(self, target: Connection, *, public: bool) -> str:
        """Send it to another daemon through this client, unless it is there; its fingerprint."""
        try:
            target.get(f"/1.0/images/{self.fingerprint}")
            return self.fingerprint
        except ApiError as error:
            if error.code != 404:
                raise
        answer = self.daemon.send("GET", f"/1.0/images/{self.fingerprint}/export")
        if answer.status != 200:
            envelope(answer)
            raise ApiError(f"the files of image {self.fingerprint[:12]} cannot be had", answer.status)
        headers = {name: answer.headers.get(name.lower(), "") for name in ("Content-Type", "Content-Length")}
        if not headers["Content-Length"]:
            raise ApiError(f"the size of image {self.fingerprint[:12]} is not known: it cannot be relayed")
        headers |= {
            "X-LXD-fingerprint": self.fingerprint,
            "X-LXD-filename": str(self.object.get("filename", "")),
            "X-LXD-properties": image_transfer.encoded(self.object["properties"]),
        }
        if public:
            headers["X-LXD-public"] = "1"
        return image_transfer.send(target, answer.chunks(), headers)


def copy(session: Session, remote: Remote, name: str, target: Connection, request: dict[str, Any]) -> str:
    """Have a daemon fetch an image of another host; its fingerprint.

    It is sent through this client if the host has no address on the network.
    """
    image = HostImage(session, remote, name)
    sources = image.sources()
    if not sources:
        if request.get("auto_update"):
            raise ApiError(
                f'remote "{remote.name}" does not listen on the network: what comes from it cannot be kept '
                "up to date; set core.https_address there, or leave out --auto-update"
            )
        return image.relay(target, public=bool(request.get("public")))
    failures = []
    for source in sources:
        try:
            finished = session.run(target, "POST", "/1.0/images", request | {"source": image.opened(source)})
            fingerprint: str = finished["metadata"]["fingerprint"]
            return fingerprint
        except ApiError as error:
            failures.append((source["server"], error))
    if len(failures) == 1:
        raise failures[0][1]
    raise ApiError("\n".join([FAILED, *(f" - {url}: {error}" for url, error in failures)]))


def relay(session: Session, remote: Remote, name: str, target: Connection, *, public: bool) -> str:
    """Send an image of any remote through this client; its fingerprint."""
    if remote.protocol == "lxd":
        return HostImage(session, remote, name).relay(target, public=public)
    if remote.protocol != "simplestreams":
        raise ApiError(f'images of remote "{remote.name}" are built by the server that wants them')
    import tempfile

    from wardian.client import simplestreams

    with tempfile.TemporaryDirectory(prefix="lxc-image-") as folder:
        simplestreams.save(remote, name, folder)
        files = sorted(os.listdir(folder), key=lambda file: not file.startswith("meta-"))
        paths = [os.path.join(folder, file) for file in files]
        return image_transfer.upload(session, target, paths, public=public, properties=())
