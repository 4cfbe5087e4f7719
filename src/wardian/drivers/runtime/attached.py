"""A command that lxc-attach runs in a container."""

import asyncio
import errno
import os
import re
import signal

from wardian.linux import process

NOT_RUN = re.compile(rb'lxc-attach: [^\n]*?: \d+ ([^\n]*?) - Failed to exec "([^\n]*)"(\r?\n)')
"""What lxc-attach says before it ends with 126 or 127: cause, program."""
SAYS = b"lxc-attach: "
LONGEST_LINE = 8192
GREETING = b"To leave the console, type Ctrl-a q; for Ctrl-a itself, type it twice.\r\n"


class LxcProcess:
    """A command in a container: the attaching program and, as its child, the command itself."""

    def __init__(self, child: asyncio.subprocess.Process, container: str) -> None:
        self._child = child
        self._container = container

    async def wait(self) -> int:
        """See ports.Process."""
        status = await self._child.wait()
        return 128 - status if status < 0 else status

    def signal(self, number: int) -> None:
        """See ports.Process."""
        for pid in process.children(self._child.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def resized(self) -> None:
        """See ports.Process."""
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGWINCH)

    def reworded(self, said: bytes) -> bytes | None:
        """See ports.Process."""
        if said.startswith(SAYS) and b"\n" not in said and len(said) < LONGEST_LINE:
            return None  # it writes a line in several pieces
        found = NOT_RUN.match(said)
        if found is None:
            return said
        cause, program, end = (part.decode(errors="replace") for part in found.groups())
        is_missing = cause == os.strerror(errno.ENOENT)
        if is_missing and "/" not in program:
            text = f'error: command "{program}" not found in container "{self._container}"'
        else:
            hint = " (itself, or the interpreter that it needs)" if is_missing else ""
            text = f'error: cannot run "{program}" in container "{self._container}": {cause}{hint}'
        return text.encode() + end.encode() + said[found.end() :]


class ConsoleProcess:
    """The program that is connected to a container's console."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def wait(self) -> int:
        """See ports.Process."""
        status = await self._child.wait()
        return 128 - status if status < 0 else status

    def signal(self, number: int) -> None:
        """See ports.Process."""
        if self._child.returncode is None:
            self._child.send_signal(number)

    def resized(self) -> None:
        """See ports.Process."""
        self.signal(signal.SIGWINCH)

    def reworded(self, said: bytes) -> bytes | None:
        """See ports.Process: its greeting as the user's terminal, which is raw, needs it."""
        greeting, end, rest = said.partition(b"itself\n")
        if end:
            return GREETING + rest
        is_begun = greeting.lstrip().startswith(b"Connected") or not greeting.strip()
        return None if is_begun and len(said) < LONGEST_LINE else said.replace(b"\n", b"\r\n")
