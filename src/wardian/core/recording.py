"""What a command in a container said, kept as two files among the logs of the container."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from wardian.errors import HostFailed

RECORD_BYTES = 64 * 1024 * 1024
"""What is kept of each stream: a command must not fill the host's disk."""
STREAMS = ("stdout", "stderr")


def file_name(operation: str, stream: str) -> str:
    """The log file of a stream of the command that this operation runs."""
    return f"exec_{operation}.{stream}"


class Record:
    """A file that takes the beginning of a stream; nothing that is said stops the command."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._room = RECORD_BYTES
        self._failure: OSError | None = None

    async def send(self, frame: bytes | str) -> None:
        """Keep what comes next, as far as there is room."""
        view = memoryview(frame.encode() if isinstance(frame, str) else frame)[: self._room]
        try:
            while view and self._failure is None:
                written = os.write(self._fd, view)
                self._room -= written
                view = view[written:]
        except OSError as error:
            self._failure = error

    def check(self) -> None:
        """HostFailed if something could not be written."""
        if self._failure is not None:
            raise HostFailed(f'cannot keep the output in "{self._path}": {self._failure.strerror}')

    def close(self) -> None:
        """Nothing more is kept."""
        os.close(self._fd)


@contextlib.contextmanager
def records(folder: Path, operation: str) -> Iterator[tuple[Record, Record]]:
    """One for stdout and one for stderr; no file is left if what runs meanwhile fails."""
    paths = [folder / file_name(operation, stream) for stream in STREAMS]
    try:
        with contextlib.ExitStack() as kept:
            out, err = (kept.enter_context(contextlib.closing(Record(path))) for path in paths)
            yield out, err
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
