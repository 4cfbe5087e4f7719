"""How far a transfer is, told to whoever watches its operation."""

import asyncio

from wardian.core.operations import Operation
from wardian.model.units import shown_bytes

PAUSE_S = 0.25
"""Time between two reports."""
GUESS_S = 2.0
"""After this long the speed says something about the time that is left."""


class Meter:
    """Counts a transfer of `total` bytes (None: nobody knows) and publishes percentage, speed, time left.

    Of an unknown total there may be a guess: what follows from it has a ~ before it.
    """

    def __init__(self, operation: Operation, stage: str, total: int | None) -> None:
        self._operation, self._stage, self._total = operation, stage, total
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._told = 0.0

    def __call__(self, position: int, about: int | None = None) -> None:
        """So many bytes are there by now, of about so many where no total is known."""
        now = self._clock()
        is_last = position == self._total
        if now - self._told < PAUSE_S and not is_last:
            return
        self._told = now
        total, is_guess = (about, True) if self._total is None else (self._total, False)
        text, details = report(position, total, now - self._began, is_guess=is_guess)
        self._operation.progress(self._stage, text, **details)


def report(
    position: int, total: int | None, elapsed_s: float, *, is_guess: bool = False
) -> tuple[str, dict[str, str]]:
    """(text for people, numbers for programs) of so many bytes in so many seconds."""
    speed = position / max(elapsed_s, 0.001)
    details = {"processed": str(position), "speed": str(round(speed))}
    if not total:
        return f"{shown_bytes(position)} ({shown_bytes(speed)}/s)", details
    mark = "~" if is_guess else ""
    percent = min(100 * position // total, 99 if is_guess else 100)
    can_tell = elapsed_s >= GUESS_S and 0 < position < total
    left = f", {mark}{round((total - position) / speed)}s left" if can_tell else ""
    details |= {"percent": str(percent)} | ({"estimate": "true"} if is_guess else {})
    return f"{mark}{percent}% ({shown_bytes(speed)}/s{left})", details
