"""Doing something inside the network namespace of another process (setns(2))."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from wardian.linux import syscalls

T = TypeVar("T")


async def in_network(fd: int, work: Callable[[], T]) -> T:
    """The result of `work`, done inside the network namespace of the fd; a socket made there stays there.

    It runs in a thread of its own that ends afterwards: none comes back from a namespace.
    """

    def enter() -> T:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
        return work()

    return await asyncio.to_thread(_in_thread, enter)


async def as_owner(uid: int, gid: int, work: Callable[[], T]) -> T:
    """The result of `work`, done as this owner of files (setfsuid(2)); in a thread of its own."""

    def change() -> T:
        syscalls.setfsgid(gid)
        syscalls.setfsuid(uid)
        return work()

    return await asyncio.to_thread(_in_thread, change)


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="elsewhere", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def network_of(pid: int) -> int:
    """An fd of the network namespace of a process."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
