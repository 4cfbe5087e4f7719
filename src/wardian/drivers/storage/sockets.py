"""Programs that talk through a socket which is the caller's, and how both sides learn of its end."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from wardian.errors import HostFailed, OutOfSpace, TransferCut
from wardian.linux import process

STDERR_BYTES = 64 * 1024
NO_SPACE = ("No space left", "Disk quota exceeded")
NOWHERE = asyncio.subprocess.DEVNULL


@asynccontextmanager
async def ending(fd: int) -> AsyncIterator[None]:
    """Tell the other side when the block fails: it waits for us, and whoever owns the socket may tarry."""
    os.set_blocking(fd, True)
    try:
        yield
    except BaseException:
        end(fd, socket.SHUT_RDWR)
        raise


def end(fd: int, how: int = socket.SHUT_WR) -> None:
    """Tell the other side of a socket that nothing more comes."""
    with socket.socket(fileno=os.dup(fd)) as ours:
        try:
            ours.shutdown(how)
        except OSError:  # it went first
            return


async def run(
    argv: Sequence[str], *, stdin: int = NOWHERE, stdout: int = NOWHERE, pass_fds: Sequence[int] = ()
) -> tuple[int, str]:
    """(exit status, last lines of the complaints) of a program; killed when the caller is cancelled.

    What it complains about may come from the other side, so it is made printable.
    """
    child = await asyncio.create_subprocess_exec(
        *process.DIES_WITH_US,
        *argv,
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env=process.ENVIRONMENT,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    try:
        assert child.stderr is not None
        said = b""
        while chunk := await child.stderr.read(STDERR_BYTES):
            said = (said + chunk)[-STDERR_BYTES:]
        status = await child.wait()
    finally:
        await process.kill_group(child)
    text = said.decode(errors="replace")
    return status, "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def failed(what: str, reason: str, said: str) -> HostFailed:
    """The error for a program that failed. said: all its complaints."""
    if any(words in said for words in NO_SPACE):
        return OutOfSpace(f"cannot {what}: the storage pool is full; delete containers or images")
    if reason:
        return HostFailed(f"cannot {what}: {reason}")
    return TransferCut(f"cannot {what}: the other side ended the transfer too early")
