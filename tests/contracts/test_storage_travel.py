"""What every storage driver promises of volumes that travel (ports.Storage), on real file systems."""

import asyncio
import os
import socket
import struct
import threading
from pathlib import Path

import pytest

from tests.contracts.test_storage import IMAGE, ONE, SNAPSHOT, TWO, files_of, fill, pytestmark, storage
from tests.fakes import FakeStorage, Faults
from wardian.drivers.storage.dir import DirStorage
from wardian.errors import AlreadyExists, HostFailed, InvalidInput, WardianError
from wardian.linux import btrfs, process
from wardian.model.idmap import IdMap
from wardian.ports.storage import Storage, Volume

__all__ = ["pytestmark", "storage"]

THREE, COPIED = Volume("container", "c3"), Volume("snapshot", "c2/snap0")
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
NOBODY = 0xFFFFFFFF
ACL = struct.pack(
    "<I" + "HHI" * 5,
    *(2, 1, 7, NOBODY, 2, 5, 1000, 4, 5, NOBODY, 16, 7, NOBODY, 32, 0, NOBODY),
)


async def travel(
    source: Storage,
    volume: Volume,
    target: Storage,
    made: Volume,
    transport: str,
    base: Volume | None = None,
    base_there: Volume | None = None,
) -> int:
    """Send a volume from one pool to another; the bytes that the sender wrote."""
    near, near_relay = socket.socketpair()
    far_relay, far = socket.socketpair()
    with near, near_relay, far_relay, far:
        for end in (near_relay, far_relay):
            end.setblocking(False)
        back = asyncio.create_task(pump(far_relay, near_relay))
        forth = asyncio.create_task(pump(near_relay, far_relay))
        receiving = asyncio.create_task(target.receive(made, far.fileno(), transport, base_there))
        sending = asyncio.create_task(source.send(volume, near.fileno(), transport, base))
        results = await asyncio.gather(receiving, sending, return_exceptions=True)
        far.shutdown(socket.SHUT_RDWR)
        near.shutdown(socket.SHUT_RDWR)
        count, _ = await asyncio.gather(forth, back)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return count


