"""Layers of the driver `overlay`: trees that volumes share, and what each volume is stacked from.

    POOL/layers/ID/fs      the files of a layer      POOL/layers/ID/work   overlay's own, if it takes changes
    PLACE/chain            which layers a volume has; no such file: its files are in the volume itself

What a layer is, its users decide: one chain at most names it as its upper, which takes changes; as
a lower it is frozen, and any number of chains name it. So an upper is frozen, and a new one begun,
by replacing one small file. A layer that no chain names is not needed any more.
"""

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wardian.drivers.storage import folders
from wardian.drivers.storage.projects import Projects
from wardian.errors import HostFailed
from wardian.linux import overlay

FOLDER = "layers"
CHAIN = "chain"
CHAIN_BYTES = 65536


@dataclass(frozen=True)
class Chain:
    """The layers of a volume. upper: the one that takes changes, or empty; lower: topmost first."""

    upper: str
    lower: tuple[str, ...]

    def names(self) -> set[str]:
        """All layers."""
        return {*self.lower, self.upper} - {""}


class Layers:
    """The layers of one pool. The caller sees to it that one call at a time changes something."""

    def __init__(self, root: Path, projects: Projects) -> None:
        self.folder = root / FOLDER
        self._projects = projects

    def make(self) -> None:
        """The folder for layers; idempotent."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)

    def files(self, name: str) -> Path:
        """The files of a layer."""
        return self.folder / name / "fs"

    def read(self, place: Path, rootfs: Path) -> Chain | None:
        """The chain of a volume at place, None if its files are in `rootfs` itself.

        An interrupted `begin` is finished.
        """
        try:
            text = (place / CHAIN).read_bytes()[:CHAIN_BYTES]
        except FileNotFoundError:
            return None
        try:
            upper, *lower = json.loads(text)
            chain = Chain(str(upper), tuple(map(str, lower)))
        except (ValueError, TypeError) as error:
            raise HostFailed(f'"{place / CHAIN}" is damaged: {error}') from error
        if not self.files(chain.lower[-1]).exists():
            self._move_in(rootfs, chain.lower[-1])
        return chain

    def write(self, place: Path, chain: Chain) -> None:
        """Give a volume this chain; before or after a crash, never in between."""
        made = folders.temporary(place / CHAIN)
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            json.dump([chain.upper, *chain.lower], file)
            file.flush()
            os.fsync(fd)
        os.rename(made, place / CHAIN)

    def new(self, like: Path, owner: Path) -> str:
        """An empty layer to take changes, its top folder like that of a tree it will lie over.

        owner: the place of the volume whose changes they are.
        """
        name = secrets.token_hex(6)
        (self.folder / name).mkdir(mode=0o700)
        self._projects.share(self.folder / name, owner)
        (self.folder / name / "work").mkdir(mode=0o700)
        self.files(name).mkdir()
        copy_attributes(like, self.files(name))
        return name

    def begin(self, place: Path, rootfs: Path, *, changes: bool) -> Chain:
        """Make the files of a volume without layers its first one; rootfs is then an empty folder."""
        lowest = secrets.token_hex(6)
        upper = self.new(rootfs, place) if changes else ""
        (self.folder / lowest).mkdir(mode=0o700)
        chain = Chain(upper, (lowest,))
        self.write(place, chain)
        self._move_in(rootfs, lowest)
        return chain

    def _move_in(self, rootfs: Path, name: str) -> None:
        os.rename(rootfs, self.files(name))
        rootfs.mkdir(mode=0o755)

    def frozen(self, chain: Chain, owner: Path) -> Chain:
        """The chain with its upper frozen and a new one begun; the same if nothing was changed.

        owner: the place of its volume.
        """
        if not chain.upper or self._is_unchanged(chain):
            return chain
        return Chain(self.new(self.files(chain.upper), owner), (chain.upper, *chain.lower))

    def _is_unchanged(self, chain: Chain) -> bool:
        upper, below = self.files(chain.upper), self.files(chain.lower[0])
        with os.scandir(upper) as entries:
            if any(entries):
                return False
        present, before = upper.lstat(), below.lstat()
        return (present.st_mode, present.st_uid, present.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )

    def flatten(self, place: Path, lower: tuple[str, ...], flat: str) -> None:
        """Put one layer in place of those that it was made from, if the volume has just these."""
        try:
            upper, *present = json.loads((place / CHAIN).read_bytes())
        except FileNotFoundError:
            return
        if tuple(present) == lower and (not upper or self._is_unchanged(Chain(upper, lower))):
            self.write(place, Chain(upper, (flat,)))

    def forget(self, place: Path) -> None:
        """The volume has no layers any more."""
        (place / CHAIN).unlink()

    def discard(self, candidates: Iterable[str], places: Iterable[Path]) -> list[Path]:
        """Take layers that no volume at the places names out of the way; the caller removes them."""
        used: set[str] = set()
        for place in places:
            try:
                used |= set(json.loads((place / CHAIN).read_bytes()))
            except FileNotFoundError:
                continue
        doomed = []
        for name in set(candidates) - used:
            gone = self.folder / f"{folders.MARK}{name}"
            try:
                os.rename(self.folder / name, gone)
            except FileNotFoundError:
                continue
            doomed.append(gone)
        return doomed

    def all(self) -> list[str]:
        """Names of all layers, remains of interrupted calls included."""
        return os.listdir(self.folder)


def copy_attributes(source: Path, target: Path) -> None:
    """Give a folder the owner, mode and extended attributes of another; not what overlay keeps there."""
    found = source.lstat()
    os.chown(target, found.st_uid, found.st_gid)
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(overlay.PRIVATE):
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
    os.chmod(target, found.st_mode & 0o7777)
