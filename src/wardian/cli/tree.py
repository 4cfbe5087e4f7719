"""lxc file push|pull -r: whole folders, in one request each way, as a stream of model.entries.

What comes from a container is not trusted: its names are checked, and nothing is opened through a
link below the destination, be it one that came a moment ago (openat2(2): RESOLVE_BENEATH and
RESOLVE_NO_SYMLINKS).
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from wardian.cli.file import FOLDER_MODE, WITHOUT_SET_ID, chunked
from wardian.client.connection import ApiError, Response, envelope
from wardian.linux import syscalls
from wardian.model import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from wardian.cli.file import Path

RESOLVE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
SENT_AT_ONCE = 256 * 1024
MOST_FOLDERS = 1_000_000
"""Folders of one pull whose modes are set in the end; more would fill our memory."""


# --- push --------------------------------------------------------------------------------------


def push(
    sources: Sequence[str], target: Path, *, create: bool, owner: dict[str, int], name: str = ""
) -> None:
    """Send files and folders, each under its own name (or the one, under this name) below the target."""
    for source in sources:
        if not os.path.lexists(source):
            raise ApiError(f'cannot read "{source}": no such file')
    more = {name: str(value) for name, value in owner.items()} | ({"parents": "1"} if create else {})
    headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    body = chunked(_joined(_stream(sources, name)))
    try:
        envelope(target.daemon.send("POST", target.url("files/tree", **more), body, headers))
    except RecursionError:
        raise ApiError("the folders are nested too deeply") from None
    except ApiError as error:
        raise _understood(error) from None


def _understood(error: ApiError) -> ApiError:
    """What a server without this part of the API means by its answer."""
    if (error.code, str(error)) in ((404, "not found"), (501, "not implemented")):
        return ApiError("the server cannot take or send whole folders (no extension file_trees)", error.code)
    return error


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= SENT_AT_ONCE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _stream(sources: Sequence[str], name: str) -> Iterator[bytes]:
    for source in sources:
        yield from _entry(source, name or os.path.basename(os.path.abspath(source)))
    yield entries.entry_frame({"type": "end"})


def _entry(source: str, path: str) -> Iterator[bytes]:
    """A file, link or folder with all in it; the rest is left out, and said so."""
    try:
        found = os.lstat(source)
        about = {"path": path, "uid": found.st_uid, "gid": found.st_gid, "mode": stat.S_IMODE(found.st_mode)}
        if stat.S_ISDIR(found.st_mode):
            yield entries.entry_frame({**about, "type": "directory"})
            for name in sorted(os.listdir(source)):
                yield from _entry(f"{source}/{name}", f"{path}/{name}")
        elif stat.S_ISLNK(found.st_mode):
            yield entries.entry_frame({**about, "type": "symlink", "target": os.readlink(source)})
        elif stat.S_ISREG(found.st_mode):
            yield from _file(source, about)
        else:
            sys.stderr.write(f'"{source}" is left out: it is no file, folder or link\n')
    except OSError as error:
        raise ApiError(f'cannot read "{source}": {error.strerror}') from None


def _file(source: str, about: dict[str, Any]) -> Iterator[bytes]:
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield entries.entry_frame({**about, "type": "file"})
        while piece := os.read(fd, entries.CHUNK):
            yield len(piece).to_bytes(4, "big")
            yield piece
        yield entries.END
    finally:
        os.close(fd)


# --- pull --------------------------------------------------------------------------------------


def pull(sources: Sequence[Path], target: str, *, create: bool) -> None:
    """Fetch folders and files, each under its own name below the target."""
    if target == "-":
        raise ApiError("a folder cannot go to standard output; give a folder as the target")
    if not os.path.isdir(target):
        if os.path.lexists(target):
            raise ApiError(f'"{target}" is not a folder')
        try:
            (os.makedirs if create else os.mkdir)(target, FOLDER_MODE)
        except OSError as error:
            raise ApiError(f'cannot make folder "{target}": {error.strerror}') from None
    for source in sources:
        if source.daemon.send("HEAD", source.url()).headers.get("x-lxd-type") == "file":
            from wardian.cli import file

            response = file._fetch(source)
            file.save(response, os.path.join(target, source.name), response.chunks())
            continue
        response = source.daemon.send("GET", source.url("files/tree"))
        if response.status != 200:
            try:
                envelope(response)
            except ApiError as error:
                raise _understood(error) from None
        save(response, target, source.name or source.container)


def save(response: Response, target: str, name: str) -> None:
    """Write the tree that the reply carries to the folder of that name below the target."""
    base = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    destination = Destination(base, target, name)
    reader = Reader(response)
    try:
        while (entry := entries.read_entry(reader.exactly)).get("type") != "end":
            if entry.get("type") == "error":
                raise ApiError(f"the tree is not complete: {_plain(entry.get('error'))}")
            destination.take(entry, reader)
        reader.finish()
        destination.finish()
    except entries.Malformed as error:
        raise ApiError(f"the server sent {error}; nothing more was written") from None
    finally:
        destination.close()
        os.close(base)


class Reader:
    """The bytes of a reply, in the sizes that are asked for."""

    def __init__(self, response: Response) -> None:
        self._chunks = response.chunks()
        self._rest = b""
        self._at = 0

    def exactly(self, count: int) -> bytes:
        """So many bytes; Malformed if the reply ends before."""
        end = self._at + count
        if end <= len(self._rest):
            piece, self._at = self._rest[self._at : end], end
            return piece
        whole = bytearray(self._rest[self._at :])
        while len(whole) < count:
            chunk = next(self._chunks, b"")
            if not chunk:
                raise entries.Malformed("a stream that was cut")
            whole += chunk
        self._rest, self._at = bytes(whole[count:]), 0
        return bytes(whole[:count])

    def finish(self) -> None:
        """Read to the end of the reply, where nothing may follow."""
        if self._at < len(self._rest) or next(self._chunks, b""):
            raise entries.Malformed("more after the end of the stream")

    def content(self) -> Iterator[bytes]:
        """The frames up to an empty one."""
        while length := entries.read_length(self.exactly, entries.CHUNK):
            yield self.exactly(length)


class Destination:
    """A folder that entries are written below, whatever they are called."""

    def __init__(self, base: int, shown: str, name: str) -> None:
        self._base, self._shown = base, shown
        self._top = entries.parts_of(name)
        self._folders: list[tuple[list[str], dict[str, Any]]] = []
        self._folder = -1
        self._parts: list[str] | None = None
        self._as_root = os.geteuid() == 0

    def close(self) -> None:
        """Close what is open."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        self._parts = None

    def take(self, entry: dict[str, Any], reader: Reader) -> None:
        """Write one entry; ApiError naming it if that fails."""
        parts = self._top + entries.parts_of(entry.get("path"))
        shown = _plain("/".join((self._shown, *parts)))
        for field, most in (("uid", entries.MAXIMUM_ID), ("gid", entries.MAXIMUM_ID), ("mode", 0o7777)):
            entries.number_of(entry, field, most)
        try:
            folder = self._folder_of(parts[:-1])
            if entry.get("type") == "directory":
                self._make_folder(folder, parts, entry)
            elif entry.get("type") == "symlink":
                self._make_link(folder, parts[-1], entry)
            elif entry.get("type") == "file":
                self._write(folder, parts[-1], entry, reader)
            elif entry.get("type") == "skipped":
                sys.stderr.write(f'"{shown}" is left out: it {_plain(entry.get("why"))}\n')
            else:
                raise entries.Malformed("an entry of no known type")
        except OSError as error:
            reason = error.strerror
            if error.errno in (errno.ELOOP, errno.EXDEV):
                reason = "a link is on the way there, which is not followed"
            raise ApiError(f'cannot write "{shown}": {reason}') from None

    def _folder_of(self, parts: list[str]) -> int:
        if parts != self._parts:
            self.close()
            flags = os.O_PATH | os.O_DIRECTORY
            self._folder = syscalls.openat2(self._base, "/".join(parts) or ".", flags, resolve=RESOLVE)
            self._parts = parts
        return self._folder

    def _make_folder(self, folder: int, parts: list[str], entry: dict[str, Any]) -> None:
        name = parts[-1]
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise
        if len(self._folders) >= MOST_FOLDERS:
            raise ApiError(f"the tree has more than {MOST_FOLDERS} folders; fetch parts of it")
        self._folders.append((parts, entry))

    def _make_link(self, folder: int, name: str, entry: dict[str, Any]) -> None:
        target = entry.get("target")
        if not isinstance(target, str) or not target or "\0" in target:
            raise entries.Malformed("a link that leads nowhere")
        temporary = _temporary(name)
        os.symlink(target, temporary, dir_fd=folder)
        try:
            if self._as_root:
                os.chown(temporary, *_owner(entry), dir_fd=folder, follow_symlinks=False)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise

    def _write(self, folder: int, name: str, entry: dict[str, Any], reader: Reader) -> None:
        temporary = _temporary(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            for piece in reader.content():
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
            if self._as_root:
                os.fchown(fd, *_owner(entry))
            os.fchmod(fd, int(entry.get("mode") or 0) & WITHOUT_SET_ID)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(fd)

    def finish(self) -> None:
        """Give the folders their owners and modes, the deepest first."""
        for parts, entry in reversed(self._folders):
            flags = os.O_RDONLY | os.O_DIRECTORY
            fd = syscalls.openat2(self._base, "/".join(parts), flags, resolve=RESOLVE)
            try:
                if self._as_root:
                    os.fchown(fd, *_owner(entry))
                os.fchmod(fd, int(entry.get("mode") or 0) & WITHOUT_SET_ID)
            finally:
                os.close(fd)


def _owner(entry: dict[str, Any]) -> tuple[int, int]:
    uid, gid = entry.get("uid"), entry.get("gid")
    return (-1 if uid is None else uid, -1 if gid is None else gid)


def _temporary(name: str) -> str:
    return f".{name[:80]}.{os.urandom(6).hex()}~"


def _plain(text: object) -> str:
    """A text of the server's that can do no harm on a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(text))[:300]
