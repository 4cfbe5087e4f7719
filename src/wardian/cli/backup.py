"""lxc export, import: containers as one file."""

from __future__ import annotations

import json
import os
import sys

from wardian.cli import progress
from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError, envelope
from wardian.client.download import pieces, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wardian.client.connection import Connection

CHUNK = 1024 * 1024
EXTENSIONS = {
    "none": "tar",
    "gzip": "tar.gz",
    "bzip2": "tar.bz2",
    "xz": "tar.xz",
    "lzma": "tar.lzma",
    "zstd": "tar.zst",
}
KEPT = "1d"
"""How long the server keeps the file should we not come back for it."""


def export(session: Session, values: Values, words: list[str]) -> int:
    """Save a container with its snapshots to a file."""
    from wardian.cli.snapshot import end_of

    need(words, 1, 2)
    daemon, name = session.server(words[0])
    if not name:
        raise ApiError("You must specify a container name")
    target = words[1] if len(words) > 1 else f"{name}.{EXTENSIONS.get(values.compression, 'tar.gz')}"
    if target != "-" and os.path.isdir(target):
        raise ApiError(f'"{target}" is a folder; name a file')
    request = {
        "name": "",
        "expires_at": end_of(KEPT),
        "instance_only": values.instance_only or values.container_only,
        "compression_algorithm": values.compression,
        "optimized_storage": values.optimized_storage,
    }
    quiet = target == "-"
    made = session.run(daemon, "POST", container_url(name, "backups"), request, quiet=quiet)
    own_name = made["resources"]["backups"][0].rpartition("/")[2]
    try:
        _save(session, daemon, container_url(name, "backups", own_name, "export"), target)
    finally:
        session.run(daemon, "DELETE", container_url(name, "backups", own_name), quiet=True)
    if target != "-":
        print("Backup exported successfully!")
    return 0


def _save(session: Session, daemon: Connection, path: str, target: str) -> None:
    """Fetch to a file that has its name only once it is whole; `-` is standard output."""
    response = daemon.send("GET", path)
    if response.status != 200:
        raise ApiError(str(json.loads(response.read()).get("error")), response.status)
    if target == "-":
        for chunk in pieces(daemon, path, response):
            sys.stdout.buffer.write(chunk)
        return
    body = pieces(daemon, path, response)
    with whole(target) as file:
        for chunk in progress.watched(session, "Exporting the backup", body, progress.length(response)):
            file.write(chunk)


def import_(session: Session, values: Values, words: list[str]) -> int:
    """Make a container of such a file."""
    remote = words[0] if words and words[0].endswith(":") and not os.path.exists(words[0]) else ""
    rest = words[1:] if remote else words
    need(rest, 1, 2)
    daemon, _ = session.server(remote or f"{session.config.default}:")
    try:
        size = os.path.getsize(rest[0])
    except OSError as error:
        raise ApiError(f'cannot read "{rest[0]}": {error.strerror}') from None
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    if len(rest) > 1:
        headers["X-LXD-name"] = rest[1]
    if values.storage:
        headers["X-LXD-pool"] = values.storage
    if any("\r" in value or "\n" in value for value in headers.values()):
        raise ApiError("a name has no line breaks")
    body = progress.watched(session, "Importing the container", _pieces(rest[0]), size)
    operation = envelope(daemon.send("POST", "/1.0/containers", body, headers))["metadata"]
    finished = daemon.get(f"/1.0/operations/{operation['id']}/wait")
    if finished["status_code"] != 200:
        raise ApiError(finished["err"])
    return 0


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece
