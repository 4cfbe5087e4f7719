"""Which signal asks the init of a container to halt, and whether it listens to it. Pure."""

import re
import signal

DEFAULT = signal.SIGPWR
SYSTEMD = signal.SIGRTMIN + 3
"""systemd(1): starts halt.target; it blocks the signal and reads it from a signalfd."""
_KEY = re.compile(r"^lxc\.signal\.halt\s*=\s*(\S+)\s*$", re.MULTILINE)
_RELATIVE = re.compile(r"(SIGRTMIN\+|SIGRTMAX-)([0-9]{1,2})")


def choose(config: str, blocked: int, caught: int) -> int:
    """The number of the signal. config: of liblxc; masks: of the init (proc(5))."""
    found = _KEY.findall(config)
    if found and (configured := number(found[-1])):
        return configured
    return SYSTEMD if blocked >> (SYSTEMD - 1) & 1 else DEFAULT


def is_heard(wanted: int, blocked: int, caught: int) -> bool:
    """Whether the init handles the signal or holds it back.

    The kernel drops what the first process of a namespace does neither with (pid_namespaces(7)). One
    that waits in sigtimedwait(2), as that of busybox, hears it although this says no.
    """
    return bool((blocked | caught) >> (wanted - 1) & 1)


def number(text: str) -> int | None:
    """The number of a signal as lxc.container.conf(5) names it; None if there is none."""
    if text.isascii() and text.isdigit():
        return int(text[:4]) if 0 < int(text[:4]) <= signal.SIGRTMAX else None
    if match := _RELATIVE.fullmatch(text):
        found = signal.SIGRTMIN + int(match[2]) if match[1][-1] == "+" else signal.SIGRTMAX - int(match[2])
        return found if signal.SIGRTMIN <= found <= signal.SIGRTMAX else None
    known = signal.Signals.__members__.get(text if text.startswith("SIG") else f"SIG{text}")
    return int(known) if known else None
