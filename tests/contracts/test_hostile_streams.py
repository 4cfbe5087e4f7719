"""What a stream of `btrfs send` that somebody made up must not do to the host that receives it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts import sendstream
from tests.contracts.test_attached import disk
from tests.contracts.test_storage import ONE, SNAPSHOT, TWO, make, pytestmark
from tests.contracts.test_storage_travel import travel
from wardian.drivers.storage import subvolumes
from wardian.errors import WardianError
from wardian.linux import mounts, process, syscalls
from wardian.ports.storage import Storage, Volume

__all__ = ["pytestmark"]

Fields = dict[int, int | str | bytes]
STOLEN = Volume("container", "stolen")
SECRET = b"secret!\n" * 1024


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    """A btrfs pool with a secret in c2, and a snapshot of c1 that was received: its UUID is known."""
    made = make("btrfs", tmp_path)
    await made.create_pool()
    syscalls.mount("none", tmp_path / "pool", None, syscalls.MS_SHARED)  # as most hosts have it
    for volume in (ONE, TWO):
        await made.create(volume)
        (made.path(volume) / "rootfs").mkdir()
    (made.path(TWO) / "rootfs/secret").write_bytes(SECRET)
    (made.path(ONE) / "rootfs/way").symlink_to("../../../../containers/c2/rootfs")
    (made.path(ONE) / "rootfs/own").write_bytes(SECRET[::-1])
    await travel(made, ONE, made, SNAPSHOT, "btrfs")
    yield made
    assert len(mounts.mounts_below(tmp_path)) == 1
    for volume in await made.volumes():
        await made.delete(volume)
    await made.delete_pool()


async def receive(storage: Storage, sent: bytes, base: Volume | None = None) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        receiving = asyncio.create_task(storage.receive(STOLEN, far.fileno(), "btrfs", base))
        await asyncio.get_running_loop().sock_sendall(near, sent)
        near.shutdown(socket.SHUT_WR)
        await receiving


@pytest.mark.parametrize(
    "path",
    [
        "../../../containers/c2/rootfs/secret",
        "rootfs/../../../../containers/c2/rootfs/secret",
        "rootfs/way/secret",
        "/containers/c2/rootfs/secret",
    ],
)
@pytest.mark.parametrize("base", [None, SNAPSHOT])
async def test_nothing_but_the_base_is_cloned(storage: Storage, path: str, base: Volume | None) -> None:
    known = subvolumes.identity(storage.path(SNAPSHOT)).content
    with pytest.raises(WardianError):
        await receive(storage, sendstream.stream(sendstream.clone(known, 1, path, len(SECRET))), base)
    assert STOLEN not in await storage.volumes()
    await storage.sweep()


async def test_volumes_whose_uuid_is_known_are_out_of_reach(storage: Storage) -> None:
    for volume in (TWO, SNAPSHOT):
        known = subvolumes.identity(storage.path(volume)).content
        path = "rootfs/secret" if volume == TWO else "rootfs/own"
        with pytest.raises(WardianError):
            await receive(storage, sendstream.stream(sendstream.clone(known, 1, path, len(SECRET))))


async def test_what_the_base_has_is_cloned(storage: Storage) -> None:
    known = subvolumes.identity(storage.path(SNAPSHOT)).content
    commands = sendstream.clone(known, 1, "rootfs/own", len(SECRET))
    await receive(storage, sendstream.stream(commands), SNAPSHOT)
    assert (storage.path(STOLEN) / "stolen").read_bytes() == SECRET[::-1]


async def test_a_device_node_is_no_way_to_the_device(storage: Storage, tmp_path: Path) -> None:
    async with disk(tmp_path) as device:
        number = os.stat(device).st_rdev
        node: Fields = {
            sendstream.PATH: "node",
            sendstream.INODE: 257,
            sendstream.MODE: 0o060666,
            sendstream.DEVICE: number,
        }
        write: Fields = {sendstream.PATH: "node", sendstream.OFFSET: 0, sendstream.DATA: b"written"}
        commands = (sendstream.command(sendstream.NODE, node), sendstream.command(sendstream.WRITE, write))
        with pytest.raises(WardianError):
            await receive(storage, sendstream.stream(*commands))
        await process.check("flush", ["blockdev", "--flushbufs", device])
        assert (tmp_path / "disk.img").read_bytes()[:7] == bytes(7)


async def test_a_link_leads_nowhere_else(storage: Storage, tmp_path: Path) -> None:
    victim = tmp_path / "pool/containers/c2/rootfs/secret"
    for target in ("../../../c2/rootfs/secret", str(victim), "/../../../c2/rootfs/secret"):
        link: Fields = {sendstream.PATH: "link", sendstream.INODE: 257, sendstream.TARGET: target}
        for path in ("link", target, f"../{target}"):
            write: Fields = {sendstream.PATH: path, sendstream.OFFSET: 0, sendstream.DATA: b"written"}
            commands = (
                sendstream.command(sendstream.LINK, link),
                sendstream.command(sendstream.WRITE, write),
            )
            with pytest.raises(WardianError):
                await receive(storage, sendstream.stream(*commands))
    assert victim.read_bytes() == SECRET
