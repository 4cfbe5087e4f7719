"""What every storage driver promises (ports.Storage), on real file systems."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from wardian.drivers.storage import lvm, zfs
from wardian.drivers.storage.btrfs import BtrfsStorage
from wardian.drivers.storage.dir import DirStorage
from wardian.drivers.storage.overlay import OverlayStorage
from wardian.errors import AlreadyExists, HostFailed, InvalidInput, NotFound, OutOfSpace
from wardian.linux import btrfs, process
from wardian.model.idmap import IdMap
from wardian.ports.storage import Storage, Volume

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: ./run-tests as root runs it"),
]

IMAGE, ONE, TWO = Volume("image", "f" * 64), Volume("container", "c1"), Volume("container", "c2")
SNAPSHOT = Volume("snapshot", "c1/snap0")
THREE = Volume("container", "c3")


DRIVERS = ["dir", "btrfs", "overlay", "overlay on ext4", "overlay on xfs"]
BOUNDED = [f"{driver} on {disk} with quotas" for driver in ("dir", "overlay") for disk in ("ext4", "xfs")]
PROJECTS = {"ext4": ("mkfs.ext4", "-q", "-O", "quota,project"), "xfs": ("mkfs.xfs", "-q")}
NEEDING = {
    driver: pytest.mark.skipif(
        not module.is_available(), reason=f"this kernel has no {what}: runs in tests/vm"
    )
    for driver, module, what in (("lvm", lvm, "device-mapper"), ("zfs", zfs, "ZFS"))
}
OTHERS = [pytest.param(name, marks=NEEDING[name[:3]]) for name in ("lvm", "lvm xfs", "lvm btrfs", "zfs")]

missing: set[str] = set()
"""What this kernel was found not to have."""


@pytest.fixture(params=[*DRIVERS, *OTHERS, *BOUNDED])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    driver, _, disk = request.param.partition(" on ")
    with tempfile.TemporaryDirectory(prefix="wardian-pool-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o711)
        async with small_disk(disk, Path(folder) / "disk"):
            made = make(driver, Path(folder) / "disk" if disk else Path(folder))
            await made.create_pool()
            yield made
            for volume in await made.volumes():
                await made.delete(volume)
            await made.delete_pool()
            assert {path.name for path in Path(folder).iterdir()} <= {"pool", "disk", "disk.img"}


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def make(driver: str, folder: Path) -> Storage:
    if driver == "dir":
        return DirStorage("test", folder / "pool")
    image, size = folder / "pool.img", 160 << 20
    if driver == "zfs":
        return zfs.ZfsStorage("test", folder / "pool", zfs.Dataset(f"wt{os.getpid()}", image, size))
    if driver.startswith("lvm"):
        group, kind = lvm.Group(f"wt{os.getpid()}", "LXDPool", image, size), driver[4:] or "ext4"
        least = {"ext4": 64, "xfs": 300, "btrfs": 128}[kind] << 20
        return lvm.LvmStorage("test", folder / "pool", group, filesystem=kind, volume_bytes=least)
    if driver == "overlay":
        return OverlayStorage("test", folder / "pool")
    return BtrfsStorage("test", folder / "pool", image=image, size_bytes=size)


@asynccontextmanager
async def small_disk(kind: str, place: Path) -> AsyncIterator[None]:
    """A file system of its own at place, or nothing for ""."""
    if not kind:
        yield
        return
    kind, _, quotas = kind.partition(" with ")
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    if quotas and f"no quotas on {kind}" in missing:
        pytest.skip("this kernel has no project quotas: runs in tests/vm")
    image = place.with_name("disk.img")
    with open(image, "wb") as file:
        file.truncate((160 if kind == "ext4" else 320) << 20)
    await process.check("make a disk", [*(PROJECTS[kind] if quotas else (f"mkfs.{kind}", "-q")), str(image)])
    place.mkdir()
    options = "loop,prjquota" if quotas else "loop"
    mounted = await process.run(["mount", "-o", options, str(image), str(place)])
    if mounted.status and quotas:
        missing.add(f"no quotas on {kind}")
        pytest.skip("this kernel has no project quotas: runs in tests/vm")
    assert mounted.status == 0, mounted.stderr
    try:
        yield
    finally:
        await process.check("unmount a disk", ["umount", str(place)])


async def fill(storage: Storage, volume: Volume, text: str = "x") -> Path:
    folder = await files_of(storage, volume)
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)
    os.chown(folder / "file", 1000, 1001)
    (folder / "file").chmod(0o4755)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/etc/shadow")
        os.link(folder / "file", folder / "hard")
    return folder


async def files_of(storage: Storage, volume: Volume) -> Path:
    assert await storage.mount(volume) is False
    return storage.path(volume) / "rootfs"


async def test_a_copy_is_whole_and_independent(storage: Storage) -> None:
    await storage.create(IMAGE)
    await fill(storage, IMAGE)
    await storage.copy(IMAGE, ONE)
    copied = await files_of(storage, ONE)
    found = (copied / "file").lstat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_nlink) == (1000, 1001, 0o4755, 2)
    assert os.readlink(copied / "link") == "/etc/shadow"
    (copied / "file").write_text("changed")
    assert (await files_of(storage, IMAGE) / "file").read_text() == "x"
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
    await fill(storage, ONE, "before")
    await storage.snapshot(ONE, SNAPSHOT)
    await fill(storage, ONE, "after")
    assert (await files_of(storage, SNAPSHOT) / "file").read_text() == "before"
    await storage.restore(SNAPSHOT, ONE)
    assert (await files_of(storage, ONE) / "file").read_text() == "before"
    (await files_of(storage, ONE) / "file").write_text("writable")
    assert await storage.volumes() == sorted([ONE, SNAPSHOT])


async def test_rename_and_delete(storage: Storage) -> None:
    await storage.create(ONE)
    await fill(storage, ONE)
    await storage.rename(ONE, TWO)
    assert await storage.volumes() == [TWO]
    await storage.delete(TWO)
    await storage.delete(TWO)
    assert await storage.volumes() == []


async def test_a_snapshot_follows_its_container_to_another_name(storage: Storage) -> None:
    await storage.create(ONE)
    await fill(storage, ONE)
    await storage.snapshot(ONE, SNAPSHOT)
    moved = Volume("snapshot", "c2/snap0")
    await storage.rename(ONE, TWO)
    await storage.rename(SNAPSHOT, moved)
    assert await storage.volumes() == [TWO, moved]
    await storage.restore(moved, TWO)
    assert (await files_of(storage, TWO) / "file").read_text() == "x"


async def test_the_sweep_removes_what_was_interrupted(storage: Storage) -> None:
    await storage.create(ONE)
    await fill(storage, ONE)
    place = next(path for path in (storage.path(ONE), storage.path(ONE).parent) if path.name == "c1")
    await storage.unmount(ONE)
    os.rename(place, place.with_name(".tmp-0123456789abcdef"))
    assert await storage.volumes() == []
    await storage.sweep()
    assert list(place.parent.iterdir()) == []


async def test_the_sweep_leaves_what_is_inside_volumes_alone(storage: Storage) -> None:
    await storage.create(ONE)
    (await fill(storage, ONE) / ".tmp-0123456789abcdef").mkdir()
    await storage.sweep()
    assert (await files_of(storage, ONE) / ".tmp-0123456789abcdef").is_dir()


async def test_no_user_of_the_host_can_run_what_a_container_has(storage: Storage) -> None:
    await storage.create(ONE)
    program = await fill(storage, ONE) / "file"
    await storage.mount(ONE)
    os.chmod(storage.path(ONE) / "rootfs", 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-e", str(program)]
    assert (await process.run(nobody)).status == 1
    assert program.exists()


async def test_no_user_of_the_host_comes_to_the_files_of_a_container(storage: Storage) -> None:
    """Programs in it may be setuid root: they would be so on the host, too."""

    def closed(volume: Volume) -> bool:
        top = storage.path(volume)
        return any(not folder.stat().st_mode & 0o007 for folder in (top, *list(top.parents)[:2]))

    await storage.create(IMAGE)
    (await fill(storage, IMAGE)).parent.chmod(0o711)
    await storage.copy(IMAGE, ONE)
    assert closed(ONE) and closed(IMAGE)
    await storage.mount(ONE)
    storage.path(ONE).chmod(0o755)
    await storage.snapshot(ONE, SNAPSHOT)
    await storage.copy(SNAPSHOT, TWO)
    await storage.unmount(ONE)
    await storage.restore(SNAPSHOT, ONE)
    assert closed(SNAPSHOT) and closed(TWO) and closed(ONE)


async def test_the_folder_of_a_custom_volume_stays_as_its_users_have_it(storage: Storage) -> None:
    volume, copied = Volume("custom", "v1"), Volume("custom", "v2")
    await storage.create(volume)
    await storage.mount(volume)
    storage.path(volume).chmod(0o1777)
    await storage.snapshot(volume, Volume("custom-snapshot", "v1/s"))
    await storage.copy(volume, copied)
    await storage.restore(Volume("custom-snapshot", "v1/s"), volume)
    for found in (volume, copied):
        await storage.mount(found)
        assert storage.path(found).stat().st_mode & 0o7777 == 0o1777


async def test_a_copy_of_what_runs_is_whole_and_independent(storage: Storage) -> None:
    await storage.create(IMAGE)
    await fill(storage, IMAGE, "image")
    await storage.copy(IMAGE, ONE)
    await storage.mount(ONE, IdMap())
    root = storage.path(ONE) / "rootfs"
    (root / "file").write_text("running")
    (root / "link").unlink()
    (root / "new").mkdir()
    await storage.copy(ONE, TWO)
    await storage.snapshot(ONE, SNAPSHOT)
    (root / "file").write_text("later")
    for volume in (TWO, SNAPSHOT):
        copied = await files_of(storage, volume)
        assert (copied / "file").read_text() == "running"
        assert sorted(os.listdir(copied)) == ["file", "hard", "new"]
    assert (root / "file").read_text() == "later"
    await storage.unmount(ONE)
    assert (await files_of(storage, ONE) / "file").read_text() == "later"
    await storage.delete(IMAGE)
    await storage.unmount(ONE)
    await storage.restore(SNAPSHOT, ONE)
    assert (await files_of(storage, ONE) / "file").read_text() == "running"


async def test_a_copy_of_what_is_written_to_is_of_one_moment(storage: Storage) -> None:
    """All that was written before the writers stand still is in it, though most was copied before."""
    await storage.create(IMAGE)
    root = await fill(storage, IMAGE, "first!")
    for name in ("gone/sub", "opaque/below"):
        (root / name).mkdir(parents=True)
    await storage.copy(IMAGE, ONE)
    await storage.mount(ONE, IdMap())
    root = storage.path(ONE) / "rootfs"
    (root / "new").write_text("before")
    later = time.time_ns() + 10**12
    os.utime(root / "new", ns=(later, later))
    stood = []

    @asynccontextmanager
    async def still() -> AsyncIterator[None]:
        (root / "file").write_text("second")
        (root / "new").write_text("after!")
        os.utime(root / "new", ns=(later, later))  # as within one tick of the clock
        shutil.rmtree(root / "gone")
        shutil.rmtree(root / "opaque")
        (root / "opaque").mkdir()
        os.setxattr(root / "opaque", "user.note", b"other")
        stood.append("begun")
        yield
        stood.append("ended")

    await storage.copy(ONE, TWO, still)
    await storage.unmount(ONE)
    if storage.traits.atomic:
        assert stood == []
        return
    assert stood == ["begun", "ended"]
    found = await files_of(storage, TWO)
    assert [(found / name).read_text() for name in ("file", "new")] == ["second", "after!"]
    assert sorted(os.listdir(found)) == ["file", "hard", "link", "new", "opaque"]
    assert os.listdir(found / "opaque") == []
    assert os.getxattr(found / "opaque", "user.note") == b"other"
    await storage.unmount(TWO)
    await storage.mount(TWO, IdMap())
    with pytest.raises(HostFailed):
        await storage.snapshot(TWO, SNAPSHOT, never)
    await storage.unmount(TWO)
    assert await storage.volumes() == [ONE, TWO, IMAGE]


@asynccontextmanager
async def never() -> AsyncIterator[None]:
    raise HostFailed("they do not stand still")
    yield


async def test_many_snapshots_keep_each_their_own(storage: Storage) -> None:
    await storage.create(ONE)
    for number in range(40):
        await fill(storage, ONE, str(number))
        await storage.snapshot(ONE, Volume("snapshot", f"c1/snap{number}"))
    for number in (0, 17, 39):
        snapshot = Volume("snapshot", f"c1/snap{number}")
        assert (await files_of(storage, snapshot) / "file").read_text() == str(number)
        await storage.unmount(snapshot)
    for number in range(39):
        await storage.delete(Volume("snapshot", f"c1/snap{number}"))
    assert (await files_of(storage, ONE) / "file").read_text() == "39"
    await storage.unmount(ONE)
    await storage.restore(Volume("snapshot", "c1/snap39"), ONE)
    assert (await files_of(storage, ONE) / "hard").exists()


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
    await fill(storage, ONE)
    try:
        await storage.set_quota(ONE, 24 << 20)
    except InvalidInput as error:
        assert "least size" in str(error)  # xfs and btrfs on LVM; what they have is larger than this pool
    await storage.mount(ONE, IdMap())
    assert not await fits(storage.path(ONE) / "rootfs/big", 192)
    await storage.unmount(ONE)


async def fits(path: Path, mib: int) -> bool:
    """Whether so much can be written to a file by a root that has to respect quotas."""
    lacking = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    argv = [*lacking, "dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"count={mib}", "conv=fsync"]
    return (await process.run(argv)).status == 0


async def test_the_size_of_a_folder_stays_with_its_volume(storage: Storage) -> None:
    if storage.driver not in ("dir", "overlay") or not storage.traits.quotas:
        pytest.skip("this pool has no project quotas")
    assert isinstance(storage, DirStorage | OverlayStorage)
    storage._projects._counted = False  # it was made when the file system had none
    await storage.create(IMAGE)
    await fill(storage, IMAGE)
    await storage.copy(IMAGE, ONE)
    await storage.open()
    assert await storage.usage(ONE) is None
    await storage.set_quota(ONE, 16 << 20)
    await storage.snapshot(ONE, SNAPSHOT)
    await storage.copy(ONE, TWO)
    await storage.restore(SNAPSHOT, ONE)
    for volume in (ONE, TWO):
        await storage.mount(volume, IdMap())
    assert not await fits(storage.path(ONE) / "rootfs/big", 20)
    assert await fits(storage.path(TWO) / "rootfs/big", 20), "a copy has a size of its own, if any"
    used = await storage.usage(TWO)
    assert used is not None and used >= 20 << 20
    (storage.path(ONE) / "rootfs/big").unlink()
    await storage.unmount(ONE)
    await storage.rename(ONE, THREE)
    await storage.mount(THREE, IdMap())
    assert not await fits(storage.path(THREE) / "rootfs/big", 20)
    await storage.set_quota(THREE, 40 << 20)
    assert await fits(storage.path(THREE) / "rootfs/big", 20)
    for volume in (TWO, THREE):
        await storage.unmount(volume)


async def test_a_copy_that_does_not_fit_leaves_nothing(storage: Storage) -> None:
    total = (await storage.space()).total
    if total > 1 << 30 or storage.traits.atomic:
        pytest.skip("this pool is on a large disk, or its copies take no space")
    await storage.create(ONE)
    await fill(storage, ONE)
    await storage.mount(ONE, IdMap())
    big = storage.path(ONE) / "rootfs/big"
    with open(big, "wb") as file:
        for _ in range(total * 6 // 10 >> 20):
            file.write(os.urandom(1 << 20))
    used = (await storage.space()).used
    try:
        await storage.copy(ONE, TWO)
    except OutOfSpace as error:
        assert "full" in str(error)
        assert await storage.volumes() == [ONE]
        assert (await storage.space()).used <= used + (1 << 20)
    else:
        assert (await storage.space()).used - used < 16 << 20, "blocks are shared"
        await storage.delete(TWO)
    assert big.stat().st_size == total * 6 // 10 >> 20 << 20
    big.unlink()
    await storage.copy(ONE, TWO)
    assert (await files_of(storage, TWO) / "file").read_text() == "x"
    await storage.unmount(ONE)


async def test_nested_subvolumes_are_copied_kept_and_deleted(storage: Storage) -> None:
    if storage.driver != "btrfs":
        pytest.skip("only btrfs has subvolumes")
    await storage.create(ONE)
    top = await fill(storage, ONE)
    for folder, name in ((top, "sub"), (top / "sub", "deeper")):
        with opened(folder) as fd:
            btrfs.create_subvolume(fd, name)
    (top / "sub/deeper/file").write_text("before")
    await storage.snapshot(ONE, SNAPSHOT)
    await storage.copy(ONE, TWO)
    (top / "sub/deeper/file").write_text("after")
    for volume in (SNAPSHOT, TWO):
        assert (storage.path(volume) / "rootfs/sub/deeper/file").read_text() == "before"
        assert btrfs.is_subvolume(storage.path(volume) / "rootfs/sub/deeper")
    await storage.restore(SNAPSHOT, ONE)
    assert (storage.path(ONE) / "rootfs/sub/deeper/file").read_text() == "before"
    (storage.path(ONE) / "rootfs/sub/deeper/file").write_text("writable")
    for volume in (ONE, TWO, SNAPSHOT):
        await storage.delete(volume)
    assert await storage.volumes() == []


async def test_many_nested_subvolumes_are_deleted(storage: Storage) -> None:
    if storage.driver != "btrfs":
        pytest.skip("only btrfs has subvolumes")
    await storage.create(ONE)
    (storage.path(ONE) / "folder").mkdir()
    for folder, count in ((storage.path(ONE) / "folder", 258), (storage.path(ONE), 2)):
        with opened(folder) as fd:
            for number in range(count):
                btrfs.create_subvolume(fd, f"{number} of them")
    with opened(storage.path(ONE)) as fd:  # the kernel tells of 255 at once
        assert len(set(btrfs.nested(fd))) == 260
        assert {"folder/257 of them", "1 of them"} <= set(btrfs.nested(fd))
    await storage.delete(ONE)
    assert await storage.volumes() == []


async def test_the_use_of_a_volume_with_a_quota_is_known(storage: Storage) -> None:
    if not storage.traits.usage:
        pytest.skip("this pool cannot tell")
    await storage.create(ONE)
    await storage.set_quota(ONE, 320 << 20 if storage.driver == "lvm" else 32 << 20)
    before = await storage.usage(ONE)
    (storage.path(ONE) / "big").write_bytes(os.urandom(4 << 20))
    os.sync()
    if storage.driver == "zfs":
        await process.check("have ZFS count", ["zpool", "sync", f"wt{os.getpid()}"])
    used = await storage.usage(ONE)
    assert before is not None and used is not None
    assert 4 << 20 <= used - before < 6 << 20
    await storage.set_quota(ONE, None)


async def test_a_pool_that_cannot_be_made_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="wardian-pool-", dir="/var/tmp") as folder:
        image = Path(folder) / "missing" / "pool.img"
        broken = BtrfsStorage("test", Path(folder) / "pool", image=image, size_bytes=160 << 20)
        with pytest.raises(HostFailed):
            await broken.create_pool()
        assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize("driver", ["dir", "overlay", "btrfs"])
async def test_a_folder_with_something_in_it_becomes_no_pool(driver: str) -> None:
    with tempfile.TemporaryDirectory(prefix="wardian-pool-", dir="/var/tmp") as folder:
        file = Path(folder) / "pool/containers/somebody's"
        file.mkdir(parents=True)
        pool = (
            BtrfsStorage("test", Path(folder) / "pool") if driver == "btrfs" else make(driver, Path(folder))
        )
        with pytest.raises(InvalidInput, match="not empty"):
            await pool.create_pool()
        assert file.exists()
