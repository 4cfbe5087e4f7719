"""Sizes of volumes that are plain folders, by project quotas where the file system has them.

Each volume has a project of its own from the moment it is made, so what it uses is known at once. Its
number is nowhere but on its folder.
"""

import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path

from wardian.drivers.storage import confined, subvolumes
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import projects
from wardian.ports.storage import Traits, VolumeKind

LEAST, MOST = 1 << 16, 1 << 31
"""Numbers of projects: lower ones are for people."""
TRIES = 64
BOUND = ("container", "custom")
"""Kinds of volumes that have a project."""


class Projects:
    """Those of one pool, whose folder is `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counted = self._enforced = False

    def look(self, traits: Traits) -> Traits:
        """What the pool can do, now that its folder is there."""
        with subvolumes.folder(self._root) as fd:
            self._counted, self._enforced = projects.state(fd)
        return replace(traits, quotas=self._enforced, usage=self._counted)

    def assign(self, place: Path, kind: VolumeKind) -> None:
        """Give the empty folder of a new volume a project that nobody has, if such volumes have one."""
        if self._counted and kind in BOUND:
            with subvolumes.folder(place) as fd:
                projects.set_project(fd, self._free(fd))

    def _free(self, fd: int) -> int:
        for _ in range(TRIES):
            number = LEAST + secrets.randbelow(MOST - LEAST)
            if projects.used_and_limit(fd, number) == (0, 0):
                return number
        raise HostFailed(f'no project number is free on the file system of "{self._root}"')

    def share(self, folder: Path, owner: Path) -> None:
        """Count what will be in an empty folder to the volume at another place."""
        if self._counted and (number := self.of(owner)):
            with subvolumes.folder(folder) as fd:
                projects.set_project(fd, number)

    def of(self, place: Path) -> int:
        """The number of a volume's project; 0 if it has none."""
        if not self._counted or not place.exists():
            return 0
        with subvolumes.folder(place) as fd:
            return projects.project_of(fd)

    def usage(self, place: Path) -> int | None:
        """Bytes that the volume uses, if they are counted."""
        number = self.of(place)
        if not number:
            return None
        with subvolumes.folder(place) as fd:
            return projects.used_and_limit(fd, number)[0]

    def bound(self, place: Path, size_bytes: int | None, *trees: Path) -> None:
        """Set the limit of the volume at a place; trees: what counts besides, if it has no project yet."""
        if not self._enforced:
            if size_bytes is None:
                return
            raise InvalidInput(
                f'the file system of "{self._root}" has no project quotas: mount ext4 (made with '
                "-O quota,project) or xfs with the option prjquota, use a pool of btrfs, zfs or lvm, or "
                'leave "size" out'
            )
        if not self.of(place):
            self.assign(place, "container")
            for tree in (place, *trees):
                _give(tree, self.of(place))
        with subvolumes.folder(place) as fd:
            projects.set_limit(fd, projects.project_of(fd), size_bytes or 0)

    def pass_on(self, old: Path, new: Path) -> None:
        """The limit of a volume is that of what takes its place."""
        if self._enforced and (number := self.of(old)) != self.of(new):
            with subvolumes.folder(old) as fd:
                limit = projects.used_and_limit(fd, number)[1] if number else 0
            if limit:
                self.bound(new, limit)

    def forget(self, number: int) -> None:
        """The volume that had this project is gone."""
        if self._enforced and number:
            with subvolumes.folder(self._root) as fd:
                projects.set_limit(fd, number, 0)


def _give(tree: Path, number: int) -> None:
    """Count all that is in a tree to a project; but for links and the like, which cannot be opened."""
    with confined.shown(tree, writable=True) as top:  # no device opens there
        for _, _, files, fd in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            projects.set_project(fd, number)
            for name in files:
                if not stat.S_ISREG(os.lstat(name, dir_fd=fd).st_mode):
                    continue
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                found = os.open(name, flags, dir_fd=fd)
                try:
                    projects.set_project(found, number)
                finally:
                    os.close(found)
