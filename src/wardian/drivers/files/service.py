"""The Files port: helper programs that have entered a container, kept for a moment for the next request.

Why a program per container and not a thread of the daemon: it has the container's own rights, so the
kernel refuses what the container's root may not do (a link to /proc/sys, a mount of the host's), new
files get the right owners through any idmapped mount, and a file system inside that hangs (FUSE) holds
up the helper alone, which can be killed. It costs about 25 ms once; content passes through a socket.
"""

import asyncio
import contextlib
import errno
import os
import select
import socket
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardian.errors import Busy, HostFailed, InvalidInput, NotFound, OutOfSpace, WardianError
from wardian.linux import process, syscalls, userns
from wardian.model import entries
from wardian.ports.files import FileInfo, FileWrite, Inside, Place

HELPER = Path(__file__).with_name("helper.py")
KEPT_S = 2.0
"""How long a helper in a running container waits for the next request."""
AT_ONCE = 16
"""Conversations with one container at the same time; more wait."""
REPLY_BYTES = 64 << 20
READ = 256 * 1024
SOCKET_BUFFER = 1 << 20
INVALID = frozenset(
    (
        *(errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG),
        *(errno.ENOTEMPTY, errno.EEXIST, errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY, errno.EPROTO),
        *(errno.EOVERFLOW, errno.ETXTBSY),
    )
)


class Helper:
    """One helper program and the socket to it."""

    def __init__(self, child: asyncio.subprocess.Process, sock: socket.socket, pid: int) -> None:
        self.child = child
        self.pid = pid
        """Of the init whose container it has entered; 0 if that did not run."""
        self.usable = True
        self._sock = sock

    async def send(self, data: bytes) -> None:
        """Send all of it; Busy if the helper is gone."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except OSError:
            raise self._gone() from None

    async def send_frame(self, payload: bytes) -> None:
        """Send one frame; content may be longer than a frame."""
        for start in range(0, len(payload), SOCKET_BUFFER):
            piece = payload[start : start + SOCKET_BUFFER]
            await self.send(len(piece).to_bytes(4, "big"))
            await self.send(piece)

    async def receive(self, most: int = READ) -> bytes:
        """What comes next, at most so much; Busy if the helper is gone."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._sock, most)
        except OSError:
            data = b""
        if not data:
            raise self._gone()
        return data

    async def exactly(self, count: int) -> bytes:
        """So many bytes."""
        data = await self.receive(count) if count else b""
        if len(data) < count:
            whole = bytearray(data)
            while len(whole) < count:
                whole += await self.receive(count - len(whole))
            return bytes(whole)
        return data

    async def frame(self, most: int = REPLY_BYTES) -> bytes:
        """The next frame."""
        length = int.from_bytes(await self.exactly(4), "big")
        if length > most:
            self.usable = False
            raise HostFailed("the helper for files sent nonsense")
        return await self.exactly(length)

    async def reply(self, path: str) -> dict[str, Any]:
        """The next reply; the error that it tells of is raised."""
        found = entries.decode(await self.frame())
        if "errno" in found:
            raise failure(path, found["errno"], found["error"])
        return found

    def _gone(self) -> WardianError:
        self.usable = False
        return Busy(
            "the container changed its state meanwhile, or a file shrank while it was read; try again"
        )

    async def end(self) -> None:
        """Hang up and wait until the program is gone: then it holds none of the container's files."""
        self.usable = False
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        await process.kill_group(self.child)
        self._sock.close()


def failure(path: str, number: int, reason: str) -> WardianError:
    """The error of a path."""
    text = f'"/{path.lstrip("/")}": {reason}'
    if number == errno.ENOENT:
        return NotFound(text)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpace(f"cannot write {text}")
    if reason.startswith("Path already"):
        return HostFailed(reason)  # as specified, not a 400
    if number in INVALID:
        return InvalidInput(text)
    return HostFailed(text)


