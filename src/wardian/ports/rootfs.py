"""Root file systems: unpacked from images, packed, templates rendered in them."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wardian.model.idmap import IdMap
from wardian.model.proxies import Proxies

Progress = Callable[[str], None]
"""Called with a text for people, e.g. `42% (120.00MB/s)`; at most a few times a second."""


Received = Callable[[int], None]
"""Called with the bytes of a file that are here by now; often."""


class Counted(Protocol):
    """Called with the bytes that are done by now; often. about: how many it will be, once guessed."""

    def __call__(self, position: int, about: int | None = None) -> None: ...


@dataclass(frozen=True)
class ImageFiles:
    """The one or two files of an image. rootfs None: unified tarball."""

    metadata: Path
    rootfs: Path | None


@dataclass(frozen=True)
class TemplateJob:
    """One template. source: file name below `templates/`; target: absolute path in the container."""

    source: str
    target: str
    create_only: bool
    context: Mapping[str, object]


@dataclass(frozen=True)
class PackedFile:
    """A file of ours in an archive: owned by root, its time fixed."""

    name: str
    content: bytes


@dataclass(frozen=True)
class PackedTree:
    """Files of a volume in an archive. names: which of the folder; prefix: what goes before each name."""

    folder: Path
    names: Sequence[str]
    prefix: str = ""


@dataclass(frozen=True)
class Packed:
    """An archive that was written. size: bytes."""

    sha256: str
    size: int


class Rootfs(Protocol):
    """Puts trees of files into volumes and takes them out, confined: content is never trusted."""

    async def read_metadata(self, image: ImageFiles, idmap: IdMap) -> bytes:
        """The bytes of `metadata.yaml` (at most 1 MiB); InvalidInput if missing, huge or no archive."""

    async def unpack(self, image: ImageFiles, folder: Path, idmap: IdMap, received: Received) -> None:
        """Fill an empty volume folder with `metadata.yaml`, `templates/`, `rootfs/`.

        received: called with the bytes of the image's files that are unpacked by now.
        InvalidInput for hostile or broken archives, OutOfSpace when the disk is full. The caller
        removes the folder on failure.
        """

    async def bootstrap(
        self, suite: str, architecture: str, target: ImageFiles, proxies: Proxies, progress: Progress
    ) -> dict[str, str]:
        """Build a split image of a Debian suite from the distribution's packages; returns its properties."""

    async def apply_templates(self, folder: Path, jobs: Sequence[TemplateJob]) -> None:
        """Render templates of the volume into its root file system; neither leaves the volume."""

    def can_patch(self) -> bool:
        """Whether `patch` works on this host."""

    async def patch(self, base: Path, delta: Path, target: Path, size: int, idmap: IdMap) -> None:
        """Make a new file, of `size` bytes at most, out of an old one and a VCDIFF beside the new one.

        InvalidInput if the difference is broken or for another file. The caller verifies the result.
        """

    async def pack(
        self,
        parts: Sequence[PackedFile | PackedTree],
        target: Path,
        idmap: IdMap,
        *,
        compression: str,
        seal: str = "",
        counted: Counted,
    ) -> Packed:
        """Write a tar archive to a new path; the same parts always make the same bytes.

        compression: as of images.compression_algorithm. seal: name of a last file that holds the
        sha256 of all that comes before it, uncompressed. counted: for uncompressed bytes. The caller
        removes the target on failure.
        """

    async def read_member(self, archive: Path, name: str, idmap: IdMap) -> bytes:
        """The bytes of a file in a tar archive (at most 1 MiB); InvalidInput if missing or huge."""

    def stream_member(self, archive: Path, name: str, idmap: IdMap) -> AsyncGenerator[bytes, None]:
        """The bytes of a file in a tar archive, piece by piece; InvalidInput at the end if it is missing."""

    async def refuse_devices(self, folder: Path) -> None:
        """InvalidInput if there are device nodes in a tree that nobody changes; whiteouts are none."""

    async def extract(self, archive: Path, member: str, folder: Path, idmap: IdMap) -> None:
        """Fill an empty volume folder with a folder of a tar archive; errors as of `unpack`."""

    async def check_seal(self, archive: Path, seal: str, idmap: IdMap) -> None:
        """InvalidInput unless the archive is whole: its last file, of that name, is a `pack` seal."""

    async def can_map(self, folder: Path) -> bool:
        """Whether owners below the folder can be shown through an id map instead of being rewritten."""

    async def shift_owners(self, tree: Path, old: IdMap, new: IdMap) -> None:
        """Give the tree the owners that it has under `new` instead of `old` (empty: unshifted).

        What a failure leaves is a mixture of both: call it on a copy.
        """

    def kind_of(self, path: Path) -> str:
        """The format of an image file: bz2 gz xz zst lzma squashfs tar; InvalidInput otherwise."""
