"""Ctrl-C while the daemon works for us: counted, and what waits for the daemon is woken.

No exception is raised out of nowhere: Python loses one that arises in a callback of its own, such as that
of an import's lock, and the user would have to press again.
"""

from __future__ import annotations

from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Waits(Protocol):
        """Something on which the daemon's answer is waited for."""

        def cut(self) -> None:
            """Have that wait end at once, or the next one; callable from a signal handler."""


FORCE_AFTER = 3


class GivenUp(ApiError):
    """The user wants no more of it, whatever becomes of it."""


class Interrupts:
    """Takes SIGINT for the length of a `with` block.

    Until something is watched the first one is only counted: what the daemon has begun can only be
    cancelled once it has said what that is called.
    """

    def __init__(self) -> None:
        self.came = 0
        self._answered = 0
        self._waits: Waits | None = None
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        # The module `signal` over this one takes 3 ms to import.
        import _signal  # type: ignore[import-not-found]

        self._set = _signal.signal
        self._number = _signal.SIGINT
        try:
            self._before = self._set(self._number, self._count)
        except ValueError:  # not the main thread, and no other is interrupted
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self._set(self._number, self._before)

    def _count(self, _number: int, _frame: object) -> None:
        self.came += 1
        if self._waits is not None:
            self._waits.cut()
            if self.came >= FORCE_AFTER:
                raise GivenUp(
                    "User signaled us three times, exiting. The remote operation will keep running."
                )
        elif self.came > 1:
            raise KeyboardInterrupt  # the daemon may never say what it has begun

    def watch(self, waits: Waits) -> None:
        """From now on an interrupt cuts this off, and one that is not answered yet does so now."""
        self._waits = waits
        if self.is_due:
            waits.cut()

    @property
    def is_due(self) -> bool:
        """Whether the user wants something that was not answered yet."""
        return self.came > self._answered

    def answer(self) -> None:
        """What has come so far is being taken care of."""
        self._answered = self.came
