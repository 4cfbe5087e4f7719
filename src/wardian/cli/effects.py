"""What a change of configuration does, in words: before and after it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHEN = {
    "now": "at once",
    "exec": "with the next command that is run in it",
    "start": "at the next start",
}


def query(*, dry_run: bool) -> str:
    """What the address of a change ends with."""
    return "?dry-run=1" if dry_run else ""


def tell(reply: Any, *, dry_run: bool) -> None:
    """Print what the reply to a change says; older servers say nothing."""
    effects: dict[str, Any] = reply if isinstance(reply, dict) else {}
    if dry_run:
        _foretell(effects)
    else:
        _remind(effects)


def _foretell(effects: dict[str, Any]) -> None:
    lines = [
        f"{name}: {what}: {WHEN[when]}"
        for name, found in sorted(effects.items())
        for what, when in (
            *found["config"].items(),
            *((f"device {device}", when) for device, when in found["devices"].items()),
        )
    ]
    print("\n".join(lines) or "No container changes.")


def _remind(effects: dict[str, Any]) -> None:
    waiting: dict[str, list[str]] = {}
    for name, found in sorted(effects.items()):
        for key, when in found["config"].items() if found["running"] else ():
            if when == "start":
                waiting.setdefault(key, []).append(name)
    for key, names in waiting.items():
        sys.stderr.write(f"{key} takes effect at the next start of {', '.join(names)}\n")
