"""What every storage driver promises (ports.Storage), on real file systems."""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wardian.drivers.storage.btrfs import BtrfsStorage
from wardian.drivers.storage.dir import DirStorage
from wardian.errors import AlreadyExists, HostFailed, InvalidInput, NotFound
from wardian.ports import Storage, Volume

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: ./run-tests as root runs it"),
]

IMAGE, ONE, TWO = Volume("image", "f" * 64), Volume("container", "c1"), Volume("container", "c2")
SNAPSHOT = Volume("snapshot", "c1/snap0")


@pytest.fixture(params=["dir", "btrfs"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    with tempfile.TemporaryDirectory(prefix="wardian-pool-", dir="/var/tmp") as folder:
        made: Storage
        if request.param == "dir":
            made = DirStorage("test", Path(folder) / "pool")
        else:
            image = Path(folder) / "pool.img"
            made = BtrfsStorage("test", Path(folder) / "pool", image=image, size_bytes=160 << 20)
        await made.create_pool()
        yield made
        for volume in await made.volumes():
            await made.delete(volume)
        await made.delete_pool()
        assert all(path.name == "pool" for path in Path(folder).iterdir())


def fill(storage: Storage, volume: Volume, text: str = "x") -> Path:
    folder = storage.path(volume) / "rootfs"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)
    os.chown(folder / "file", 1000, 1001)
    (folder / "file").chmod(0o4755)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/etc/shadow")
        os.link(folder / "file", folder / "hard")
    return folder


async def test_a_copy_is_whole_and_independent(storage: Storage) -> None:
    await storage.create(IMAGE)
    fill(storage, IMAGE)
    await storage.copy(IMAGE, ONE)
    copied = storage.path(ONE) / "rootfs"
    found = (copied / "file").lstat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_nlink) == (1000, 1001, 0o4755, 2)
    assert os.readlink(copied / "link") == "/etc/shadow"
    (copied / "file").write_text("changed")
    assert (storage.path(IMAGE) / "rootfs/file").read_text() == "x"
    await storage.delete(IMAGE)
    assert (copied / "file").read_text() == "changed"
    assert await storage.volumes() == [ONE]


async def test_names_are_taken_once(storage: Storage) -> None:
    await storage.create(ONE)
    with pytest.raises(AlreadyExists):
        await storage.create(ONE)
    await storage.create(TWO)
    with pytest.raises(AlreadyExists):
        await storage.copy(ONE, TWO)
    with pytest.raises(NotFound):
        await storage.copy(IMAGE, Volume("container", "c3"))
    assert await storage.volumes() == [ONE, TWO]


@pytest.mark.parametrize("name", ["..", "a/b", "", ".tmp-x"])
async def test_a_name_never_leaves_the_pool(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound):
        await storage.create(Volume("container", name))


async def test_a_snapshot_keeps_what_was_and_restores_it(storage: Storage) -> None:
    await storage.create(ONE)
    fill(storage, ONE, "before")
    await storage.snapshot(ONE, SNAPSHOT)
    fill(storage, ONE, "after")
    assert (storage.path(SNAPSHOT) / "rootfs/file").read_text() == "before"
    await storage.restore(SNAPSHOT, ONE)
    assert (storage.path(ONE) / "rootfs/file").read_text() == "before"
    (storage.path(ONE) / "rootfs/file").write_text("writable")
    assert await storage.volumes() == sorted([ONE, SNAPSHOT])


async def test_rename_and_delete(storage: Storage) -> None:
    await storage.create(ONE)
    fill(storage, ONE)
    await storage.rename(ONE, TWO)
    assert await storage.volumes() == [TWO]
    await storage.delete(TWO)
    await storage.delete(TWO)
    assert await storage.volumes() == []


async def test_a_snapshot_follows_its_container_to_another_name(storage: Storage) -> None:
    await storage.create(ONE)
    fill(storage, ONE)
    await storage.snapshot(ONE, SNAPSHOT)
    moved = Volume("snapshot", "c2/snap0")
    await storage.rename(ONE, TWO)
    await storage.rename(SNAPSHOT, moved)
    assert await storage.volumes() == [TWO, moved]
    await storage.restore(moved, TWO)
    assert (storage.path(TWO) / "rootfs/file").read_text() == "x"


async def test_the_sweep_removes_what_was_interrupted(storage: Storage) -> None:
    await storage.create(ONE)
    fill(storage, ONE)
    place = storage.path(ONE)
    os.rename(place, place.with_name(".tmp-0123456789abcdef"))
    assert await storage.volumes() == []
    await storage.sweep()
    assert list(place.parent.iterdir()) == []


async def test_a_pool_with_volumes_is_not_deleted(storage: Storage) -> None:
    await storage.create(ONE)
    with pytest.raises(InvalidInput):
        await storage.delete_pool()
    assert await storage.volumes() == [ONE]


async def test_opening_again_changes_nothing(storage: Storage) -> None:
    await storage.create(ONE)
    await storage.open()
    assert await storage.volumes() == [ONE]
    assert (await storage.space()).total > 0


async def test_a_quota_holds_where_there_are_quotas(storage: Storage) -> None:
    await storage.create(ONE)
    if not storage.traits.quotas:
        with pytest.raises(InvalidInput):
            await storage.set_quota(ONE, 1 << 20)
        return
    await storage.set_quota(ONE, 8 << 20)
    with pytest.raises(OSError), open(storage.path(ONE) / "big", "wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())


async def test_a_pool_that_cannot_be_made_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="wardian-pool-", dir="/var/tmp") as folder:
        image = Path(folder) / "missing" / "pool.img"
        broken = BtrfsStorage("test", Path(folder) / "pool", image=image, size_bytes=160 << 20)
        with pytest.raises(HostFailed):
            await broken.create_pool()
        assert list(Path(folder).iterdir()) == []
