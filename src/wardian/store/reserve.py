"""A little space of a disk that is kept for the day when it is full, so that things can still be deleted."""

import os
from contextlib import suppress
from pathlib import Path

SIZE_BYTES = 1 << 20
ROOM_BYTES = 4 * SIZE_BYTES
"""Nothing is set aside on a disk that has less than this."""


class Reserve:
    """A file that only takes space; the caller gives it up and takes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_held = path.exists()

    def hold(self) -> None:
        """Take the space if it is not held and the disk has room; otherwise nothing happens."""
        if self._is_held:
            return
        space = os.statvfs(self._path.parent)
        if space.f_bavail * space.f_frsize < ROOM_BYTES:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SIZE_BYTES)
            finally:
                os.close(fd)
            self._is_held = True
        except OSError:  # part of it may be taken
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def release(self) -> bool:
        """Give the space back to the file system; whether there was some."""
        was_held, self._is_held = self._is_held, False
        self._path.unlink(missing_ok=True)
        return was_held
