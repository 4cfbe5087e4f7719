"""A daemon that stops at a point of its program; `python -m tests.system.dying` takes the words of lxd.

At SIGUSR2 it reads the point from the file `point` beside LXD_DIR: `MODULE:FUNCTION` or
`MODULE:CLASS.METHOD`, and perhaps a number n (1): it is about the nth call from then on. In place of that
call the whole process gets SIGKILL. If the word `hold` follows, the call, of an async function, connects
to the socket of this name beside LXD_DIR and goes on when that is closed, unless it is cancelled meanwhile.
"""

import asyncio
import contextlib
import functools
import importlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wardian.daemon.main import run

if TYPE_CHECKING:
    from tests.system.harness import Daemon


def die(*_: object, **__: object) -> NoReturn:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


async def stay(original: Callable[..., Any], *args: object, **options: object) -> object:
    """Wait until the test says so, then do what is asked for."""
    reader, writer = await asyncio.open_unix_connection(_beside("hold"))
    try:
        await reader.read()
    finally:
        writer.close()
    return await original(*args, **options)


def arm(*_: object) -> None:
    """Put `die` or `stay` in place of the function that the file names, for one call."""
    point, *more = _beside("point").read_text().split()
    module, path = point.split(":")
    *outer, name = path.split(".")
    holder: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    original, left, holds = getattr(holder, name), int(more[0]) if more else 1, "hold" in more
    assert callable(original)

    def instead(*args: object, **options: object) -> object:
        nonlocal left
        left -= 1
        if left:
            return original(*args, **options)
        setattr(holder, name, original)
        return stay(original, *args, **options) if holds else die()

    setattr(holder, name, instead)


def _beside(name: str) -> Path:
    return Path(os.environ["LXD_DIR"]).parent / name


def doom(daemon: "Daemon", point: str) -> None:
    """Have the daemon, which runs this program, die at the point."""
    _tell(daemon, point)


@contextlib.contextmanager
def held(daemon: "Daemon", point: str) -> Iterator[socket.socket]:
    """Have the daemon wait at the point, until the end of the block.

    Yields a socket that accepts a connection when the daemon is there.
    """
    place = daemon.folder / "hold"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()
        listening.settimeout(60)
        try:
            _tell(daemon, f"{point if ' ' in point else f'{point} 1'} hold")
            yield listening
        finally:
            place.unlink()


def _tell(daemon: "Daemon", point: str) -> None:
    (daemon.folder / "point").write_text(point)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGUSR2)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, arm)
    run()
