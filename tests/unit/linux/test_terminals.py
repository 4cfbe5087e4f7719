"""Pseudo-terminals that carry bytes."""

import os
import termios

import pytest

from wardian.linux import terminals


def test_what_is_written_comes_out_as_it_is() -> None:
    master, slave = terminals.open_carrier(80, 25)
    try:
        os.write(slave, b"a\nb")
        assert os.read(master, 10) == b"a\nb"
        assert os.get_terminal_size(slave) == (80, 25)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(os.geteuid() != 0, reason="locking the modes of a terminal takes root")
def test_nobody_can_turn_line_ends_on() -> None:
    master, slave = terminals.open_carrier(0, 0)
    try:
        modes = termios.tcgetattr(slave)
        modes[1] |= termios.OPOST | termios.ONLCR
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        os.write(slave, b"a\n")
        assert os.read(master, 10) == b"a\n"
    finally:
        os.close(master)
        os.close(slave)
