"""Where the daemon's log goes: standard error, a file, the system's log."""

import argparse
import logging
import socket
import syslog
from pathlib import Path

from wardian.errors import HostFailed

FORMAT = 't=%(asctime)s lvl=%(levelname)s msg="%(message)s" logger=%(name)s'
SYSLOG_FORMAT = 'lxd[%(process)d]: lvl=%(levelname)s msg="%(message)s" logger=%(name)s'
TIME = "%Y-%m-%dT%H:%M:%S%z"
SYSLOG = "/dev/log"
SEVERITIES = {
    logging.DEBUG: syslog.LOG_DEBUG,
    logging.WARNING: syslog.LOG_WARNING,
    logging.ERROR: syslog.LOG_ERR,
    logging.CRITICAL: syslog.LOG_CRIT,
}
LXC_LEVELS = {logging.DEBUG: "trace", logging.INFO: "info"}


class Syslog(logging.Handler):
    """The system's log (RFC 3164). It must not hold the daemon up: what it does not take at once is lost."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send it; a system logger that has been restarted is found again."""
        severity = SEVERITIES.get(record.levelno, syslog.LOG_INFO)
        message = f"<{syslog.LOG_DAEMON | severity}>{self.format(record)}".encode(errors="replace")
        for _ in range(2):
            try:
                self._connected().send(message, socket.MSG_DONTWAIT)
                return
            except BlockingIOError:
                return
            except OSError:
                self.close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.connect(self._path)
        return self._socket

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()


def set_up(options: argparse.Namespace) -> str:
    """Log where and as much as the options ask; returns the level for liblxc's own log.

    HostFailed if there is no system's log, OSError if the file cannot be written.
    """
    debug, verbose = getattr(options, "debug", False), getattr(options, "verbose", False)
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    handlers: list[logging.Handler] = []
    if logfile := getattr(options, "logfile", ""):
        handlers.append(_formatted(logging.FileHandler(logfile), FORMAT))
    if getattr(options, "syslog", False):
        handlers.append(_formatted(_syslog(), SYSLOG_FORMAT))
    for handler in handlers or [_formatted(logging.StreamHandler(), FORMAT)]:
        handler.setLevel(level)
        logging.getLogger().addHandler(handler)
    logging.getLogger("wardian").setLevel(logging.DEBUG)
    return LXC_LEVELS.get(level, "warn")


def _formatted(handler: logging.Handler, form: str) -> logging.Handler:
    handler.setFormatter(logging.Formatter(form, TIME))
    return handler


def _syslog() -> Syslog:
    if not Path(SYSLOG).is_socket():
        raise HostFailed(f'cannot log to "{SYSLOG}": it is no socket; does a system logger run?')
    return Syslog(SYSLOG)
