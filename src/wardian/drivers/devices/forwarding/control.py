"""Asking the forwarder (program.py), and starting it when it is needed."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardian.errors import HostFailed
from wardian.linux import process

PROGRAM = Path(__file__).with_name("program.py")
LONGEST_ANSWER = 1 << 17
ANSWERS_WITHIN_S = 30.0


class Control:
    """The forwarder of one daemon: a process that outlives it, found again by its socket."""

    def __init__(self, path: Path, log: Path) -> None:
        self._path, self._log = path, log
        self._one_starts = asyncio.Lock()

    async def add(self, name: str, request: Mapping[str, object], fds: Sequence[int]) -> None:
        """Begin to carry a device's traffic, in place of one of the same name. The fds stay the caller's."""
        wanted = {"do": "add", "name": name, **request}
        async with self._one_starts:
            if await asyncio.to_thread(self._ask, wanted, fds) is None:
                await self._start()
                if await asyncio.to_thread(self._ask, wanted, fds) is None:
                    raise HostFailed(f"the forwarder of proxy devices does not run; see {self._log}")

    async def known(self) -> Mapping[str, int]:
        """The devices that are carried: name -> pid of the container's init."""
        answer = await asyncio.to_thread(self._ask, {"do": "list"}, ())
        return answer["devices"] if answer else {}

    async def remove(self, name: str) -> None:
        """End a device with all its connections; harmless if it is not known."""
        await asyncio.to_thread(self._ask, {"do": "remove", "name": name}, ())

    def _ask(self, request: Mapping[str, object], fds: Sequence[int]) -> dict[str, Any] | None:
        """The forwarder's answer, None if none runs; HostFailed if it could not."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(ANSWERS_WITHIN_S)
            try:
                asking.connect(str(self._path))
                socket.send_fds(asking, [json.dumps(request).encode()], list(fds))
                answer = asking.recv(LONGEST_ANSWER)
            except (FileNotFoundError, ConnectionError):
                return None
            except OSError as error:
                raise HostFailed(f"cannot reach the forwarder of proxy devices: {error}") from error
        if not answer:
            return None
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise HostFailed(f"the forwarder of proxy devices: {told['error']}")
        return told

    async def _start(self) -> None:
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            self._path.unlink(missing_ok=True)
            control.bind(str(self._path))
            self._path.chmod(0o600)
            control.listen(8)
            # setsid leaves it to init: asyncio would kill a child of ours with the event loop.
            argv = ["setsid", "--fork", sys.executable, "-I", "-S", str(PROGRAM), str(control.fileno())]
            try:
                child = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=process.ENVIRONMENT,
                    cwd="/",
                    pass_fds=[control.fileno()],
                )
            finally:
                os.close(log)
            if await child.wait():
                raise HostFailed(f"cannot start the forwarder of proxy devices; see {self._log}")
