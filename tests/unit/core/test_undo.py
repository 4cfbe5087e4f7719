"""Undo: steps are taken back newest first, all of them, and only on failure."""

import asyncio

import pytest

from wardian.core.undo import Undo
from wardian.errors import HostFailed


async def test_steps_are_taken_back_newest_first() -> None:
    taken: list[str] = []

    async def later(step: str) -> None:
        taken.append(step)

    with pytest.raises(RuntimeError):
        async with Undo() as undo:
            undo.on_failure(taken.append, "first")
            undo.on_failure(later, "second")
            raise RuntimeError
    assert taken == ["second", "first"]


async def test_kept_steps_stay() -> None:
    taken: list[str] = []
    async with Undo() as undo:
        undo.on_failure(taken.append, "x")
        undo.keep()
    assert taken == []


async def test_a_step_that_fails_does_not_stop_the_others() -> None:
    taken: list[str] = []

    def fails() -> None:
        raise OSError("no")

    with pytest.raises(asyncio.CancelledError):
        async with Undo() as undo:
            undo.on_failure(taken.append, "x")
            undo.on_failure(fails)
            raise asyncio.CancelledError
    assert taken == ["x"]


async def test_who_is_cancelled_while_taking_back_still_takes_everything_back() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def slow() -> None:
        begun.set()
        await go_on.wait()
        done.append("slow")

    async def work() -> None:
        async with Undo() as undo:
            undo.on_failure(done.append, "first")
            undo.on_failure(slow)
            raise HostFailed("no")

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(HostFailed):
        await task
    assert done == ["slow", "first"]
