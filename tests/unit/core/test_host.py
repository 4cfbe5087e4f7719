"""The host's locks: one at a time for a piece of work."""

import asyncio
from pathlib import Path

from tests.fakes import make_host


async def test_no_two_are_at_the_same_work_however_many_come(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with host.once("work"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def come_late() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
            await work()

    await asyncio.gather(*(work() for _ in range(5)), *(come_late() for _ in range(5)))
    assert most == 1
    assert not host._once
