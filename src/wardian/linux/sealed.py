"""Programs in sealed memory (memfd_create(2)): what runs from there can change no file of the host.

lxc-attach copies itself there whenever it is called, and begins anew, so that a container that it enters
cannot write to the host's program through /proc/PID/exe (CVE-2019-5736). Called from there it need not.
"""

import fcntl
import os
import stat

_NO_CHANGE = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class SealedProgram:
    """A program of the host, copied once, and again when its file is another one."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._known: tuple[int, ...] = ()
        self._fd = -1

    def path(self) -> str:
        """Where it can be executed by processes of this user; valid until the next call.

        Raises OSError.
        """
        found = os.stat(self._file)
        known = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if known != self._known:
            fresh = self._copy()
            self.close()
            self._fd, self._known = fresh, known
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self) -> None:
        """Forget the copy; those that run keep it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._known = -1, ()

    def _copy(self) -> int:
        fd = os.memfd_create(os.path.basename(self._file), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(self._file, "rb") as program:
                while os.sendfile(fd, program.fileno(), None, 1 << 20):
                    pass
            os.fchmod(fd, stat.S_IRUSR | stat.S_IXUSR)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _NO_CHANGE)
        except BaseException:
            os.close(fd)
            raise
        return fd
