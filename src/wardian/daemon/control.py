"""Talking to a daemon from the `lxd` command itself: waitready, shutdown, activateifneeded."""

import contextlib
import http.client
import json
import logging
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any

from wardian.core.autostart import wants_start
from wardian.errors import HostFailed, WardianError
from wardian.model.paths import Paths

log = logging.getLogger(__name__)

LEAST_S = 0.001
"""A timeout of 0 would mean to look without waiting, which is another mode of sockets."""
RETRY_S = 0.05
"""Pause between tries to reach a daemon that has not made its socket yet."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("lxd", timeout=timeout_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(paths: Paths, verb: str, path: str, *, timeout_s: float | None = None) -> dict[str, Any]:
    """The envelope of the answer. OSError if there is no daemon or it does not answer in time."""
    connection = _UnixConnection(paths.socket, timeout_s)
    with contextlib.closing(connection):
        connection.request(verb, path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer


def ask(paths: Paths, verb: str, path: str) -> Any:
    """The metadata of the answer. HostFailed if there is no daemon, WardianError with what it refuses."""
    try:
        answer = request(paths, verb, path)
    except OSError as error:
        raise unreachable(paths, error) from error
    if answer.get("type") == "error":
        raise WardianError(str(answer.get("error")))
    return answer["metadata"]


def unreachable(paths: Paths, error: OSError) -> HostFailed:
    """What the user is told when there is no way to the daemon."""
    return HostFailed(f'cannot reach the daemon at "{paths.socket}": {error.strerror}; is it running?')


def wait_ready(paths: Paths, timeout_s: float) -> bool:
    """Whether the daemon finished its start-up within the time. HostFailed if we may not ask."""
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        try:
            answer = request(paths, "GET", "/internal/ready", timeout_s=left)
            return bool(answer.get("status_code") == 200)
        except PermissionError as error:
            raise unreachable(paths, error) from error
        except (OSError, http.client.HTTPException):
            time.sleep(min(RETRY_S, left))
    return False


def is_running(paths: Paths) -> bool:
    """Whether a daemon holds the folder; asking starts none, as a connection to its socket may."""
    lock = paths.root / ".lock"
    if not lock.exists():
        return False
    inode = str(lock.stat().st_ino)
    held = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    holders = [w[4] for w in held if w[1] == "FLOCK" and w[5].rpartition(":")[2] == inode]
    return any(_has_open(pid, lock) for pid in holders)


def _has_open(pid: str, file: Path) -> bool:
    """Whether a process has the file open; a number of an inode may be that of another disk."""
    try:
        return any(fd.samefile(file) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists())
    except PermissionError:  # we are not root: believe it
        return True
    except FileNotFoundError:
        return False


def shut_down(paths: Paths, timeout_s: float) -> bool:
    """Stop all containers and the daemon; whether it was gone within the time. HostFailed without one."""
    deadline = time.monotonic() + timeout_s
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as witness:
        try:
            witness.connect(str(paths.socket))  # closed by the kernel when the daemon ends
        except OSError as error:
            raise unreachable(paths, error) from error
        with contextlib.suppress(http.client.HTTPException, ConnectionError, TimeoutError):
            request(paths, "PUT", "/internal/shutdown", timeout_s=timeout_s)
        witness.settimeout(max(deadline - time.monotonic(), LEAST_S))
        try:
            return witness.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def activate_if_needed(paths: Paths) -> None:
    """Have the launcher start the daemon, if it has to run; the log tells why."""
    if reason := activation_reason(paths):
        log.debug(reason)
        ask(paths, "GET", "/1.0")


def activation_reason(paths: Paths) -> str:
    """Why a daemon has to run; "" if it need not. One that is not running is not started to be asked."""
    if is_running(paths):
        try:
            server = ask(paths, "GET", "/1.0")["config"]
            containers = ask(paths, "GET", "/1.0/containers?recursion=1")
        except HostFailed:  # it is about to come up
            return ""
        return _reason(server, [container["expanded_config"] for container in containers])
    return _reason(*_remembered(paths))


def _remembered(paths: Paths) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The configuration of the server and of each container, in the database of a daemon that is down."""
    if not paths.database.exists():
        return {}, []
    with contextlib.closing(sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True)) as connection:
        rows = dict(connection.execute("SELECT key, value FROM documents").fetchall())
    documents = {key: json.loads(value) for key, value in rows.items()}
    profiles = {v["name"]: v.get("config", {}) for k, v in documents.items() if k.startswith("profiles/")}
    found = []
    for container in (value for key, value in documents.items() if key.startswith("containers/")):
        merged: dict[str, str] = {}
        for profile in container.get("profiles", []):
            merged |= profiles.get(profile, {})
        found.append(merged | container.get("config", {}))
    return documents.get("server/config", {}), found


def _reason(server: dict[str, Any], containers: list[dict[str, str]]) -> str:
    if server.get("core.https_address"):
        return "Daemon has core.https_address set, activating..."
    for config in containers:
        if wants_start(config) or config.get("volatile.last_state.power") == "RUNNING":
            return "Daemon has auto-started containers, activating..."
        if config.get("snapshots.schedule"):
            return "Daemon has scheduled snapshots, activating..."
    return ""
