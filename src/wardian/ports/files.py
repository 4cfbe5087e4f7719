"""Files in containers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from wardian.model.idmap import IdMap
from wardian.ports.runtime import Started


@dataclass(frozen=True)
class Place:
    """Where a container's files are. started: None if it does not run; then they are in `rootfs`."""

    name: str
    started: Started | None
    rootfs: Path
    idmap: IdMap
    """Empty: privileged. Of no matter while it runs, like `shifted`."""
    shifted: bool = False
    """True: owners below `rootfs` are host ids of the map."""


@dataclass(frozen=True)
class FileInfo:
    """What is at a path. kind: file, directory, symlink, or words for what is never opened."""

    kind: str
    uid: int
    """As seen in the container, like gid."""
    gid: int
    mode: int
    size: int
    names: tuple[str, ...] = ()
    """What is in a directory, sorted."""
    target: str = ""
    """Where a symlink leads."""


@dataclass(frozen=True)
class FileWrite:
    """What a path becomes. None: what is there stays as it is, what is new gets a default."""

    kind: Literal["file", "directory", "symlink"] = "file"
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    target: str = ""
    """Of a symlink."""
    append: bool = False


class Inside(Protocol):
    """The files of one container, by a process that has its rights and its root folder.

    Raises NotFound, InvalidInput (no such action on what is there), OutOfSpace and HostFailed, all
    naming the path. Neither a path nor what it finds leads out of the container.
    """

    async def look(self, path: str, *, follow: bool = True) -> FileInfo:
        """What is there; without `follow` a link at the end is not followed."""

    async def read(self, path: str, *, follow: bool = True) -> tuple[FileInfo, AsyncIterator[bytes]]:
        """The same, and of a file exactly `size` bytes; HostFailed if it shrinks meanwhile."""

    async def write(self, path: str, wanted: FileWrite, content: AsyncIterator[bytes]) -> None:
        """Make or replace what is there. A file is there whole, or as it was before."""

    async def delete(self, path: str) -> None:
        """Remove a file, a link or an empty directory."""

    async def read_tree(self, path: str) -> AsyncIterator[bytes]:
        """A directory and all in it as a stream of model.entries."""

    async def write_tree(
        self, path: str, content: AsyncIterator[bytes], *, parents: bool, owner: Mapping[str, int]
    ) -> int:
        """Put the entries of such a stream below a directory; how many there were.

        parents: make the directory first. owner: `uid` and `gid` in place of what the entries say.
        """


class Files(Protocol):
    """The way to files of containers, whether they run or not."""

    def enter(self, place: Place) -> AbstractAsyncContextManager[Inside]:
        """A conversation with the container's files; HostFailed if it cannot be entered."""

    async def leave(self, name: str) -> None:
        """End what is under way with a container, so that nothing holds its files any more."""

    async def close(self) -> None:
        """End all."""
