"""Images made from containers and snapshots."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from wardian.core import containers, images, snapshots
from wardian.core.host import Host
from wardian.core.images import AliasWrite, Import
from wardian.core.operations import Operation
from wardian.core.progress import Meter
from wardian.errors import AlreadyExists, InvalidInput
from wardian.linux import files
from wardian.model import image as image_model
from wardian.model import server_keys
from wardian.model.container import Container
from wardian.model.idmap import IdMap
from wardian.model.requests import ImageCreate
from wardian.ports.rootfs import ImageFiles, PackedFile, PackedTree
from wardian.ports.storage import Volume

KINDS = {"container": False, "instance": False, "snapshot": True}
"""Type of the source -> whether it is a snapshot."""


async def create(host: Host, request: ImageCreate) -> Operation:
    """Begin to make an image of a stopped container or of a snapshot."""
    name, is_snapshot = request.source.name, KINDS[request.source.type]
    if is_snapshot != ("/" in name):
        raise InvalidInput("Not a snapshot" if is_snapshot else "This is a snapshot")
    compression = await chosen_compression(host, request.compression_algorithm)
    container, volume = await source_of(host, name)
    about = Import(
        filename=Path(request.filename).name, public=request.public, auto_update=request.auto_update
    )
    wanted = [AliasWrite(name=a.name, description=a.description) for a in request.aliases or []]

    async def work(operation: Operation) -> dict[str, Any]:
        async with host.once("publish"), host.operations.lock(name, "publish"):
            if name in host.running:
                raise InvalidInput("Cannot export a running container as an image")
            image = await _publish(
                host, container, volume, request.properties, about, compression, operation
            )
        for alias in wanted:
            await images.create_alias(
                host, AliasWrite(name=alias.name, target=image.fingerprint, description=alias.description)
            )
        return {"fingerprint": image.fingerprint, "size": str(image.size)}

    listed = containers.resources(container.name)
    return host.operations.start("Publishing container", work, resources=listed, may_cancel=True)


async def source_of(host: Host, name: str) -> tuple[Container, Volume]:
    """The container as it is, or was when the snapshot was taken, and where its files are."""
    container = await containers.get(host, name.partition("/")[0])
    if "/" not in name:
        return container, containers.volume(name)
    snapshot = await snapshots.get(host, container.name, name.partition("/")[2])
    return snapshots.as_container(snapshot, container.pool), snapshots.volume_of(snapshot.name)


async def chosen_compression(host: Host, wanted: str) -> str:
    """The way of compression that is asked for, else the one that is configured."""
    if wanted:
        if wanted not in server_keys.COMPRESSIONS:
            known = " ".join(server_keys.COMPRESSIONS)
            raise InvalidInput(f'compression "{wanted}" is not one of [{known}]')
        return wanted
    return server_keys.value(await host.records.server.get(), server_keys.COMPRESSION)


@asynccontextmanager
async def mounted(host: Host, pool: str, volume: Volume) -> AsyncIterator[Path]:
    """The folder of a volume, with its files in place."""
    storage = host.storage.get(pool)
    await storage.mount(volume)
    try:
        yield storage.path(volume)
    finally:
        await storage.unmount(volume)


async def _publish(
    host: Host,
    container: Container,
    volume: Volume,
    properties: Mapping[str, str] | None,
    about: Import,
    compression: str,
    operation: Operation,
) -> Any:
    async with AsyncExitStack() as held:
        folder = await held.enter_async_context(mounted(host, container.pool, volume))
        building = await held.enter_async_context(images.building(host))
        metadata = _metadata(folder, container, properties)
        names = [
            n for n in ("rootfs", "templates") if (folder / n).is_dir() and not (folder / n).is_symlink()
        ]
        built = ImageFiles(building / "meta", None)
        packed = await host.rootfs.pack(
            [PackedFile("metadata.yaml", metadata), PackedTree(folder, names)],
            built.metadata,
            host.idmap or IdMap(),
            compression=compression,
            counted=Meter(operation, "create_image_from_container_pack", None),
        )
        if await host.records.images.find(packed.sha256) is not None:
            raise AlreadyExists(f"The image already exists: {packed.sha256}")
        return await images.take_in(host, built, about, packed)


def _metadata(folder: Path, container: Container, properties: Mapping[str, str] | None) -> bytes:
    """The metadata.yaml of the image: that of the container, or one made for it."""
    try:
        present = files.read_inside(folder, "metadata.yaml", limit=image_model.METADATA_BYTES)
    except ValueError as error:
        raise InvalidInput(f'container "{container.name}": {error}') from error
    if not present:
        return image_model.metadata_text(
            architecture=container.architecture,
            created=int(container.created_at.timestamp()),
            properties=properties or {},
            templates={},
        ).encode()
    image_model.parse_metadata(present)
    return image_model.with_properties(present, properties) if properties else present
