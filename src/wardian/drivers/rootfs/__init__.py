"""The Rootfs port: trees of files into volumes and out of them, confined."""

import asyncio
import errno
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from wardian.drivers.rootfs import bootstrap, owners, pack, patch, render, templates, unpack
from wardian.errors import HostFailed, OutOfSpace
from wardian.model.idmap import IdMap
from wardian.model.proxies import Proxies
from wardian.ports.rootfs import (
    Counted,
    ImageFiles,
    Packed,
    PackedFile,
    PackedTree,
    Progress,
    Received,
    TemplateJob,
)


class ConfinedRootfs:
    """Archives by confined programs, templates by a bounded engine."""

    async def read_metadata(self, image: ImageFiles, idmap: IdMap) -> bytes:
        """See ports.Rootfs."""
        return await unpack.read_metadata(image, idmap)

    def __init__(self) -> None:
        self._mapping: dict[int, bool] = {}

    async def unpack(self, image: ImageFiles, folder: Path, idmap: IdMap, received: Received) -> None:
        """See ports.Rootfs."""
        await unpack.unpack(image, folder, idmap, received, mapped=await self.can_map(folder))

    async def can_map(self, folder: Path) -> bool:
        """See ports.Rootfs. A file system is asked once."""
        device = folder.stat().st_dev
        if device not in self._mapping:
            self._mapping[device] = await unpack.can_map(folder)
        return self._mapping[device]

    async def shift_owners(self, tree: Path, old: IdMap, new: IdMap) -> None:
        """See ports.Rootfs."""
        try:
            await asyncio.to_thread(owners.rewrite, tree, old, new)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfSpace(f'no space left to change the owners below "{tree}"') from error
            where = f" ({error.filename})" if error.filename else ""
            raise HostFailed(f'cannot change the owners below "{tree}": {error.strerror}{where}') from error

    async def bootstrap(
        self, suite: str, architecture: str, target: ImageFiles, proxies: Proxies, progress: Progress
    ) -> dict[str, str]:
        """See ports.Rootfs."""
        return await bootstrap.build(suite, architecture, target, proxies, progress)

    async def apply_templates(self, folder: Path, jobs: Sequence[TemplateJob]) -> None:
        """See ports.Rootfs."""
        for job in jobs:
            text = await asyncio.to_thread(templates.read, folder, job)
            if text is not None:
                rendered = await render.render(text, job)
                await asyncio.to_thread(templates.write, folder, job.target, rendered)

    def can_patch(self) -> bool:
        """See ports.Rootfs."""
        return patch.is_possible()

    async def patch(self, base: Path, delta: Path, target: Path, size: int, idmap: IdMap) -> None:
        """See ports.Rootfs."""
        await patch.patch(base, delta, target, size, idmap)

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
        """See ports.Rootfs."""
        return await pack.pack(parts, target, idmap, compression=compression, seal=seal, counted=counted)

    async def read_member(self, archive: Path, name: str, idmap: IdMap) -> bytes:
        """See ports.Rootfs."""
        return await unpack.read_member(archive, (name, f"./{name}"), idmap, "file")

    def stream_member(self, archive: Path, name: str, idmap: IdMap) -> AsyncGenerator[bytes, None]:
        """See ports.Rootfs."""
        return unpack.stream_member(archive, name, idmap)

    async def refuse_devices(self, folder: Path) -> None:
        """See ports.Rootfs."""
        await asyncio.to_thread(unpack.refuse_devices, folder)

    async def extract(self, archive: Path, member: str, folder: Path, idmap: IdMap) -> None:
        """See ports.Rootfs."""
        await unpack.extract(archive, member, folder, idmap, mapped=await self.can_map(folder))

    async def check_seal(self, archive: Path, seal: str, idmap: IdMap) -> None:
        """See ports.Rootfs."""
        await unpack.check_seal(archive, seal, idmap)

    def kind_of(self, path: Path) -> str:
        """See ports.Rootfs."""
        return unpack.kind_of_file(path)
