"""Sending and fetching the files of images, in constant memory."""

from __future__ import annotations

import contextlib
import os
import sys

from wardian.cli import progress
from wardian.cli.session import Session
from wardian.client import jsontext
from wardian.client.connection import ApiError, Connection, envelope, quote
from wardian.client.download import pieces, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHUNK = 1024 * 1024
EXPORTING = "Exporting the image"
SAME_BYTES = "exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
"""Leaves out of extended headers what differs from run to run (tar(1), pax options)."""
BOUNDARY = "----------------------------wardian-image"


def upload(
    session: Session, daemon: Connection, paths: Sequence[str], *, public: bool, properties: Sequence[str]
) -> str:
    """Send a unified (one path) or split (metadata, rootfs) image; its fingerprint."""
    if len(paths) == 1 and os.path.isdir(paths[0]):
        with _packed(paths[0]) as archive:
            return upload(session, daemon, [archive], public=public, properties=properties)
    for path in paths:
        if not os.path.isfile(path):
            raise ApiError(f'cannot read "{path}": no such file')
    headers = {"X-LXD-filename": os.path.basename(paths[0])}
    if public:
        headers["X-LXD-public"] = "1"
    if properties:
        pairs = (text.partition("=") for text in properties)
        headers["X-LXD-properties"] = encoded({key: value for key, _, value in pairs})
    if len(paths) == 1:
        headers["Content-Type"] = "application/octet-stream"
        headers["Content-Length"] = str(os.path.getsize(paths[0]))
        body = _pieces(paths[0])
    else:
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        parts = [
            (_part_head(name, path), path) for name, path in zip(("metadata", "rootfs"), paths, strict=True)
        ]
        end = f"--{BOUNDARY}--\r\n".encode()
        size = sum(len(head) + os.path.getsize(path) + 2 for head, path in parts) + len(end)
        headers["Content-Length"] = str(size)
        body = _multipart(parts, end)
    total = int(headers["Content-Length"])
    return send(daemon, progress.watched(session, "Transferring image", body, total), headers)


@contextlib.contextmanager
def _packed(folder: str) -> Iterator[str]:
    """A tarball of a folder that holds an image; the same folder gives the same bytes."""
    import subprocess
    import tempfile

    for name in ("metadata.yaml", "rootfs"):
        if not os.path.exists(os.path.join(folder, name)):
            raise ApiError(f'"{folder}" has no {name}: it is not the folder of an image')
    names = [name for name in ("metadata.yaml", "rootfs", "templates") if name in os.listdir(folder)]
    with tempfile.TemporaryDirectory(prefix="lxc-image-") as scratch:
        archive = os.path.join(scratch, f"{os.path.basename(os.path.abspath(folder))}.tar.gz")
        argv = ["tar", "--create", "--use-compress-program=gzip -n", "--numeric-owner", "--sort=name"]
        argv += [f"--pax-option={SAME_BYTES}"]
        argv += ["--xattrs", "--xattrs-include=*", f"--file={archive}", f"--directory={folder}", *names]
        found = subprocess.run(argv, stderr=subprocess.PIPE, check=False)
        if found.returncode:
            said = found.stderr.decode(errors="replace").strip().splitlines() or ["tar failed"]
            raise ApiError(f'cannot pack "{folder}": {said[0]}')
        yield archive


def send(daemon: Connection, body: Iterator[bytes], headers: dict[str, str]) -> str:
    """Send the files of an image, whose length is in the headers; its fingerprint once it is taken in."""
    operation = envelope(daemon.send("POST", "/1.0/images", body, headers))["metadata"]
    finished = daemon.get(f"/1.0/operations/{operation['id']}/wait")
    if finished["status_code"] != 200:
        raise ApiError(finished["err"])
    fingerprint: str = finished["metadata"]["fingerprint"]
    return fingerprint


def encoded(properties: Mapping[str, str]) -> str:
    """Properties as the header X-LXD-properties has them."""
    return "&".join(f"{_field(key)}={_field(value)}" for key, value in properties.items())


def _field(text: str) -> str:
    return quote(text).replace("/", "%2F")


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _part_head(name: str, path: str) -> bytes:
    filename = os.path.basename(path).replace('"', "_").replace("\r", "_").replace("\n", "_")
    disposition = f'form-data; name="{name}"; filename="{filename}"'
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()


def _multipart(parts: Sequence[tuple[bytes, str]], end: bytes) -> Iterator[bytes]:
    for head, path in parts:
        yield head
        yield from _pieces(path)
        yield b"\r\n"
    yield end


def download(session: Session, daemon: Connection, fingerprint: str, target: str) -> None:
    """Fetch an image to a folder, a file name (unified images), or stdout (`-`)."""
    source = f"/1.0/images/{quote(fingerprint)}/export"
    response = daemon.send("GET", source)
    if response.status != 200:
        raise ApiError(str(jsontext.loads(response.read()).get("error")), response.status)
    kind = response.headers.get("content-type", "")
    total = progress.length(response)
    if kind.startswith("multipart/"):
        if target == "-" or os.path.isfile(target):
            raise ApiError(f'"{target}" is not a folder, which an image of two files needs')
        os.makedirs(target, exist_ok=True)
        shown = progress.watched(session, EXPORTING, response.chunks(), total)
        _save_parts(shown, kind.partition("boundary=")[2].strip('"').encode(), target)
        return
    if target == "-":
        for chunk in pieces(daemon, source, response):
            sys.stdout.buffer.write(chunk)
        return
    name = safe_name(response.headers.get("content-disposition", "").partition("filename=")[2])
    extension = name.partition(".")[2]
    own = target if target.endswith(f".{extension}") else f"{target}.{extension}"
    path = os.path.join(target, name) if os.path.isdir(target) else own
    with whole(path) as file:
        for chunk in progress.watched(session, EXPORTING, pieces(daemon, source, response), total):
            file.write(chunk)


def safe_name(name: str) -> str:
    """A file name from the server, made harmless: it never leaves the folder."""
    plain = os.path.basename(name.strip().strip('"'))
    if not plain or plain.startswith("."):
        raise ApiError(f'the server sent "{name}" as the name of a file')
    return plain


def _save_parts(chunks: Iterator[bytes], boundary: bytes, folder: str) -> None:
    """Write each part of a multipart body to the file that it names."""
    mark = b"\r\n--" + boundary
    buffer = b"\r\n"
    file = None
    try:
        for chunk in chunks:
            buffer += chunk
            while True:
                place = buffer.find(mark)
                if place < 0:
                    if file is not None and len(buffer) > len(mark):
                        file.write(buffer[: -len(mark)])
                        buffer = buffer[-len(mark) :]
                    break
                head_end = buffer.find(b"\r\n\r\n", place + len(mark))
                is_last = buffer[place + len(mark) :].startswith(b"--")
                if head_end < 0 and not is_last:
                    break
                if file is not None:
                    file.write(buffer[:place])
                    file.close()
                    file = None
                if is_last:
                    return
                head = buffer[place:head_end].decode("latin-1")
                name = safe_name(head.partition("filename=")[2].partition("\r\n")[0])
                file = open(os.path.join(folder, name), "wb")  # noqa: SIM115
                buffer = buffer[head_end + 4 :]
    finally:
        if file is not None:
            file.close()
