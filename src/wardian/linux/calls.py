"""Which system calls there are, by the library that turns their names into numbers for liblxc."""

import ctypes
import functools
from collections.abc import Iterable

LIBRARY = "libseccomp.so.2"
UNKNOWN = -1
"""seccomp_syscall_resolve_name(3): __NR_SCMP_ERROR; below are calls of other architectures alone."""


@functools.cache
def _resolve() -> "ctypes._NamedFuncPointer | None":
    try:
        function = ctypes.CDLL(LIBRARY).seccomp_syscall_resolve_name
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_int
    return function


def unknown(names: Iterable[str]) -> list[str]:
    """Those of the names that no architecture has a call of; none where the library is missing."""
    resolve = _resolve()
    return [] if resolve is None else [name for name in names if resolve(name.encode()) == UNKNOWN]
