"""Enter a container and serve requests on its files, over one socket, until that is closed.

A program of its own (`python3 -I -S helper.py ROOT_FD USERNS_FD|- SOCKET_FD`), started by
drivers/files/service.py. First it makes the container's root its own root, then it becomes root of the
container's user namespace, which is nobody outside. (For a privileged container, whose root is the
host's, it keeps only the rights over files.) From then on the kernel holds it to what the container's
own root may do: no path, link or race reaches the host, and new files have the container's owners.

Requests and replies are frames of JSON; content and trees follow as frames, an empty one ends them.
A `write` that fails ends the program: what the daemon has sent by then is out of step.
"""

import errno
import os
import socket
import sys

sys.path.insert(
    0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
)

from wardian.drivers.files import inside as files
from wardian.drivers.files.inside import Inside, Refused
from wardian.linux import syscalls
from wardian.model import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

REQUEST_BYTES = 64 * 1024
BUFFER = 1 << 20
WITHOUT_SIZE = 4 << 20
"""How much of a file without a size (/proc) is read at most."""
RIGHTS = (
    syscalls.CAP_CHOWN,
    syscalls.CAP_DAC_OVERRIDE,
    syscalls.CAP_DAC_READ_SEARCH,
    syscalls.CAP_FOWNER,
    syscalls.CAP_FSETID,
)
SIGKILL = 9


class Gone(Exception):
    """The daemon has hung up."""


def enter(root: int, userns: int | None) -> None:
    """Make the container's root ours, then its user namespace."""
    os.fchdir(root)
    os.chroot(".")
    os.setgroups([])
    if userns is not None:
        syscalls.setns(userns, syscalls.CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.close(userns)
    else:
        syscalls.capset(RIGHTS)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, SIGKILL)
    os.umask(0)


class Server:
    """One conversation with the daemon."""

    def __init__(self, inside: Inside, sock: socket.socket) -> None:
        self._inside = inside
        self._sock = sock
        self._buffer = memoryview(bytearray(BUFFER))
        self._out = bytearray()

    def serve(self) -> None:
        """Answer requests until the daemon hangs up."""
        actions = {
            "look": self._look,
            "read": self._read,
            "write": self._write,
            "delete": self._delete,
            "read-tree": self._read_tree,
            "write-tree": self._write_tree,
        }
        while True:
            try:
                request = entries.decode(self._exactly(entries.read_length(self._exactly, REQUEST_BYTES)))
            except Gone:
                return
            try:
                actions[request["op"]](request)
                continue
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                self._reply({"errno": error.errno, "error": os.strerror(error.errno or 0)})
            except Refused as error:
                self._reply({"errno": errno.EINVAL, "error": str(error)})
            except entries.Malformed as error:
                self._reply({"errno": errno.EPROTO, "error": str(error)})
            if request["op"].startswith("write"):
                self._drain()
                return

    # --- the socket ----------------------------------------------------------------------------

    def _exactly(self, count: int) -> bytes:
        """So many bytes; Gone if the daemon hangs up before."""
        return bytes(self._view(count))

    def _view(self, count: int) -> memoryview:
        """The same in a buffer that the next call overwrites; count: at most BUFFER."""
        view, got = self._buffer[:count], 0
        while got < count:
            received = self._sock.recv_into(view[got:])
            if not received:
                raise Gone
            got += received
        return view

    def _drain(self) -> None:
        """Read on until the daemon, which has the reply, hangs up: what comes is in no order now."""
        while self._sock.recv_into(self._buffer):
            pass

    def _reply(self, reply: "dict[str, Any]") -> None:
        self._sock.sendall(entries.entry_frame(reply))

    def _content(self) -> "Iterator[memoryview]":
        """The frames up to an empty one."""
        while length := entries.read_length(self._exactly, BUFFER):
            yield self._view(length)

    # --- single files --------------------------------------------------------------------------

    def _look(self, request: "dict[str, Any]") -> None:
        fd = self._inside.look(request["path"], follow=request["follow"])
        try:
            self._reply(self._described(fd))
        finally:
            os.close(fd)

    def _described(self, fd: int) -> "dict[str, Any]":
        found = files.about(os.fstat(fd))
        if found["type"] == "directory":
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            try:
                found["names"] = sorted(os.listdir(folder))
            finally:
                os.close(folder)
        elif found["type"] == "symlink":
            found["target"] = os.readlink("", dir_fd=fd)
        return found

    def _read(self, request: "dict[str, Any]") -> None:
        """Describe what is there; of a file, send exactly `size` bytes after that."""
        handle = self._inside.look(request["path"], follow=request["follow"])
        try:
            found = self._described(handle)
            if found["type"] != "file":
                self._reply(found)
                return
            fd = self._inside.reopen(handle, os.O_RDONLY)
        finally:
            os.close(handle)
        try:
            self._send_file(fd, found)
        finally:
            os.close(fd)

    def _send_file(self, fd: int, found: "dict[str, Any]") -> None:
        if found["size"] == 0:  # empty, or a file of the kernel's, which has no size before it is read
            content = bytearray()
            while len(content) < WITHOUT_SIZE and (piece := os.read(fd, 65536)):
                content += piece
            self._reply({**found, "size": len(content)})
            self._sock.sendall(content)
            return
        self._reply(found)
        left = found["size"]
        while left:
            sent = os.sendfile(self._sock.fileno(), fd, None, min(left, 1 << 30))
            if not sent:
                raise SystemExit(1)  # it has shrunk: hanging up is the only way to say so now
            left -= sent

    def _write(self, request: "dict[str, Any]") -> None:
        self._inside.put(request["path"], request["wanted"], self._content())
        self._reply({})

    def _delete(self, request: "dict[str, Any]") -> None:
        self._inside.delete(request["path"])
        self._reply({})

    # --- trees ---------------------------------------------------------------------------------

    def _read_tree(self, request: "dict[str, Any]") -> None:
        """Reply, then a stream of entries in frames."""
        top = self._inside.look(request["path"], follow=True)
        try:
            if files.kind_of(os.fstat(top).st_mode) != "directory":
                raise Refused("is no folder")
            self._reply({})
            self._out.clear()
            try:
                files.walk(self._inside, top, "", self._send_entry, self._send_skipped)
                self._put(entries.entry_frame({"type": "end"}))
            except OSError as error:
                text = os.strerror(error.errno or 0)
                self._put(entries.entry_frame({"type": "error", "error": text, "errno": error.errno}))
            self._flush()
            self._sock.sendall(entries.END)
        finally:
            os.close(top)

    def _put(self, data: "bytes | memoryview") -> None:
        self._out += data
        if len(self._out) >= entries.CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._out:
            self._sock.sendall(len(self._out).to_bytes(4, "big"))
            self._sock.sendall(self._out)
            self._out.clear()

    def _send_skipped(self, path: str, why: str) -> None:
        self._put(entries.entry_frame({"path": path, "type": "skipped", "why": why}))

    def _send_entry(self, path: str, found: os.stat_result, folder: int, name: str) -> None:
        entry = {"path": path, **files.about(found)}
        if entry["type"] == "file":
            try:
                handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                try:
                    fd = self._inside.reopen(handle, os.O_RDONLY)
                finally:
                    os.close(handle)
            except (OSError, Refused) as error:
                if not isinstance(error, FileNotFoundError):
                    self._send_skipped(path, f"cannot be read: {getattr(error, 'strerror', error)}")
                return
            try:
                self._put(entries.entry_frame(entry))
                while length := os.readv(fd, [self._buffer[: entries.CHUNK]]):
                    self._put(length.to_bytes(4, "big"))
                    self._put(self._buffer[:length])
                self._put(entries.END)
            finally:
                os.close(fd)
            return
        if entry["type"] == "symlink":
            entry["target"] = os.readlink(name, dir_fd=folder)
        self._put(entries.entry_frame(entry))

    def _write_tree(self, request: "dict[str, Any]") -> None:
        """Take a stream of entries to its end; the reply tells how many there were."""
        path, owner = request["path"], request["owner"]
        if request["parents"]:
            self._inside.make_folders(path)
        base = self._inside.folder(path)
        writer = TreeWriter(self._inside, base)
        try:
            while (entry := entries.read_entry(self._exactly)).get("type") != "end":
                writer.take({**entry, **owner}, self._content())
            self._reply({"entries": writer.count})
        finally:
            writer.close()
            os.close(base)


