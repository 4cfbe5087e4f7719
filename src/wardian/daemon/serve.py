"""The daemon's life: start, find what runs, answer requests, go down. Containers never notice."""

import asyncio
import contextlib
import fcntl
import functools
import grp
import logging
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from wardian.api.app import make_app
from wardian.api.conversations import IDLE_S, LINGERING_S
from wardian.api.guest import answerer
from wardian.api.speaker import Runner
from wardian.core import (
    autostart,
    backups,
    hotplug,
    images,
    join_tokens,
    lifecycle,
    log_upkeep,
    networks,
    places,
    pools,
    profiles,
    recovery,
    server,
    snapshot_schedule,
    volumes,
)
from wardian.core.events import EventLogHandler
from wardian.core.host import Host
from wardian.core.image_upkeep import upkeep
from wardian.daemon.build import build, make_folders
from wardian.daemon.debugging import Debugging
from wardian.daemon.guests import GuestSockets
from wardian.daemon.listener import HttpsListener
from wardian.errors import HostFailed, WardianError
from wardian.linux import process
from wardian.model.paths import Paths

log = logging.getLogger(__name__)

PROGRAMS = ("lxc-start", "tar", "unsquashfs", "xz", "rsync", "ip", "nsenter")
"""Without these it does not start; what else it calls depends on what it is asked for."""

GOING_DOWN_S = 2.0
"""How long requests that are being answered may take once the daemon is told to stop."""


class Daemon:
    """One `lxd` process."""

    def __init__(self, paths: Paths, *, group: str, log_level: str, debugging: Debugging) -> None:
        self._paths = paths
        self._debugging = debugging
        self._group = group
        self._log_level = log_level
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to stop. HostFailed if another daemon holds the folder."""
        make_folders(self._paths)
        with self._exclusively():
            listener, guests = HttpsListener(self._paths), GuestSockets(self._paths.devlxd)
            host = await build(self._paths, listener, guests, stop=self._stop.set, log_level=self._log_level)
            guests.prepare(functools.partial(answerer, host))
            handler = EventLogHandler(host.events, asyncio.get_running_loop())
            logging.getLogger("wardian").addHandler(handler)
            self._handle_signals(host)
            try:
                async with (
                    self._debugging.answering(),
                    self._running(host),
                    self._serving(host, listener),
                    upkeep(host),
                    snapshot_schedule.running(host),
                    log_upkeep.running(host),
                    hotplug.following(host),
                ):
                    start_up = asyncio.create_task(_start_up(host), name="start-up")
                    log.info("daemon is up at %s", self._paths.socket)
                    await self._stop.wait()
                    await _cancelled(start_up)
                    host.events.close()
            finally:
                logging.getLogger("wardian").removeHandler(handler)
                await host.records.close()

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        fd = os.open(self._paths.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HostFailed("LXD is already running") from None
            yield
        finally:
            os.close(fd)

    @contextlib.asynccontextmanager
    async def _running(self, host: Host) -> AsyncIterator[None]:
        """Follow what runs, before the first request is answered."""
        runtime, watcher = host.runtime, host.watcher
        runtime.open()
        await watcher.open()
        host.guests.sweep(set(host.running))
        try:
            yield
        finally:
            await host.operations.close()
            await host.files.close()
            host.guests.close_all()
            await watcher.close()
            runtime.close()

    @contextlib.asynccontextmanager
    async def _serving(self, host: Host, https: HttpsListener) -> AsyncIterator[None]:
        runner = Runner(
            make_app(host, https.crowd),
            access_log=None,
            shutdown_timeout=GOING_DOWN_S,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGERING_S,
        )
        logging.getLogger("aiohttp.server").addFilter(is_fault_of_ours)
        await runner.setup()
        assert runner.server is not None
        listener = inherited_socket() or listen(self._paths.socket, self._group)
        try:
            await web.SockSite(runner, listener).start()
            try:
                await https.prepare(runner.server)
            except WardianError as error:
                log.error("start-up: %s", error)
            yield
        finally:
            await https.close()
            await runner.cleanup()

    def _handle_signals(self, host: Host) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop.set)

        async def stop_all(_: object) -> None:
            await autostart.stop_all(host)
            self._stop.set()

        loop.add_signal_handler(signal.SIGPWR, lambda: host.operations.start("Shutting down", stop_all))


def is_fault_of_ours(record: logging.LogRecord) -> bool:
    """Whether a record of the web server is worth a line: peers that send no HTTP, or go, fill no log."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, HttpProcessingError | ConnectionError)


async def _start_up(host: Host) -> None:
    """Make the host match the records, then let changes of state through and start what is due."""
    listening = asyncio.create_task(server.listen(host), name="start listening on the network")
    for step in (
        profiles.ensure_builtin,
        pools.open_all,
        lifecycle.settle,
        recovery.sweep,
        volumes.sweep,
        backups.sweep,
        places.settle_all,
        images.sweep,
        networks.open_all,
        lifecycle.settle_devices,
    ):
        try:
            await step(host)
        except WardianError as error:
            log.error("start-up: %s", error)
    await listening
    await join_tokens.announce_all(host)
    host.ready.set()
    if host.paths.setup_mode.exists():
        log.warning('"%s" exists: no container starts before `lxd ready`', host.paths.setup_mode)
    else:
        host.opened.set()
    notify_systemd("READY=1")
    await host.opened.wait()
    try:
        await autostart.start_all(host)
    except WardianError as error:
        log.error("start-up: %s", error)
    host.started.set()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def inherited_socket() -> socket.socket | None:
    """The socket that systemd made for us (sd_listen_fds(3)), or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS", "0") == "0":
        return None
    listener = socket.socket(fileno=3)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def listen(path: Path, group: str) -> socket.socket:
    """The daemon's own socket: mode 0660, owner root, group as asked for (unknown: HostFailed)."""
    try:
        gid = grp.getgrnam(group).gr_gid if group else os.getgid()
    except KeyError:
        raise HostFailed(
            f'group "{group}" does not exist; create it with `groupadd --system {group}`'
        ) from None
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    os.chown(path, 0, gid)
    path.chmod(0o660)
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def notify_systemd(message: str) -> None:
    """Tell systemd, if it started us and waits for it (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            sender.send(message.encode())
        except OSError as error:
            log.warning("cannot notify systemd: %s", error)


def serve(paths: Paths, *, group: str, log_level: str, debugging: Debugging) -> None:
    """Run a daemon to its end in this process. HostFailed if it cannot, OSError for a profile's file."""
    for name in PROGRAMS:
        process.program(name)
    process.use_pidfds()
    with debugging.profiling():
        asyncio.run(Daemon(paths, group=group, log_level=log_level, debugging=debugging).run())
