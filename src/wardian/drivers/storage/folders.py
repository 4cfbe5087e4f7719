"""Where volumes are in a pool, and the names of things in the making or on their way out.

    POOL/containers/NAME   POOL/images/FINGERPRINT   POOL/snapshots/CONTAINER/SNAPSHOT
    POOL/custom/VOLUME     POOL/custom-snapshots/VOLUME/SNAPSHOT

A volume is made under a temporary name beside its place and renamed into it as the last step; it is
renamed out of its place as the first step of its removal. So a name without the mark is whole.
"""

import os
import secrets
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wardian.errors import AlreadyExists, HostFailed, InvalidInput, NotFound, OutOfSpace, WardianError
from wardian.linux import syscalls
from wardian.model.idmap import IdMap
from wardian.ports.storage import Volume, VolumeKind

KINDS: dict[VolumeKind, tuple[str, int]] = {
    "container": ("containers", 0o711),
    "image": ("images", 0o700),
    "snapshot": ("snapshots", 0o700),
    "custom": ("custom", 0o700),
    "custom-snapshot": ("custom-snapshots", 0o700),
}
"""Modes: files may be setuid root, and no user of the host may come near them. Of containers each volume
is closed itself, but to the root of its own (`admit`)."""
NESTED: tuple[VolumeKind, ...] = ("snapshot", "custom-snapshot")
MARK = ".tmp-"
NO_SPACE = (28, 122)
"""ENOSPC, EDQUOT."""


class Folders:
    """The layout of one pool below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._wanted: Counter[Path] = Counter()
        """Folders in which something is about to be made, which are not to go."""

    def make(self) -> None:
        """The folders for each kind of volume; idempotent."""
        for name, mode in KINDS.values():
            folder = self.root / name
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)

    def tidy_all(self) -> None:
        """Remove the folders of owners that have nothing; called while nobody makes anything."""
        for kind in NESTED:
            for owner in (self.root / KINDS[kind][0]).iterdir():
                self.tidy(owner / MARK)

    def unmake(self) -> None:
        """Remove the folders, which are empty; OSError if somebody has put something there."""
        for kind, (name, _) in KINDS.items():
            folder = self.root / name
            if kind in NESTED and folder.exists():
                for nested in folder.iterdir():
                    nested.rmdir()
            with suppress(FileNotFoundError):
                folder.rmdir()

    def path(self, volume: Volume) -> Path:
        """The place of a volume."""
        parts = volume.name.split("/")
        wanted = 2 if volume.is_snapshot else 1
        if len(parts) != wanted or any(p in ("", ".", "..") or p.startswith(MARK) for p in parts):
            raise NotFound(f'"{volume.name}" is not the name of a volume')
        return self.root.joinpath(KINDS[volume.kind][0], *parts)

    def existing(self, volume: Volume) -> Path:
        """The place of a volume that exists; NotFound otherwise."""
        path = self.path(volume)
        if not path.is_dir():
            raise NotFound(f'{volume.kind} volume "{volume.name}" does not exist in {self.root}')
        return path

    @contextmanager
    def free(self, volume: Volume) -> Iterator[Path]:
        """The place of a volume that does not exist, its parent made; AlreadyExists otherwise.

        The parent stays for as long as the block lasts; then it goes if nothing was put there.
        """
        path = self.path(volume)
        if os.path.lexists(path):
            raise AlreadyExists(f'{volume.kind} volume "{volume.name}" already exists')
        with self._lock:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._wanted[path.parent] += 1
        try:
            yield path
        finally:
            with self._lock:
                self._wanted[path.parent] -= 1
            self.tidy(path)

    def tidy(self, place: Path) -> None:
        """A volume is no longer at this place: the folder of its owner goes with the last one in it."""
        if place.parent.parent == self.root:
            return
        with self._lock:
            if not self._wanted[place.parent]:
                del self._wanted[place.parent]
                with suppress(OSError):  # others are in it, or it is gone
                    place.parent.rmdir()

    def volumes(self) -> list[Volume]:
        """All whole volumes, sorted."""
        found = []
        for kind, (folder, _) in KINDS.items():
            pattern = "*/*" if kind in NESTED else "*"
            for path in (self.root / folder).glob(pattern):
                if not any(part.startswith(MARK) for part in path.parts[-2:]):
                    found.append(Volume(kind, str(path.relative_to(self.root / folder))))
        return sorted(found)

    def remains(self) -> list[Path]:
        """What interrupted calls left behind; of what is inside volumes, nothing."""
        found: list[Path] = []
        for kind, (folder, _) in KINDS.items():
            depths = ("", "*/") if kind in NESTED else ("",)
            for depth in depths:
                found += (self.root / folder).glob(f"{depth}{MARK}*")
        return found


def refuse_content(root: Path) -> None:
    """InvalidInput if there is something in the folder that is to become a pool."""
    if root.exists() and any(root.iterdir()):
        raise InvalidInput(f'"{root}" is not empty; name an empty folder as the source of the pool')


def temporary(path: Path) -> Path:
    """A fresh marked name beside the path."""
    return path.with_name(f"{MARK}{secrets.token_hex(8)}")


def settle(made: Path, place: Path) -> None:
    """Rename what was made into its place; AlreadyExists if somebody was quicker."""
    try:
        syscalls.renameat2(made, place, syscalls.RENAME_NOREPLACE)
    except FileExistsError:
        raise AlreadyExists(f'volume "{place.name}" already exists') from None


def admit(place: Path, idmap: IdMap | None) -> None:
    """Let the root of the container with this map come to its volume: at a reboot it opens it by path."""
    if idmap is not None:
        os.chown(place, 0, idmap.host_id("gid", 0) or 0)
        place.chmod(0o710)


def close(made: Path, kind: VolumeKind) -> None:
    """Nobody comes to a copy, whoever is let in to the origin; a volume of its own is as it was."""
    if kind not in ("custom", "custom-snapshot"):
        made.chmod(0o700)


def shut(made: Path, mode: int = 0o700) -> None:
    """Close the folder of a volume that was received to others, whatever the sender had."""
    os.chown(made, 0, 0, follow_symlinks=False)
    made.chmod(mode)


def check_layout(made: Path, kind: VolumeKind) -> None:
    """InvalidInput if what was received is not like a volume: no link may be at a name that is fixed."""
    if kind in ("custom", "custom-snapshot"):
        return
    fixed = {"rootfs": stat.S_ISDIR, "templates": stat.S_ISDIR, "metadata.yaml": stat.S_ISREG}
    for name, is_right in fixed.items():
        try:
            mode = (made / name).lstat().st_mode
        except FileNotFoundError:
            continue
        if not is_right(mode):
            raise InvalidInput(f'what was received is no {kind}: its "{name}" is not what it must be')


def exchange(made: Path, place: Path) -> None:
    """Put what was made in place of what is there, which is then under the temporary name."""
    syscalls.renameat2(made, place, syscalls.RENAME_EXCHANGE)


def failed(what: str, pool: str, error: OSError) -> WardianError:
    """The kernel's refusal as an error that names the pool."""
    if error.errno in NO_SPACE:
        return full(what, pool)
    return HostFailed(f'cannot {what} in storage pool "{pool}": {error.strerror} ({error.filename or "?"})')


def full(what: str, pool: str) -> OutOfSpace:
    """The error of a pool that has no space left."""
    return OutOfSpace(
        f'cannot {what}: storage pool "{pool}" is full; delete containers or images, or enlarge it'
    )