class TreeWriter:
    """Puts entries below a folder; keeps the folder of the last one open, for the next is its neighbour."""

    def __init__(self, inside: Inside, base: int) -> None:
        self.count = 0
        self._inside = inside
        self._base = base
        self._folder = -1
        self._parts: list[str] | None = None

    def close(self) -> None:
        """Close what is open."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def take(self, entry: "dict[str, Any]", content: "Iterator[memoryview]") -> None:
        """Make one entry. OSError names its path."""
        parts = entries.parts_of(entry.get("path"))
        for field, most in (("uid", entries.MAXIMUM_ID), ("gid", entries.MAXIMUM_ID)):
            entries.number_of(entry, field, most)
        entries.number_of(entry, "mode", entries.MAXIMUM_MODE)
        self.count += 1
        try:
            self._make(parts, entry, content)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise Refused(f'"{"/".join(parts)}": {error.strerror}') from None
        except Refused as error:
            raise Refused(f'"{"/".join(parts)}" {error}') from None

    def _make(self, parts: list[str], entry: "dict[str, Any]", content: "Iterator[memoryview]") -> None:
        kind = entry.get("type")
        if not parts:
            files.set_owner_and_mode(self._base, ".", entry, follow=True)
            return
        folder = self._folder_of(parts[:-1])
        if kind == "file":
            self._inside.put_file(folder, parts[-1], entry, content)
        elif kind == "directory":
            files.make_folder(folder, parts[-1], entry)
        elif kind == "symlink":
            files.make_link(folder, parts[-1], entry)
        else:
            raise entries.Malformed(f"an entry of type {str(kind)[:20]!r}")

    def _folder_of(self, parts: list[str]) -> int:
        if parts != self._parts:
            self.close()
            flags = os.O_PATH | os.O_DIRECTORY
            resolve = syscalls.RESOLVE_NO_MAGICLINKS
            self._folder = syscalls.openat2(self._base, "/".join(parts) or ".", flags, resolve=resolve)
            self._parts = parts
        return self._folder


FULL = (errno.ENOSPC, errno.EDQUOT)


def main(arguments: list[str]) -> None:
    """Enter and serve."""
    sys.setrecursionlimit(4 * files.DEEPEST)  # a walk takes two calls a level
    root, userns, sock = (None if word == "-" else int(word) for word in arguments)
    assert root is not None and sock is not None
    fds = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    server = Server(Inside(root, fds), socket.socket(fileno=sock))
    enter(root, userns)
    try:
        server.serve()
    except (Gone, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main(sys.argv[1:])