class _Conversation:
    """See ports.Inside."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    async def _ask(self, op: str, path: str, **more: Any) -> None:
        await self._helper.send(entries.entry_frame({"op": op, "path": path, **more}))

    async def look(self, path: str, *, follow: bool = True) -> FileInfo:
        await self._ask("look", path, follow=follow)
        return _info(await self._helper.reply(path))

    async def read(self, path: str, *, follow: bool = True) -> tuple[FileInfo, AsyncIterator[bytes]]:
        await self._ask("read", path, follow=follow)
        info = _info(await self._helper.reply(path))
        return info, self._content(info.size if info.kind == "file" else 0)

    async def _content(self, size: int) -> AsyncGenerator[bytes, None]:
        helper = self._helper
        helper.usable = not size
        while size:
            data = await helper.receive(min(size, READ))
            size -= len(data)
            yield data
        helper.usable = True

    async def write(self, path: str, wanted: FileWrite, content: AsyncIterator[bytes]) -> None:
        fields = asdict(wanted)
        await self._ask("write", path, wanted={**fields, "type": fields.pop("kind")})
        if wanted.kind != "file":
            await self._replied(path)
            return
        await self._upload(path, content, framed=True)

    async def _replied(self, path: str) -> dict[str, Any]:
        self._helper.usable = False
        found = await self._helper.reply(path)
        self._helper.usable = True
        return found

    async def _upload(self, path: str, content: AsyncIterator[bytes], *, framed: bool) -> dict[str, Any]:
        """Send content until the helper replies: early, if it has failed."""
        reply = asyncio.create_task(self._replied(path), name="reply of the files helper")
        self._helper.usable = False
        try:
            try:
                async for piece in content:
                    if reply.done():
                        break
                    await (self._helper.send_frame(piece) if framed else self._helper.send(piece))
                else:
                    if framed:
                        await self._helper.send(entries.END)
            except Busy:  # it has hung up: its last words say why, if there are any
                pass
            return await reply
        finally:
            reply.cancel()

    async def delete(self, path: str) -> None:
        await self._ask("delete", path)
        await self._helper.reply(path)

    async def read_tree(self, path: str) -> AsyncIterator[bytes]:
        await self._ask("read-tree", path)
        await self._helper.reply(path)
        return self._frames()

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        self._helper.usable = False
        while piece := await self._helper.frame():
            yield piece
        self._helper.usable = True

    async def write_tree(
        self, path: str, content: AsyncIterator[bytes], *, parents: bool, owner: Mapping[str, int]
    ) -> int:
        await self._ask("write-tree", path, parents=parents, owner=dict(owner))
        return int((await self._upload(path, content, framed=False))["entries"])


def _info(found: dict[str, Any]) -> FileInfo:
    return FileInfo(
        kind=found["type"],
        uid=found["uid"],
        gid=found["gid"],
        mode=found["mode"],
        size=found["size"],
        names=tuple(found.get("names", ())),
        target=found.get("target", ""),
    )


class HelperFiles:
    """See ports.Files."""

    def __init__(self) -> None:
        self._idle: dict[str, list[tuple[Helper, asyncio.TimerHandle]]] = defaultdict(list)
        self._busy: dict[str, set[Helper]] = defaultdict(set)
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def enter(self, place: Place) -> AsyncIterator[Inside]:
        """See ports.Files."""
        turn = self._turns.setdefault(place.name, asyncio.Semaphore(AT_ONCE))
        async with turn:
            helper = self._take(place) or await _start(place)
            self._busy[place.name].add(helper)
            try:
                yield _Conversation(helper)
            except (NotFound, InvalidInput):  # the helper has told so, and goes on if it can
                raise
            except BaseException:
                helper.usable = False
                raise
            finally:
                self._busy[place.name].discard(helper)
                if place.started is None:  # its files must be free for the next action
                    await asyncio.shield(self._end(helper))
                    self._forget(place.name)
                else:
                    self._put_back(place.name, helper)

    def _take(self, place: Place) -> Helper | None:
        """An idle helper of the container as it is now."""
        pid = place.started.init_pid if place.started else 0
        while self._idle[place.name]:
            helper, timer = self._idle[place.name].pop()
            timer.cancel()
            if helper.pid == pid and helper.child.returncode is None:
                return helper
            self._end(helper)
        return None

    def _put_back(self, name: str, helper: Helper) -> None:
        if not helper.usable:
            self._end(helper)
            return
        timer = asyncio.get_running_loop().call_later(KEPT_S, self._expire, name, helper)
        self._idle[name].append((helper, timer))

    def _expire(self, name: str, helper: Helper) -> None:
        self._idle[name] = [pair for pair in self._idle[name] if pair[0] is not helper]
        self._forget(name)
        self._end(helper)

    def _forget(self, name: str) -> None:
        """Keep nothing of a container that nobody asks about."""
        if not self._idle.get(name) and not self._busy.get(name):
            for table in (self._idle, self._busy, self._turns):
                table.pop(name, None)

    def _end(self, helper: Helper) -> asyncio.Task[None]:
        task = asyncio.create_task(helper.end(), name="end a files helper")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def leave(self, name: str) -> None:
        """See ports.Files."""
        helpers = list(self._busy.get(name, ()))
        for helper, timer in self._idle.pop(name, ()):
            timer.cancel()
            helpers.append(helper)
        await asyncio.gather(*(helper.end() for helper in helpers), *self._ending)

    async def close(self) -> None:
        """See ports.Files."""
        for name in {*self._idle, *self._busy}:
            await self.leave(name)


async def _start(place: Place) -> Helper:
    """A helper that has entered the container, or is about to."""
    with contextlib.ExitStack() as fds:
        root, mapped = await _doors(place, fds)
        ours, theirs = socket.socketpair()
        fds.callback(theirs.close)
        ours.setblocking(False)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        words = [str(root), "-" if mapped is None else str(mapped), str(theirs.fileno())]
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(HELPER), *words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=process.ENVIRONMENT,
                pass_fds=[fd for fd in (root, mapped, theirs.fileno()) if fd is not None],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
    return Helper(child, ours, place.started.init_pid if place.started else 0)


async def _doors(place: Place, fds: contextlib.ExitStack) -> tuple[int, int | None]:
    """(root folder, user namespace or None) of the container, closed with the stack."""
    try:
        if place.started is not None:
            return _doors_of_init(place, fds)
        root = os.open(place.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fds.callback(os.close, root)
        tree = syscalls.open_tree(root, "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH)
        fds.callback(os.close, tree)
        if not place.idmap.ranges:
            return tree, None
        mapped = await userns.create(place.idmap)
        fds.callback(os.close, mapped)
        if place.shifted:
            return tree, mapped
        attributes = syscalls.MOUNT_ATTR_IDMAP | syscalls.MOUNT_ATTR_NODEV
        syscalls.mount_setattr(tree, attr_set=attributes, userns_fd=mapped)
        return tree, mapped
    except OSError as error:
        raise HostFailed(
            f'cannot look at the files of container "{place.name}": {error.strerror}'
        ) from error


def _doors_of_init(place: Place, fds: contextlib.ExitStack) -> tuple[int, int | None]:
    """The same of a running container's init; HostFailed if that is gone."""
    assert place.started is not None
    pid = place.started.init_pid
    with _alive(place.name, pid, place.started.monitor_pid):
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        fds.callback(os.close, root)
        mapped = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        fds.callback(os.close, mapped)
        is_privileged = os.path.samestat(os.fstat(mapped), os.stat("/proc/self/ns/user"))
        return root, None if is_privileged else mapped


@contextlib.contextmanager
def _alive(name: str, pid: int, monitor: int) -> Iterator[None]:
    """Make sure that the pid was init of the container all the time (its number may be used again)."""
    gone = Busy(f'container "{name}" is just stopping or restarting; try again')
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise gone from None
    try:
        if pid not in process.children(monitor):
            raise gone
        yield
        ended = select.poll()
        ended.register(fd, select.POLLIN)
        if ended.poll(0):
            raise gone
    except (FileNotFoundError, ProcessLookupError):
        raise gone from None
    finally:
        os.close(fd)
