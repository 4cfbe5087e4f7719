"""Limits of processes (setrlimit(2)) and kernel parameters (sysctl(8)) that a container has of its own."""

import re
from collections.abc import Mapping, Sequence

from wardian.errors import InvalidInput

LIMITS = {
    "as": 9,
    "core": 4,
    "cpu": 0,
    "data": 2,
    "fsize": 1,
    "locks": 10,
    "memlock": 8,
    "msgqueue": 12,
    "nice": 13,
    "nofile": 7,
    "nproc": 6,
    "rss": 5,
    "rtprio": 14,
    "rttime": 15,
    "sigpending": 11,
    "stack": 3,
}
"""Name -> number of the resource (asm-generic/resource.h of the kernel)."""

UNLIMITED = -1

_BOUND = re.compile(r"[0-9]{1,19}|unlimited")
_SYSCTL = re.compile(
    r"net\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
    r"|fs\.mqueue\.[a-z_]+"
    r"|kernel\.(?:msg[a-z_]+|sem|shm[a-z_]+)"
)


def check_limit(name: str) -> None:
    """The NAME of `limits.kernel.NAME`."""
    if name not in LIMITS:
        raise InvalidInput(f"there is no kernel limit {_shown(name)} (only {', '.join(LIMITS)})")


def parse_limit(text: str) -> tuple[int, int]:
    """(soft, hard) of `N`, `unlimited` or `SOFT:HARD`; UNLIMITED for none."""
    soft, colon, hard = text.partition(":")
    if not _BOUND.fullmatch(soft) or (colon and not _BOUND.fullmatch(hard)):
        raise InvalidInput(f"Invalid value: {text} (a number, `unlimited`, or SOFT:HARD)")
    bounds = [UNLIMITED if bound == "unlimited" else int(bound) for bound in (soft, hard if colon else soft)]
    if max(bounds) >= 2**63:
        raise InvalidInput(f"Invalid value: {text} (a number is below {2**63})")
    if bounds[1] != UNLIMITED and not 0 <= bounds[0] <= bounds[1]:
        raise InvalidInput(f"Invalid value: {text} (the soft limit is above the hard one)")
    return bounds[0], bounds[1]


def render_limit(bounds: Sequence[int]) -> str:
    """`SOFT:HARD`, or one of them, as liblxc and prlimit(1) read it."""
    return ":".join("unlimited" if bound == UNLIMITED else str(bound) for bound in bounds)


def check_sysctl(name: str) -> None:
    """The NAME of `linux.sysctl.NAME`: parameters that each container has of its own, no others.

    Others would be the host's (Documentation/admin-guide/sysctl of the kernel; namespaces(7)).
    """
    if not _SYSCTL.fullmatch(name):
        raise InvalidInput(
            f"kernel parameter {_shown(name)} is not a container's own "
            "(only net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*)"
        )


def sysctl_path(name: str) -> str:
    """The file of a parameter below /proc/sys."""
    return name.replace(".", "/")


def limits_of(config: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """The limits that a merged configuration sets, by name."""
    return {name: parse_limit(text) for name, text in _under(config, "limits.kernel.").items()}


def sysctls_of(config: Mapping[str, str]) -> dict[str, str]:
    """The parameters that a merged configuration sets, by name."""
    return _under(config, "linux.sysctl.")


def _under(config: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in sorted(config.items())
        if value and name.startswith(prefix)
    }


def _shown(name: str) -> str:
    return ascii(name[:100]).strip("'")
