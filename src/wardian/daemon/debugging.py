"""What the daemon tells about itself: where its time and its memory go, and what it is doing."""

import asyncio
import contextlib
import cProfile
import faulthandler
import logging
import signal
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

LINES = 100
"""How many of the places that hold the most memory are listed."""
DEEP = 8
"""How many frames of a task are printed."""


@dataclass(frozen=True)
class Debugging:
    """What was asked for; nothing by default."""

    cpuprofile: str = ""
    """File for where the time went, written when the daemon ends; `python3 -m pstats FILE` reads it."""
    memprofile: str = ""
    """File for which lines hold memory, written anew at each SIGUSR1."""
    tasks_every_s: float = 0.0
    """How often to print the tasks and threads on standard error; 0: never."""

    @contextlib.contextmanager
    def profiling(self) -> Iterator[None]:
        """Around the whole run. OSError if a file cannot be written."""
        for file in filter(None, (self.cpuprofile, self.memprofile)):
            Path(file).touch()
        if self.memprofile:
            tracemalloc.start()
        if not self.cpuprofile:
            yield
            return
        profile = cProfile.Profile()
        try:
            profile.enable()
            yield
        finally:
            profile.disable()
            profile.dump_stats(self.cpuprofile)

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """While the event loop runs: SIGUSR1, and the regular print."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._write_memory)
        printing = (
            asyncio.create_task(self._print_tasks(), name="print tasks") if self.tasks_every_s else None
        )
        try:
            yield
        finally:
            if printing is not None:
                printing.cancel()

    def _write_memory(self) -> None:
        if not self.memprofile:
            log.warning("SIGUSR1: the daemon runs without --memprofile, nothing is written")
            return
        held = tracemalloc.take_snapshot().statistics("lineno")
        total = sum(place.size for place in held)
        lines = [f"{total} bytes in {sum(place.count for place in held)} blocks", *map(str, held[:LINES])]
        try:
            Path(self.memprofile).write_text("".join(f"{line}\n" for line in lines))
        except OSError as error:
            log.error('cannot write "%s": %s', self.memprofile, error.strerror)

    async def _print_tasks(self) -> None:
        while True:
            await asyncio.sleep(self.tasks_every_s)
            tasks = asyncio.all_tasks()
            print(f"{len(tasks)} tasks", file=sys.stderr)
            for task in tasks:
                task.print_stack(limit=DEEP, file=sys.stderr)
            faulthandler.dump_traceback(all_threads=True)