async def pump(source: socket.socket, target: socket.socket) -> int:
    loop, count = asyncio.get_running_loop(), 0
    try:
        while chunk := await loop.sock_recv(source, 1 << 16):
            count += len(chunk)
            await loop.sock_sendall(target, chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return count


async def furnish(storage: Storage, volume: Volume) -> Path:
    """A volume with everything that files can have."""
    await storage.create(volume)
    (storage.path(volume) / "metadata.yaml").write_text("architecture: x86_64\n")
    root = await fill(storage, volume)
    root.chmod(0o755)
    os.chown(root / "link", 7, 70000, follow_symlinks=False)
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket"))
    with open(root / "holes", "wb") as file:
        file.truncate(8 << 20)
        file.write(b"begin")
    (root / "sub").mkdir(mode=0o2750)
    (root / "sub" / "näme\nwith everything").write_text("y")
    os.setxattr(root / "file", "security.capability", CAPABILITY)
    os.setxattr(root / "sub", "system.posix_acl_access", ACL)
    os.setxattr(root / "sub", "user.note", b"kept")
    os.utime(root / "file", ns=(10**18 + 1, 10**18 + 123456789))
    return root


def attributes(path: Path) -> dict[str, bytes]:
    """The extended attributes, without those in which file systems keep theirs."""
    names = [] if path.is_symlink() else os.listxattr(path)
    return {name: os.getxattr(path, name) for name in names if not name.startswith("trusted.")}


def seen(root: Path) -> dict[str, object]:
    """What matters of every file below a folder."""
    found: dict[str, object] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status = path.lstat()
        row: list[object] = [status.st_mode, status.st_uid, status.st_gid, status.st_rdev]
        row += [status.st_nlink if path.is_file() else 0, 0 if path.is_dir() else status.st_mtime_ns]
        row.append(attributes(path))
        row.append(os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b"")
        found[str(path.relative_to(root))] = row
    return found


async def test_a_volume_arrives_as_it_was(storage: Storage) -> None:
    assert storage.transports()[-1] == "rsync"
    before = seen(await furnish(storage, ONE))
    for number, transport in enumerate(storage.transports()):
        made = Volume("container", f"arrived{number}")
        await storage.unmount(ONE)
        await travel(storage, ONE, storage, made, transport)
        root = await files_of(storage, made)
        assert seen(root) == before
        assert (root / "holes").stat().st_blocks < 1000
        assert (storage.path(made) / "metadata.yaml").read_text() == "architecture: x86_64\n"
        assert storage.path(made).stat().st_mode & 0o066 == 0
        (root / "file").write_text("writable")
        with pytest.raises(AlreadyExists):
            await travel(storage, ONE, storage, made, transport)
        await storage.unmount(made)
    assert seen(await files_of(storage, ONE)) == before
    assert len(await storage.volumes()) == 1 + len(storage.transports())


async def test_what_runs_is_sent_with_unshifted_owners(storage: Storage) -> None:
    await storage.create(IMAGE)
    await fill(storage, IMAGE)
    await storage.copy(IMAGE, ONE)
    shifted = await storage.mount(ONE, IdMap.contiguous(1000000, 65536))
    root = storage.path(ONE) / "rootfs"
    if not shifted:
        (root / "file").write_text("running")
    await travel(storage, ONE, storage, TWO, "rsync")
    found = (await files_of(storage, TWO) / "file").lstat()
    assert (found.st_uid, found.st_gid) == (1000, 1001)
    await storage.unmount(ONE)


async def test_with_a_base_only_the_difference_travels(storage: Storage) -> None:
    root = await furnish(storage, ONE)
    (root / "large").write_bytes(os.urandom(4 << 20))
    await storage.snapshot(ONE, SNAPSHOT)
    for transport in storage.transports():
        whole = await travel(storage, SNAPSHOT, storage, COPIED, transport)
        assert whole > 4 << 20
        if transport != "rsync":
            assert await storage.origin(SNAPSHOT) == await storage.origin(COPIED) != ""
        root = await files_of(storage, ONE)
        (root / "file").write_text(f"changed for {transport}")
        (root / "gone").touch()
        await storage.unmount(ONE)
        less = await travel(storage, ONE, storage, TWO, transport, SNAPSHOT, COPIED)
        assert less < 1 << 20
        assert seen(await files_of(storage, TWO)) == seen(await files_of(storage, ONE))
        assert (await files_of(storage, COPIED) / "file").read_text() == "x"
        for volume in (TWO, COPIED):
            await storage.unmount(volume)
            await storage.delete(volume)


async def test_refresh_brings_a_volume_up_to_date(storage: Storage) -> None:
    root = await furnish(storage, ONE)
    (root / "large").write_bytes(os.urandom(4 << 20))
    await storage.unmount(ONE)
    await travel(storage, ONE, storage, TWO, "rsync")
    (await files_of(storage, TWO) / "only here").touch()
    await storage.unmount(TWO)
    (await files_of(storage, ONE) / "file").write_text("newer")
    await storage.unmount(ONE)
    near, far = socket.socketpair()
    with near, far:
        await asyncio.gather(storage.refresh(TWO, far.fileno()), storage.send(ONE, near.fileno(), "rsync"))
    assert seen(await files_of(storage, TWO)) == seen(await files_of(storage, ONE))
    await storage.unmount(TWO)
    near, far = socket.socketpair()
    with far:
        near.close()
        with pytest.raises(HostFailed, match="ended the transfer"):
            await storage.refresh(TWO, far.fileno())
    assert (await files_of(storage, TWO) / "file").read_text() == "newer"


async def test_what_fails_leaves_nothing(storage: Storage) -> None:
    root = await furnish(storage, ONE)
    (root / "large").write_bytes(os.urandom(4 << 20))
    await storage.unmount(ONE)
    for transport in storage.transports():
        near, far = socket.socketpair()
        with near, far:
            sending = asyncio.create_task(storage.send(ONE, near.fileno(), transport))
            await process.wait_readable(far.fileno())
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            with pytest.raises(WardianError):
                await storage.receive(TWO, far.fileno(), transport)
        near, far = socket.socketpair()
        with near, far:
            # The one that speaks first begins alone: the other could be through before we look.
            first, second = (
                storage.receive(TWO, far.fileno(), transport),
                storage.send(ONE, near.fileno(), transport),
            )
            if transport == "rsync":
                receiving = asyncio.create_task(first)
                await process.wait_readable(near.fileno())
                receiving.cancel()
                sending = asyncio.create_task(second)
            else:
                sending = asyncio.create_task(second)
                await process.wait_readable(far.fileno())
                receiving = asyncio.create_task(first)
                await asyncio.sleep(0)
                receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving
            with pytest.raises(HostFailed):
                await sending
        near, far = socket.socketpair()
        with near, far:
            near.sendall(b"\0\0\0\2[]btrfs-stream\0 this is none" * 1000)
            near.shutdown(socket.SHUT_WR)
            with pytest.raises(WardianError):
                await storage.receive(TWO, far.fileno(), transport)
    near, far = socket.socketpair()
    with near, far, pytest.raises(InvalidInput):
        await storage.send(ONE, near.fileno(), "pigeon")
    place = next(path for path in (storage.path(ONE), storage.path(ONE).parent) if path.name == "c1")
    assert [path.name for path in place.parent.iterdir()] == ["c1"]
    assert await storage.volumes() == [ONE]


async def test_what_is_no_volume_is_refused(storage: Storage) -> None:
    custom = Volume("custom", "hostile")
    await storage.create(custom)
    (storage.path(custom) / "rootfs").symlink_to("/etc")
    for transport in storage.transports():
        with pytest.raises(InvalidInput, match="rootfs"):
            await travel(storage, custom, storage, ONE, transport)
    assert await storage.volumes() == [custom]


async def test_nested_subvolumes_travel(storage: Storage) -> None:
    if storage.driver != "btrfs":
        pytest.skip("only btrfs has subvolumes")
    top = await furnish(storage, ONE)
    for folder, name in ((top, "nested"), (top / "nested", "deeper")):
        fd = os.open(folder, os.O_RDONLY)
        btrfs.create_subvolume(fd, name)
        os.close(fd)
    (top / "nested/deeper/file").write_text("before")
    await storage.snapshot(ONE, SNAPSHOT)
    for source, target in ((ONE, TWO), (SNAPSHOT, COPIED), (COPIED, THREE)):
        await travel(storage, source, storage, target, "btrfs")
        assert btrfs.is_subvolume(storage.path(target) / "rootfs/nested/deeper")
        assert seen(storage.path(target) / "rootfs") == seen(top)
    assert len(await storage.volumes()) == 5
    await storage.delete(TWO)
    await travel(storage, ONE, storage, TWO, "rsync")
    assert seen(storage.path(TWO) / "rootfs") == seen(top)


async def test_a_difference_to_another_volume_is_refused(storage: Storage) -> None:
    if storage.driver != "btrfs":
        pytest.skip("only btrfs sends differences to what is there")
    await furnish(storage, ONE)
    await storage.snapshot(ONE, SNAPSHOT)
    with pytest.raises(InvalidInput, match="another volume"):
        await travel(storage, ONE, storage, TWO, "btrfs", SNAPSHOT)
    await storage.create(TWO)
    await storage.snapshot(TWO, COPIED)
    with pytest.raises(InvalidInput, match="another volume"):
        await travel(storage, ONE, storage, THREE, "btrfs", SNAPSHOT, COPIED)
    assert len(await storage.volumes()) == 4


async def test_the_sweep_removes_what_a_crash_leaves_of_a_transfer(storage: Storage) -> None:
    if storage.driver != "btrfs":
        pytest.skip("other pools leave plain folders, or clones")
    await furnish(storage, ONE)
    place = storage.path(ONE).with_name(".tmp-0123456789abcdef")
    place.mkdir()
    folder, origin = os.open(place, os.O_RDONLY), os.open(storage.path(ONE), os.O_RDONLY)
    btrfs.snapshot(origin, folder, "0", read_only=True)
    os.close(folder)
    os.close(origin)
    await storage.sweep()
    assert [path.name for path in place.parent.iterdir()] == ["c1"]


async def test_pools_of_all_kinds_understand_each_other(storage: Storage, tmp_path: Path) -> None:
    """There and back again, by way of a plain folder."""
    before = seen(await furnish(storage, ONE))
    await storage.unmount(ONE)
    other = DirStorage("other", tmp_path / "pool")
    await other.create_pool()
    await travel(storage, ONE, other, ONE, "rsync")
    assert seen(other.path(ONE) / "rootfs") == before
    await travel(other, ONE, storage, COPIED, "rsync")
    assert seen(await files_of(storage, COPIED)) == before


async def test_a_cancelled_change_is_not_made_later(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be stopped: who is cancelled waits for it, and removes what it made."""
    if storage.driver != "btrfs":
        pytest.skip("other pools copy in programs")
    await storage.create(ONE)
    await fill(storage, ONE)
    begun, go_on = asyncio.Event(), threading.Event()
    loop, snapshot = asyncio.get_running_loop(), btrfs.snapshot

    def slow(*args: int, **more: bool) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(10)
        snapshot(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(btrfs, "snapshot", slow)
    copying = asyncio.create_task(storage.copy(ONE, TWO))
    await begun.wait()
    copying.cancel()
    loop.call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert await storage.volumes() == [ONE]
    assert [path.name for path in storage.path(ONE).parent.iterdir()] == ["c1"]


async def test_the_stand_in_sends_and_receives_too(tmp_path: Path) -> None:
    fake = FakeStorage(tmp_path, Faults())
    await fake.create(ONE)
    (fake.path(ONE) / "file").write_text("x")
    await travel(fake, ONE, fake, TWO, fake.transports()[-1])
    assert (fake.path(TWO) / "file").read_text() == "x"
    near, far = socket.socketpair()
    near.close()
    with far, pytest.raises(HostFailed):
        await fake.receive(THREE, far.fileno(), "rsync")
    assert await fake.volumes() == [ONE, TWO]
