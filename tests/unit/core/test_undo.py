"""Undo: steps are taken back newest first, all of them, and only on failure."""

import asyncio

import pytest

from wardian.core.undo import Undo


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
