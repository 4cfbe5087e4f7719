"""The Rootfs port: trees of files into volumes and out of them, confined."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from wardian.drivers.rootfs import bootstrap, pack, patch, render, templates, unpack
from wardian.model.idmap import IdMap
from wardian.model.proxies import Proxies
from wardian.ports import ImageFiles, Packed, PackedFile, PackedTree, Progress, TemplateJob


class ConfinedRootfs:
    """Archives by confined programs, templates by a bounded engine."""

    async def read_metadata(self, image: ImageFiles, idmap: IdMap) -> bytes:
        """See ports.Rootfs."""
        return await unpack.read_metadata(image, idmap)

    async def unpack(self, image: ImageFiles, folder: Path, idmap: IdMap, progress: Progress) -> None:
        """See ports.Rootfs."""
        progress("unpacking")
        await unpack.unpack(image, folder, idmap)

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
        counted: Callable[[int], None],
    ) -> Packed:
        """See ports.Rootfs."""
        return await pack.pack(parts, target, idmap, compression=compression, seal=seal, counted=counted)

    async def read_member(self, archive: Path, name: str, idmap: IdMap) -> bytes:
        """See ports.Rootfs."""
        return await unpack.read_member(archive, (name, f"./{name}"), idmap, "file")

    async def extract(self, archive: Path, member: str, folder: Path, idmap: IdMap) -> None:
        """See ports.Rootfs."""
        await unpack.extract(archive, member, folder, idmap)

    async def check_seal(self, archive: Path, seal: str, idmap: IdMap) -> None:
        """See ports.Rootfs."""
        await unpack.check_seal(archive, seal, idmap)

    def kind_of(self, path: Path) -> str:
        """See ports.Rootfs."""
        return unpack.kind_of_file(path)
