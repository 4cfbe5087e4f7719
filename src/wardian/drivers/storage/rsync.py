"""Volumes that travel by rsync: what every pool can send and receive, whatever its file system.

The sender is rsync's server, the receiver its client; both work on the socket that connects them, and
both are confined (linux/confine.py): a container may swap folders for links while its files are read,
and the other host is not trusted. Ids travel as numbers, with hard links, holes, devices, attributes
and access lists, so a volume is the same on both sides.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from wardian.drivers.storage import confined, sockets
from wardian.errors import InvalidInput, TransferCut
from wardian.linux import process

NAME = "rsync"
PROGRAM = "rsync"
SENDER = (PROGRAM, "--server", "--sender", "-lHogDtpAXrSe.iLsfxCIvu", "--numeric-ids", ".", "./")
"""What a client with the options below would start on the other host."""
RELAY = (
    'python3 -I -S -c "import os, subprocess as s; os.set_blocking(0, True); os.set_blocking(1, True); '
    "up = s.Popen(['cat'], stdout=3); s.call(['cat'], stdin=3); up.kill()\""
)
"""In place of a remote shell: between rsync's own two pipes, which it leaves non-blocking, and the
socket, which is 3."""
RECEIVER = (
    *("sh", "-c", 'exec 3<&0; exec "$@"', "receive"),
    *(PROGRAM, "-aHAXS", "--numeric-ids", "--modify-window=-1", "--delete", "-e", RELAY, "sender:./", "./"),
)
VANISHED = 24
"""Files went away while they were read, of a container that runs: nothing that a snapshot would have."""
ENDED = re.compile(r"^rsync error: |unexpectedly closed|Broken pipe|Connection reset")


def refuse_others(transport: str) -> None:
    """InvalidInput unless the transport is rsync."""
    if transport != NAME:
        raise InvalidInput(f'this storage pool sends and receives by {NAME}, not by "{transport}"')


async def send(folder: Path, fd: int, what: str, *, submounts: bool = False) -> None:
    """Send what is in a folder. what: `send volume "c1"` for errors; submounts: with mounts in it."""
    await _run(SENDER, folder, fd, what, writable=False, submounts=submounts)
    sockets.end(fd)


async def receive(folder: Path, fd: int, what: str, *, submounts: bool = False) -> None:
    """Make a folder like the one that is sent. What a failure leaves in it is for the caller to remove."""
    await _run(RECEIVER, folder, fd, what, writable=True, submounts=submounts)


async def renew(source: Path, target: Path, what: str) -> None:
    """Make a folder of this pool like another one, with what the file system keeps for itself (trusted.*).

    Nobody writes to either.
    """
    near, far = socket.socketpair()
    with near, far:
        ends = [
            asyncio.create_task(_end(RECEIVER, target, far, what, writable=True), name="receive"),
            asyncio.create_task(_end(SENDER, source, near, what, writable=False), name="send"),
        ]
        try:
            await asyncio.wait(ends)
        finally:
            for end in ends:
                end.cancel()
            results = await asyncio.gather(*ends, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, TransferCut)):
        raise error


async def _end(
    program: Sequence[str], folder: Path, sock: socket.socket, what: str, *, writable: bool
) -> None:
    async with sockets.ending(sock.fileno()):
        await _run(
            program, folder, sock.fileno(), what, writable=writable, submounts=False, rights=confined.ADMIN
        )
        sockets.end(sock.fileno())


async def _run(
    program: Sequence[str],
    folder: Path,
    fd: int,
    what: str,
    *,
    writable: bool,
    submounts: bool,
    rights: str = confined.FILES,
) -> None:
    process.program(PROGRAM)
    with confined.shown(folder, writable=writable, submounts=submounts) as tree:
        status, said = await confined.run(program, tree, rights, stdin=fd, stdout=fd)
    if status not in (0, VANISHED):
        reasons = [line for line in said.splitlines() if line.strip() and not ENDED.search(line)]
        raise sockets.failed(what, reasons[0] if reasons else "", said)
