"""Calls to the kernel in threads. A thread cannot be stopped, so nobody goes on before it has ended."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def run(work: Callable[[], T], take_back: Callable[[], None] | None = None) -> T:
    """What `work` returns, called in a thread.

    A caller that is cancelled waits for its end first: what it makes does not appear after others
    have taken it back. take_back: removes what a cancelled caller's work has made, in a thread as well.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        if take_back is not None and task.exception() is None:
            undone = asyncio.ensure_future(asyncio.to_thread(take_back))
            await ended(undone)
            if error := undone.exception():
                raise error from None
        raise


async def ended(task: asyncio.Future[T]) -> None:
    """Return once the task is done, however often the caller is cancelled."""
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()  # seen: nobody else will ask
