"""Which logs of containers are kept how long (spec/behaviour.md section 21)."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

HOUR_S = 3600.0
UNCHANGED_S = 48 * HOUR_S
GONE_S = 24 * HOUR_S
KEPT = ("lxc.conf",)
BEING_WRITTEN = ("lxc.log", "console.log")
"""What the monitor of a running container has open."""


def expire(top: Path, known: Collection[str], running: Collection[str], now: float) -> None:
    """Remove what is due from the folders of containers below `top`; now: seconds since 1970."""
    for folder in top.iterdir():
        if not folder.is_dir() or folder.is_symlink():
            continue
        if folder.name not in known:
            if max(map(_changed, (folder, *folder.iterdir()))) < now - GONE_S:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        for file in _expiring(folder, folder.name in running):
            if _changed(file) < now - UNCHANGED_S:
                file.unlink(missing_ok=True)


def _expiring(folder: Path, is_running: bool) -> Iterator[Path]:
    kept = (*KEPT, *(BEING_WRITTEN if is_running else ()))
    return (file for file in folder.iterdir() if file.name not in kept and not file.is_dir())


def _changed(path: Path) -> float:
    """When it was changed; now and for ever if it has just gone."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")
