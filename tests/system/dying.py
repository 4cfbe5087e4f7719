"""A daemon that is killed at a point of its program; `python -m tests.system.dying` takes the words of lxd.

At SIGUSR2 it reads the point from the file `point` beside LXD_DIR: `MODULE:FUNCTION` or
`MODULE:CLASS.METHOD`. When that is called next, the whole process gets SIGKILL, before the function has
done anything.
"""

import functools
import importlib
import os
import signal
from pathlib import Path
from typing import Any, NoReturn

from wardian.daemon.main import run


def die(*_: object, **__: object) -> NoReturn:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def arm(*_: object) -> None:
    """Put `die` in place of the function that the file names."""
    module, path = (Path(os.environ["LXD_DIR"]).parent / "point").read_text().split(":")
    *outer, name = path.split(".")
    holder: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    assert callable(getattr(holder, name))
    setattr(holder, name, die)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, arm)
    run()
