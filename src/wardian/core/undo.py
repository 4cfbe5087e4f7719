"""Taking back the steps of a failed action.

Rule: every step that makes something registers, on the next line, how to take it back;
`keep()` after the last step discards the list. See the walk in docs/architecture.md.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


async def to_the_end(work: Awaitable[T]) -> T:
    """Its result. Who is cancelled meanwhile, because it takes too long, still takes everything back."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            log.debug("cancelled while something is being taken back")
    return task.result()


class Undo:
    """A stack of steps to take back, newest first, when the block fails or is cancelled.

    A step that fails while being taken back is logged and the others still run: what it leaves
    behind is found by the sweep at the next start of the daemon.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def on_failure(self, step: Callable[..., Awaitable[Any] | Any], *args: Any) -> None:
        """Remember to call `step(*args)`, awaited if it is awaitable, should the block fail."""
        self._steps.append((step, args))

    def keep(self) -> None:
        """The action is complete: nothing will be taken back."""
        self._steps.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            return
        while self._steps:
            step, args = self._steps.pop()
            try:
                result = step(*args)
                if isinstance(result, Awaitable):
                    await to_the_end(result)
            except Exception:
                log.exception("could not take back %s%r", getattr(step, "__qualname__", step), args)
