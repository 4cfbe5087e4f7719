"""What LVM and ZFS promise beyond the contract: pools on what exists, and volumes that somebody holds."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_storage import NEEDING, ONE, SNAPSHOT, TWO, files_of, fill
from wardian.core import travel
from wardian.drivers.storage import lvm, zfs
from wardian.drivers.storage.attached import mounted
from wardian.drivers.storage.dir import DirStorage
from wardian.errors import HostFailed, InvalidInput, OutOfSpace
from wardian.linux import holders, mounts, process
from wardian.ports.storage import Volume

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: ./run-tests as root runs it"),
]
BOTH = [pytest.param(name, marks=NEEDING[name]) for name in ("lvm", "zfs")]
OWN = f"wt{os.getpid()}"
Attached = lvm.LvmStorage | zfs.ZfsStorage
CUSTOM = Volume("custom", "data")


def pool(driver: str, folder: Path, **place: Any) -> Attached:
    if driver == "zfs":
        return zfs.ZfsStorage("test", folder / "pool", zfs.Dataset(**{"name": OWN, **place}))
    group = lvm.Group(**{"name": OWN, "thinpool": "LXDPool", **place})
    return lvm.LvmStorage("test", folder / "pool", group, filesystem="ext4", volume_bytes=64 << 20)


@pytest.fixture(params=BOTH)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def storage(driver: str, tmp_path: Path) -> AsyncIterator[Attached]:
    made = pool(driver, tmp_path, image=tmp_path / "pool.img", size_bytes=160 << 20)
    await made.create_pool()
    yield made
    for volume in await made.volumes():
        await made.delete(volume)
    await made.delete_pool()
    assert list(tmp_path.iterdir()) == []


@asynccontextmanager
async def disk(folder: Path) -> AsyncIterator[str]:
    """An empty block device."""
    with open(folder / "disk.img", "wb") as file:
        file.truncate(160 << 20)
    argv = ["losetup", "--find", "--show", str(folder / "disk.img")]
    device = (await process.check("make a disk", argv)).decode().strip()
    yield device
    await process.check("take a disk away", ["losetup", "--detach", device])
    (folder / "disk.img").unlink()


@contextmanager
def another_namespace() -> Iterator[int]:
    """Somebody who has all that is mounted now, in a mount namespace that does not hear of changes."""
    script = "echo ready; read -r _"
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        yield other.pid
        other.communicate(b"\n")


@contextmanager
def reader(path: Path) -> Iterator[int]:
    """The pid of a process that has a file open."""
    with open(path) as file:
        other = subprocess.Popen(["sleep", "infinity"], stdin=file)
    with other:
        yield other.pid
        other.kill()


async def test_a_pool_is_there_again_after_a_boot(storage: Attached) -> None:
    for volume in (CUSTOM, ONE):
        await storage.create(volume)
    (storage.path(CUSTOM) / "file").write_text("kept")
    await storage.close()
    assert mounted(storage.path(CUSTOM).parent) is None
    await storage.open()
    assert (storage.path(CUSTOM) / "file").read_text() == "kept", "volumes of their own are in place at once"
    await fill(storage, ONE)


async def test_a_volume_that_another_namespace_has_mounted_is_deleted(storage: Attached) -> None:
    await storage.create(ONE)
    await fill(storage, ONE)
    with another_namespace() as pid:
        found = mounted(storage.path(ONE).parent)
        assert found is not None
        assert (pid, str(storage.path(ONE))) in holders.mounted_elsewhere(found.device)
        await storage.delete(ONE)
        assert await storage.volumes() == []
        assert list(holders.mounted_elsewhere(found.device)) == []


async def test_who_has_a_file_open_is_named_and_the_volume_stays(storage: Attached) -> None:
    await storage.create(ONE)
    program = await fill(storage, ONE) / "file"
    with reader(program) as pid, pytest.raises(HostFailed, match=rf"open in process {pid} \(sleep\)"):
        await storage.delete(ONE)
    assert await storage.volumes() == [ONE]
    assert (await files_of(storage, ONE) / "file").read_text() == "x"


async def test_origins_of_clones_go_in_any_order_and_leave_nothing(storage: Attached) -> None:
    await storage.create(ONE)
    await fill(storage, ONE, "first")
    await storage.snapshot(ONE, SNAPSHOT)
    later = Volume("snapshot", "c1/snap1")
    await fill(storage, ONE, "second")
    await storage.snapshot(ONE, later)
    await storage.copy(later, TWO)
    await storage.restore(SNAPSHOT, ONE)
    await storage.delete(SNAPSHOT)
    await storage.delete(later)
    assert (await files_of(storage, ONE) / "file").read_text() == "first"
    assert (await files_of(storage, TWO) / "file").read_text() == "second"
    assert len(await storage._backings()) == 2
    await storage.delete(ONE)
    await storage.delete(TWO)
    assert await storage._backings() == []
    await storage.sweep()
    if storage.driver == "zfs":
        listed = await process.check("list", ["zfs", "list", "-H", "-t", "all", "-r", "-o", "name", OWN])
        assert listed.split() == [OWN.encode()]


async def test_a_file_system_that_no_place_links_to_is_swept_away(storage: Attached) -> None:
    await storage.create(ONE)
    await storage.unmount(ONE)
    place = storage.path(ONE).parent
    (place / "backing").unlink()
    with pytest.raises(HostFailed, match="lost its file system"):
        await storage.mount(ONE)
    await storage.sweep()
    assert await storage._backings() == []


async def test_a_loop_file_grows_while_it_is_used(storage: Attached) -> None:
    await storage.create(ONE)
    before = (await storage.space()).total
    await storage.grow(320 << 20)
    assert (await storage.space()).total - before > 100 << 20
    with pytest.raises(InvalidInput, match="only be made larger"):
        await storage.grow(200 << 20)


async def test_a_full_pool_says_so_and_works_after_a_delete(storage: Attached) -> None:
    await storage.create(ONE)
    await storage.set_quota(ONE, 300 << 20)
    with pytest.raises(OSError), open(storage.path(ONE) / "big", "wb") as file:
        for _ in range(300):
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
    with pytest.raises((OutOfSpace, HostFailed)):
        for number in range(40):
            await storage.create(Volume("container", f"n{number}"))
            (storage.path(Volume("container", f"n{number}")) / "x").write_bytes(os.urandom(1 << 20))
            os.sync()
    left = await storage.volumes()
    for volume in left:
        await storage.delete(volume)
    await storage.create(TWO)
    await fill(storage, TWO)


async def test_a_pool_on_a_device(driver: str, tmp_path: Path) -> None:
    async with disk(tmp_path) as device:
        made = pool(driver, tmp_path, device=device)
        await made.create_pool()
        await made.create(ONE)
        await fill(made, ONE)
        other = pool(driver, tmp_path / "other", device=device)
        with pytest.raises(InvalidInput, match="exists already"):
            await other.create_pool()
        await made.delete(ONE)
        await made.delete_pool()
        assert {path.name for path in tmp_path.iterdir()} == {"disk.img"}


@pytest.mark.skipif("not lvm.is_available()", reason="this kernel has no device-mapper: runs in tests/vm")
async def test_a_volume_group_that_exists(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"LVM volume group '{OWN}' not found"):
        await pool("lvm", tmp_path).create_pool()
    async with disk(tmp_path) as device:
        await process.check("make a group", ["vgcreate", OWN, device])
        await process.check("make a volume", ["lvcreate", "-L", "8M", "-n", "mine", OWN])
        made = pool("lvm", tmp_path)
        await made.create_pool()
        with pytest.raises(InvalidInput, match="in use"):
            await pool("lvm", tmp_path / "other").create_pool()
        with pytest.raises(InvalidInput, match="not a thin pool"):
            await pool("lvm", tmp_path / "other", thinpool="mine").create_pool()
        await made.create(ONE)
        await made.delete(ONE)
        await made.delete_pool()
        left = await process.check("list", ["lvs", "--noheadings", "-o", "lv_name", OWN])
        assert left.split() == [b"mine"]
        await process.check("remove the group", ["vgremove", "-f", OWN])


@pytest.mark.skipif("not zfs.is_available()", reason="this kernel has no ZFS: runs in tests/vm")
async def test_a_dataset_of_a_pool_that_exists(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Invalid ZFS pool"):
        await pool("zfs", tmp_path).create_pool()
    async with disk(tmp_path) as device:
        await process.check("make a pool", ["zpool", "create", "-m", "none", OWN, device])
        made = pool("zfs", tmp_path, name=f"{OWN}/lxd")
        await made.create_pool()
        with pytest.raises(InvalidInput, match="belongs to the storage pool"):
            await pool("zfs", tmp_path / "other", name=f"{OWN}/lxd").create_pool()
        with pytest.raises(InvalidInput, match="isn't empty"):
            await pool("zfs", tmp_path / "other").create_pool()
        await made.create(ONE)
        await made.delete(ONE)
        await made.delete_pool()
        left = await process.check("list", ["zfs", "list", "-H", "-o", "name", "-r", OWN])
        assert left.split() == [OWN.encode()]
        await process.check("remove the pool", ["zpool", "destroy", OWN])


@pytest.mark.skipif("not lvm.is_available()", reason="this kernel has no device-mapper: runs in tests/vm")
async def test_a_thin_volume_grows_and_shrinks_with_its_file_system(tmp_path: Path) -> None:
    made = pool("lvm", tmp_path, image=tmp_path / "pool.img", size_bytes=160 << 20)
    await made.create_pool()
    await made.create(ONE)
    await fill(made, ONE)
    for size in (200 << 20, 32 << 20, None):
        await made.set_quota(ONE, size)
        await made.mount(ONE)
        found = os.statvfs(made.path(ONE))
        wanted = size or 64 << 20
        assert wanted * 0.7 < found.f_blocks * found.f_frsize <= wanted
        assert (made.path(ONE) / "rootfs/file").read_text() == "x"
    with pytest.raises(InvalidInput, match="its files need more"):
        await made.set_quota(ONE, 1 << 20)
    with open(made.path(ONE) / "rootfs/file"), pytest.raises(InvalidInput, match="in use"):
        await made.set_quota(ONE, 32 << 20)
    await made.delete(ONE)
    await made.delete_pool()


@pytest.mark.skipif("not lvm.is_available()", reason="this kernel has no device-mapper: runs in tests/vm")
async def test_a_volume_is_as_large_as_it_is_to_be_before_it_is_filled(tmp_path: Path) -> None:
    made, other = (
        pool("lvm", tmp_path, image=tmp_path / "pool.img", size_bytes=200 << 20),
        tmp_path / "other",
    )
    source = DirStorage("other", other)
    for storage in (made, source):
        await storage.create_pool()
    for volume in (ONE, SNAPSHOT):
        await source.create(volume)
        (source.path(volume) / "big").write_bytes(os.urandom(1 << 20) * 70)
        with pytest.raises(OutOfSpace):
            await travel.carry(source, volume, made, volume, travel.uncounted)
        with pytest.raises(OutOfSpace):
            await travel.carry(source, volume, made, volume, travel.uncounted, size_bytes=68 << 20)
        assert await made.volumes() == []
        await travel.carry(source, volume, made, volume, travel.uncounted, size_bytes=100 << 20)
        await made.mount(volume)
        assert (made.path(volume) / "big").stat().st_size == 70 << 20
        await made.delete(volume)
        await source.delete(volume)
    for storage in (made, source):
        await storage.delete_pool()


@pytest.mark.parametrize("driver", BOTH)
async def test_a_pool_that_cannot_be_made_leaves_nothing(driver: str, tmp_path: Path) -> None:
    too_small = pool(driver, tmp_path, image=tmp_path / "pool.img", size_bytes=1 << 20)
    with pytest.raises(HostFailed):
        await too_small.create_pool()
    assert list(tmp_path.iterdir()) == []
    assert not any(str(tmp_path) in mount.source for mount in mounts.mounts_below(Path("/")))
