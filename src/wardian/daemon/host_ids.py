"""The ids that this host has for containers."""

import shutil
from pathlib import Path

from wardian.model import idmap


def default_idmap() -> idmap.IdMap | None:
    """The map that unprivileged containers share; None if there are no ids for it."""
    has_tools = all(shutil.which(tool) for tool in ("newuidmap", "newgidmap"))
    return idmap.default_map(
        subuid=_text("/etc/subuid") if has_tools else None,
        subgid=_text("/etc/subgid") if has_tools else None,
        uid_map=_text("/proc/self/uid_map") or "",
        gid_map=_text("/proc/self/gid_map") or "",
        owners=("root", "0"),
    )


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return None
