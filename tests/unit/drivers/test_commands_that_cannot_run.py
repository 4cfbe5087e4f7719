"""What lxc-attach says when it cannot run a command, and nothing else, is put in words for people."""

import asyncio
from typing import cast

import pytest

from wardian.drivers.runtime.attached import GREETING, ConsoleProcess, LxcProcess

SAID = b'lxc-attach: c1: ../src/lxc/attach.c: lxc_attach_run_command: 1841 %s - Failed to exec "%s"\n'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            SAID % (b"No such file or directory", b"nosuch"),
            b'error: command "nosuch" not found in container "c1"\n',
        ),
        (
            SAID % (b"Permission denied", b"/etc"),
            b'error: cannot run "/etc" in container "c1": Permission denied\n',
        ),
        (
            SAID % (b"No such file or directory", b"/x") + b"more",
            b'error: cannot run "/x" in container "c1": No such file or directory '
            b"(itself, or the interpreter that it needs)\nmore",
        ),
        (b"sh: nosuch: not found\n", b"sh: nosuch: not found\n"),
        (b"\xff\x00", b"\xff\x00"),
        (SAID[:-1], None),
        (b"lxc-", b"lxc-"),
    ],
)  # fmt: skip
def test_what_lxc_attach_says(said: bytes, shown: bytes | None) -> None:
    process = LxcProcess(cast(asyncio.subprocess.Process, None), "c1")
    assert process.reworded(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"\n", None),
        (b"\nConnected to tty 0\nType <Ctrl+a q> to exit", None),
        (b"\nConnected to tty 0\nType <Ctrl+a q> to enter Ctrl+a itself\nlogin: ", GREETING + b"login: "),
        (b"no console\n", b"no console\r\n"),
    ],
)
def test_the_greeting_of_a_console(said: bytes, shown: bytes | None) -> None:
    assert ConsoleProcess(cast(asyncio.subprocess.Process, None)).reworded(said) == shown
