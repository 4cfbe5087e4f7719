"""Each step of work on images and with them is a daemon's last in turn: the next start settles all."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.fakes import Faults
from wardian.core import backups, containers, images, pools, profiles, publish, recovery
from wardian.core.host import Host
from wardian.core.images import AliasWrite, Import
from wardian.core.operations import Operation
from wardian.core.pools import PoolWrite
from wardian.errors import HostFailed, WardianError
from wardian.model.requests import (
    BackupCreate,
    ContainerCreate,
    ContainerSource,
    ImageCreate,
    ImageSourceRequest,
)
from wardian.ports.rootfs import ImageFiles

METADATA = "architecture: x86_64\ncreation_date: 1\n"
Action = Callable[[Host], Awaitable[Any]]


async def finished(operation: Operation) -> None:
    await operation.finished.wait()
    if operation.err:
        raise HostFailed(operation.err)


async def take(host: Host, name: str) -> None:
    """An image whose alias is its name."""
    async with images.building(host) as folder:
        (folder / "meta").write_text(METADATA + f"properties: {{name: {name}}}\n")
        image = await images.take_in(host, ImageFiles(folder / "meta", None), Import())
    await images.create_alias(host, AliasWrite(name=name, target=image.fingerprint))


async def make(host: Host, name: str, image: str = "one") -> None:
    source = ContainerSource(type="image", alias=image)
    await finished(await containers.create(host, ContainerCreate(source=source, name=name)))


@pytest.fixture
async def ready(host: Host) -> Host:
    """A host with the images `one` and `two`, and the container c1 of the first."""
    await profiles.ensure_builtin(host)
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    await take(host, "one")
    await take(host, "two")
    await make(host, "c1")
    return host


async def export(host: Host) -> None:
    await finished(await backups.create(host, "c1", BackupCreate()))


async def publish_it(host: Host) -> None:
    source = ImageSourceRequest(type="container", name="c1")
    await finished(await publish.create(host, ImageCreate(source=source)))


async def delete(host: Host) -> None:
    await finished(await containers.delete(host, "c1"))


async def delete_image(host: Host) -> None:
    await finished(await images.delete(host, (await host.records.aliases.get("one")).target))


ACTIONS: dict[str, Action] = {
    "import": lambda host: take(host, "three"),
    "create": lambda host: make(host, "c2", "two"),
    "delete the container": delete,
    "delete the image": delete_image,
    "publish": publish_it,
    "export": export,
}


@pytest.mark.parametrize("last", range(9))
@pytest.mark.parametrize("action", ACTIONS)
async def test_whatever_step_a_daemon_dies_after_the_next_start_settles_it(
    ready: Host, faults: Faults, action: str, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies: all steps after that one fail, also those that would take something back."""

    def step(self: Faults, name: str) -> None:
        self.steps.append(name)
        if self.fail_at is not None and len(self.steps) > self.fail_at:
            raise HostFailed(f'"{name}" after the end')

    monkeypatch.setattr(Faults, "step", step)
    faults.fail_at = len(faults.steps) + last
    with contextlib.suppress(WardianError):
        await ACTIONS[action](ready)
    faults.fail_at = None
    for sweep in (recovery.sweep, backups.sweep, images.sweep):
        await sweep(ready)
    known = {image.fingerprint for image in await ready.records.images.all()}
    named = {container.name for container in await ready.records.containers.all()}
    assert {path.name for path in ready.paths.images.iterdir()} == known
    assert {alias.target for alias in await ready.records.aliases.all()} <= known
    volumes = await ready.storage.get("default").volumes()
    assert {volume.name for volume in volumes if volume.kind == "container"} == named
    assert {volume.name for volume in volumes if volume.kind == "image"} <= known
    packed = {backup.file for backup in await ready.records.backups.all()}
    assert {path.name for path in ready.paths.backups.iterdir()} == packed
    assert not any(c.pending for c in await ready.records.containers.all())
    assert named <= {"c1", "c2"} and len(known) in (1, 2, 3)
