"""Reading files inside trees that are not trusted: by descriptor, bounded, following no link."""

import os
import stat
from pathlib import Path

from wardian.linux import syscalls


def read_inside(folder: Path, name: str, *, limit: int) -> bytes | None:
    """The content of `folder/name`, or None if there is no such regular file without links on the way.

    At most `limit` bytes: ValueError if the file is larger.
    """
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = syscalls.openat2(
            root,
            name,
            os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW,
            resolve=syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS,
        )
    except OSError:
        return None
    finally:
        os.close(root)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{folder}/{name} is larger than {limit} bytes")
    return content
