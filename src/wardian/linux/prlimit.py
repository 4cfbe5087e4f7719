"""Limits of other processes: prlimit(2)."""

import os
import resource


def get(number: int, pid: int = 0) -> tuple[int, int]:
    """(soft, hard) of a process's limit, our own unless told otherwise; -1: none."""
    return resource.prlimit(pid or os.getpid(), number)


def set_for(pid: int, number: int, bounds: tuple[int, int]) -> None:
    """Set the limit of a process. OSError: it is gone, or the kernel allows no such value."""
    resource.prlimit(pid, number, bounds)
