"""The sockets of containers: one in a folder for each that runs, which it sees as /dev/lxd.

One socket per container, not one for all: a container that floods its own fills its own queue only,
since no more of its connections are accepted than may be open. The folder is what is mounted, so that a
new daemon's new socket appears in containers that run.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from wardian.api.conversations import Conversation
from wardian.api.guest import Answer
from wardian.linux import process

AT_ONCE = 32
"""Connections of one container that are open at the same time; others wait to be accepted."""
PAUSE_S = 0.005
"""Between two connections of one container."""
IDLE_S = 60.0
HEADER_BYTES = 8190
SOCKET_MODE = 0o666
FOLDER_MODE = 0o755
"""Of what is mounted: anybody in the container may look."""
PARENT_MODE = 0o710
"""Of the folder above: on the host only root and the container's root group get there."""


class Door:
    """The socket of one container."""

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self._listener = listener
        self._server = web.Server(answer, access_log=None, keepalive_timeout=IDLE_S)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._open: set[Conversation] = set()
        self._accepting = asyncio.create_task(self._accept(), name="accept connections of a container")

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            await process.wait_readable(self._listener.fileno())
            try:
                sock, _ = self._listener.accept()
            except OSError:
                self._places.release()
                await asyncio.sleep(PAUSE_S)
                continue
            sock.setblocking(False)
            one = Conversation("", self._server, self)
            self._open.add(one)
            await loop.connect_accepted_socket(lambda one=one: one, sock)  # type: ignore[misc]
            await asyncio.sleep(PAUSE_S)

    def leave(self, one: Conversation) -> None:
        """A connection has ended."""
        if one in self._open:
            self._open.discard(one)
            self._places.release()

    def close(self) -> None:
        """Stop listening and end what is open."""
        self._accepting.cancel()
        self._listener.close()
        for one in list(self._open):
            one.end()


class GuestSockets:
    """See ports.Guests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._doors: dict[str, Door] = {}
        self._answerer: Callable[[str], Answer] | None = None

    def prepare(self, answerer: Callable[[str], Answer]) -> None:
        """Say who answers; before the first `open`."""
        self._answerer = answerer

    def folder(self, name: str) -> Path:
        """See ports.Guests."""
        return self._folder / name / "lxd"

    async def open(self, name: str, *, listening: bool, group: int | None = None) -> None:
        """See ports.Guests."""
        place = self.folder(name)
        place.parent.mkdir(mode=PARENT_MODE, exist_ok=True)
        if group is not None:
            os.chown(place.parent, 0, group)
        place.mkdir(exist_ok=True)
        place.chmod(FOLDER_MODE)
        if listening and name not in self._doors:
            assert self._answerer is not None
            self._doors[name] = Door(_listen(place), self._answerer(name))
        elif not listening:
            self._shut(name)

    def _shut(self, name: str) -> None:
        door = self._doors.pop(name, None)
        if door is not None:
            door.close()
        with contextlib.suppress(FileNotFoundError):
            (self.folder(name) / "sock").unlink()

    def close(self, name: str) -> None:
        """See ports.Guests."""
        self._shut(name)
        with contextlib.suppress(FileNotFoundError):
            self.folder(name).rmdir()
            self.folder(name).parent.rmdir()

    def close_all(self) -> None:
        """See ports.Guests: the folders stay, they are mounted in containers that run."""
        for name in list(self._doors):
            self._doors.pop(name).close()

    def sweep(self, running: set[str]) -> None:
        """See ports.Guests."""
        for place in self._folder.iterdir():
            if place.name not in running:
                shutil.rmtree(place, ignore_errors=True)


def _listen(folder: Path) -> socket.socket:
    """A socket in the folder, in place of one that a daemon before us left."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            (folder / "sock").unlink()
        listener.bind(f"/proc/self/fd/{fd}/sock")  # however long the folder's own path is
        (folder / "sock").chmod(SOCKET_MODE)
        listener.listen(AT_ONCE)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(fd)
    return listener
