"""Pseudo-terminals (pty(7)) that only carry bytes between two real ones."""

import fcntl
import os
import struct
import termios
import tty

ALL_MODES = struct.pack("=4IB19s", *(0xFFFFFFFF,) * 4, 0, b"")
"""The kernel's struct termios with every mode and no character: what is to be locked."""


def open_carrier(width: int, height: int) -> tuple[int, int]:
    """(master, slave) of a raw pseudo-terminal whose modes stay raw; the caller closes both.

    Programs that put themselves between a terminal and a command (lxc-attach) turn line ends on, where
    the terminal of the command makes them already. Locked modes (TIOCSLCKTRMIOS of ioctl_tty(2)) keep
    the value that they have, whoever changes them. It takes CAP_SYS_ADMIN on the host: without it, in a
    nested daemon, a carriage return more is carried.
    """
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        set_size(master, width, height)
        fcntl.ioctl(slave, termios.TIOCSLCKTRMIOS, ALL_MODES)
    except PermissionError:
        pass
    except BaseException:
        os.close(master)
        os.close(slave)
        raise
    return master, slave


def set_size(fd: int, width: int, height: int) -> None:
    """Set the size of a terminal in characters; sizes that make no sense are ignored."""
    if 0 < width < 65536 and 0 < height < 65536:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
