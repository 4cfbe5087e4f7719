"""Containers copied and moved between storage pools, and copies brought up to date, with the real client."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.system.harness import Daemon, snapshots
from wardian.linux import btrfs

OTHERS = {"fast": ("btrfs", "size=256MB"), "fast2": ("btrfs", "size=256MB"), "layers": ("overlay",)}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    made = Daemon("move", backend="dir")
    made.import_busybox()
    for name, words in OTHERS.items():
        made.lxc("storage", "create", name, *words)
    yield made
    for name in OTHERS:
        made.lxc("storage", "delete", name)
    made.close()


@pytest.fixture
def clean(daemon: Daemon) -> Iterator[Daemon]:
    yield daemon
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)


def inside(daemon: Daemon, name: str, script: str) -> str:
    return daemon.lxc("exec", name, "--", "sh", "-c", script).strip()


def pool_of(daemon: Daemon, name: str) -> str:
    shown = json.loads(daemon.request("GET", f"/1.0/containers/{name}"))["metadata"]
    return str(shown["expanded_devices"]["root"]["pool"])


def volumes(daemon: Daemon) -> list[str]:
    """What is in the pools, images apart; also what has a temporary name."""
    pools = daemon.folder / "lxd/storage-pools"
    found = [*pools.glob("*/containers/*"), *pools.glob("*/snapshots/*/*")]
    return sorted(str(path.relative_to(pools)) for path in found)


def test_a_container_goes_through_all_pools_and_stays_the_same(clean: Daemon) -> None:
    clean.lxc("launch", "bb", "c1")
    inside(clean, "c1", "echo first > /root/file; chown 7:8 /root/file; ln /root/file /root/hard; sync")
    clean.lxc("snapshot", "c1", "s1")
    inside(clean, "c1", "echo second > /root/file; sync")
    assert "stop it" in clean.error("move", "c1", "-s", "layers")
    clean.lxc("stop", "-f", "c1")
    mac = clean.lxc("config", "get", "c1", "volatile.eth0.hwaddr")
    for pool in ("layers", "fast", "fast2"):
        clean.lxc("move", "c1", "--storage", pool)
        assert pool_of(clean, "c1") == pool
        assert volumes(clean) == [f"{pool}/containers/c1", f"{pool}/snapshots/c1/s1"]
        clean.lxc("start", "c1")
        assert inside(clean, "c1", "cat /root/hard; stat -c %u:%g:%h /root/file") == "second\n7:8:2"
        clean.lxc("stop", "-f", "c1")
    clean.lxc("init", "bb", "taken")
    assert "already exists" in clean.error("move", "c1", "taken", "-s", "default")
    assert pool_of(clean, "c1") == "fast2"  # it is refused before anything moves
    clean.lxc("delete", "taken")
    clean.lxc("move", "c1", "c2", "-s", "default")
    assert clean.lxc("config", "get", "c2", "volatile.eth0.hwaddr") == mac
    clean.lxc("restore", "c2", "s1")
    clean.lxc("start", "c2")
    assert inside(clean, "c2", "cat /root/file") == "first"
    assert "does not exist" in clean.error("move", "c2", "-s", "nowhere")
    clean.lxc("stop", "-f", "c2")
    sent = {"name": "c2", "migration": True, "live": False, "instance_only": False, "container_only": False}
    begun = json.loads(clean.request("POST", "/1.0/instances/c2", json.dumps({**sent, "pool": "layers"})))
    clean.request("GET", f"{begun['operation']}/wait")
    assert pool_of(clean, "c2") == "layers"  # as later clients ask for it


@pytest.mark.parametrize(("source", "target"), [("fast", "fast2"), ("layers", "default"), ("fast", "fast")])
def test_a_copy_is_brought_up_to_date(clean: Daemon, source: str, target: str) -> None:
    clean.lxc("launch", "bb", "c1", "-s", source)
    inside(
        clean, "c1", "dd if=/dev/urandom of=/root/big bs=1M count=8 2>/dev/null; echo 1 > /root/file; sync"
    )
    clean.lxc("snapshot", "c1", "s1")
    clean.lxc("copy", "c1", "c2", "--refresh", "-s", target)
    assert (pool_of(clean, "c2"), snapshots(clean, "c2")) == (target, ["s1"])
    inside(clean, "c1", "echo 2 > /root/file; echo more > /root/more; sync")
    clean.lxc("delete", "c1/s1")
    clean.lxc("snapshot", "c1", "s2")
    inside(clean, "c1", "rm /root/more; sync")
    clean.lxc("copy", "c1", "c2", "--refresh")
    assert snapshots(clean, "c2") == ["s2"]
    clean.lxc("start", "c2")
    assert inside(clean, "c2", "cat /root/file; ls /root; cmp /root/big /root/big") == "2\nbig\nfile"
    assert "stop it" in clean.error("copy", "c1", "c2", "--refresh")
    clean.lxc("restore", "c2", "s2")
    assert inside(clean, "c2", "cat /root/more") == "more"
    assert len(volumes(clean)) == 4


def test_a_copy_that_is_cancelled_or_does_not_fit_leaves_nothing(clean: Daemon) -> None:
    clean.lxc("init", "bb", "c1")
    root = clean.folder / "lxd/storage-pools/default/containers/c1/rootfs"
    (root / "big").write_bytes(os.urandom(1 << 20) * 280)
    before = volumes(clean)
    assert "full" in clean.error("copy", "c1", "c2", "-s", "fast")
    assert volumes(clean) == before
    body = {
        "name": "c2",
        "source": {"type": "copy", "source": "c1"},
        "devices": {"root": {"type": "disk", "path": "/", "pool": "layers"}},
    }
    operation = json.loads(clean.request("POST", "/1.0/containers", json.dumps(body)))["operation"]
    clean.request("DELETE", operation)
    ended = json.loads(clean.request("GET", f"{operation}/wait"))["metadata"]
    assert ended["status"] == "Cancelled"
    assert volumes(clean) == before and clean.names() == ["c1"]


def test_subvolumes_of_a_container_travel_between_btrfs_pools(clean: Daemon) -> None:
    clean.lxc("init", "bb", "c1", "-s", "fast")
    root = clean.folder / "lxd/storage-pools/fast/containers/c1/rootfs"
    folder = os.open(root / "root", os.O_RDONLY)
    btrfs.create_subvolume(folder, "nested")
    os.close(folder)
    (root / "root/nested/file").write_text("kept")
    clean.lxc("move", "c1", "-s", "fast2")
    moved = clean.folder / "lxd/storage-pools/fast2/containers/c1/rootfs/root/nested"
    assert btrfs.is_subvolume(moved) and (moved / "file").read_text() == "kept"
    assert volumes(clean) == ["fast2/containers/c1"]
