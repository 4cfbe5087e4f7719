"""Programs that work on one folder of a pool and reach nothing else of the host (linux/confine.py)."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wardian.drivers.storage import sockets
from wardian.linux import confine, syscalls

FILES, ADMIN = "-", "+"
"""Rights of a program: over files alone, or also over what file systems keep for themselves: subvolumes of
btrfs, attributes in trusted.*."""


@contextmanager
def shown(folder: Path, *, writable: bool, submounts: bool = False) -> Iterator[int]:
    """A detached mount of a folder in which no device opens and nothing runs."""
    flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if submounts else 0)
    fd = syscalls.open_tree(syscalls.AT_FDCWD, folder, flags)
    attributes = syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC
    try:
        attributes |= 0 if writable else syscalls.MOUNT_ATTR_RDONLY
        # Private: what is mounted on it in there is not to appear here.
        syscalls.mount_setattr(fd, attr_set=attributes, propagation=syscalls.MS_PRIVATE, recursive=submounts)
        yield fd
    finally:
        os.close(fd)


async def run(
    program: Sequence[str],
    target: int,
    rights: str,
    *,
    stdin: int,
    stdout: int = sockets.NOWHERE,
    beside: Sequence[tuple[str, Path]] = (),
) -> tuple[int, str]:
    """(exit status, complaints) of a program in the folder that is mounted at the fd `target`.

    beside: folders that it sees read-only at other places.
    """
    with ExitStack() as held:
        more = [(held.enter_context(shown(folder, writable=False)), place) for place, folder in beside]
        words = [sys.executable, "-I", "-S", confine.__file__, rights, str(target), "-"]
        words += [f"{fd}:{place}" for fd, place in more]
        fds = [target, *(fd for fd, _ in more)]
        return await sockets.run([*words, *program], stdin=stdin, stdout=stdout, pass_fds=fds)
