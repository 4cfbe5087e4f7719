"""Containers on LVM and ZFS, by the real client: pools on what the user has, and the keys of LXD 2.0."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon, snapshots
from tests.system.test_tools import tool
from wardian.drivers.storage import lvm, zfs
from wardian.linux.mounts import parse_mountinfo

OWN = f"wtp{os.getpid()}"
KINDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not module.is_available(), reason=f"this kernel has no {what}: runs in tests/vm"
        ),
    )
    for name, module, what in (("lvm", lvm, "device-mapper"), ("zfs", zfs, "ZFS"))
]
PLACES = {
    "lvm": (["vgcreate", OWN], ["vgremove", "-f", OWN], "storage.lvm_vg_name", "LVM"),
    "zfs": (
        ["zpool", "create", "-m", "none", OWN],
        ["zpool", "destroy", OWN],
        "storage.zfs_pool_name",
        "ZFS",
    ),
}


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout.strip()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    made = Daemon("lz", backend="dir")
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def clean(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon; what the test made is gone afterwards, from the kernel too."""
    yield daemon
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)
    for pool in json.loads(daemon.request("GET", "/1.0/storage-pools"))["metadata"]:
        if not pool.endswith("/default"):
            for volume in json.loads(daemon.request("GET", f"{pool}/volumes/custom"))["metadata"]:
                daemon.lxc("storage", "volume", "delete", "second", volume.rpartition("/")[2])
            daemon.lxc("storage", "delete", pool.rpartition("/")[2])
    assert mounted(daemon) == []


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, clean: Daemon) -> Iterator[str]:
    """A driver, and for it a volume group or a pool of ZFS called OWN, which somebody else has made."""
    image = clean.folder / "place.img"
    with open(image, "wb") as file:
        file.truncate(1 << 30)
    device = run("losetup", "--find", "--show", str(image))
    make, remove, _, _ = PLACES[request.param]
    run(*make, device)
    yield request.param
    for name in clean.names():
        clean.lxc("delete", "-f", name)
    for key in ("storage.lvm_volume_size", "storage.lvm_fstype", PLACES[request.param][2]):
        clean.run("config", "unset", key)
    run(*remove)
    run("losetup", "--detach", device)
    image.unlink()


def mounted(daemon: Daemon) -> list[str]:
    lines = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return [mount.path for mount in lines if str(daemon.folder) in mount.path and "devlxd" not in mount.path]


def inside(daemon: Daemon, name: str, script: str) -> str:
    return daemon.lxc("exec", name, "--", "sh", "-c", script).strip()


@pytest.mark.parametrize("driver", KINDS)
def test_the_life_of_a_container(clean: Daemon, driver: str) -> None:
    clean.lxc("storage", "create", "second", driver, "size=1GB", *named(driver))
    clean.lxc("launch", "bb", "c1", "-s", "second")
    assert inside(clean, "c1", "stat -c %u:%g / /bin /etc").split() == ["0:0"] * 3
    inside(clean, "c1", "touch /f && chown 1000:1001 /f && echo first > /root/file && sync")
    backing = clean.folder / "lxd/storage-pools/second/containers/c1/volume"
    assert ((backing / "rootfs/f").stat().st_uid, (backing / "rootfs/f").stat().st_gid) == (1000, 1001)
    clean.lxc("snapshot", "c1")
    inside(clean, "c1", "echo second > /root/file")
    clean.lxc("snapshot", "c1")
    clean.lxc("copy", "c1/snap1", "c2")
    clean.kill()
    clean.start()
    assert inside(clean, "c1", "cat /root/file") == "second", "containers outlive the daemon"
    clean.lxc("restore", "c1", "snap0")
    assert inside(clean, "c1", "cat /root/file") == "first"
    assert snapshots(clean, "c1") == ["snap0", "snap1"]
    clean.lxc("delete", "c1/snap0")
    clean.lxc("restart", "-f", "c1")
    clean.lxc("start", "c2")
    assert inside(clean, "c2", "cat /root/file") == "second"
    state = json.loads(clean.request("GET", "/1.0/containers/c1/state"))["metadata"]
    assert state["disk"]["root"]["usage"] > 0
    clean.lxc("stop", "-f", "c2")
    clean.lxc("move", "c2", "c3")
    clean.lxc("file", "push", "-", "c3/root/new", stdin="pushed")
    assert clean.lxc("file", "pull", "c3/root/file", "-").strip() == "second"
    clean.lxc("delete", "-f", "c1")
    clean.lxc("delete", "-f", "c3")
    assert os.listdir(clean.folder / "lxd/storage-pools/second/containers") == []


def named(driver: str) -> list[str]:
    return [f"zfs.pool_name={OWN}x"] if driver == "zfs" else [f"lvm.vg_name={OWN}x", "volume.size=256MB"]


@pytest.mark.parametrize("driver", KINDS)
def test_a_root_disk_of_a_size_and_a_volume_of_its_own(clean: Daemon, driver: str) -> None:
    clean.lxc("storage", "create", "second", driver, "size=1GB", *named(driver))
    clean.lxc("init", "bb", "c1", "-s", "second")
    clean.lxc("config", "device", "set", "c1", "root", "size", "384MB")
    clean.lxc("storage", "volume", "create", "second", "data")
    clean.lxc("storage", "volume", "attach", "second", "data", "c1", "/data")
    clean.lxc("start", "c1")
    total = int(inside(clean, "c1", "df -P -m / | tail -1").split()[1])
    assert 256 < total <= 384
    inside(clean, "c1", "echo kept > /data/file; test ! -e /data/lost+found")
    clean.lxc("config", "device", "set", "c1", "root", "size", "512MB")
    assert int(inside(clean, "c1", "df -P -m / | tail -1").split()[1]) > total, "while it runs"
    clean.lxc("storage", "volume", "detach", "second", "data", "c1")
    clean.lxc("storage", "volume", "snapshot", "second", "data", "before")
    clean.lxc("storage", "volume", "copy", "second", "data/before", "copied")
    clean.lxc("storage", "volume", "attach", "second", "copied", "c1", "/copied")
    assert inside(clean, "c1", "cat /copied/file") == "kept"
    clean.lxc("delete", "-f", "c1")
    for volume in ("copied", "data"):
        clean.lxc("storage", "volume", "delete", "second", volume)


def test_the_keys_of_the_server_choose_where_new_containers_are(clean: Daemon, place: str) -> None:
    _, _, key, title = PLACES[place]
    assert "not found" in clean.error("config", "set", key, "nowhere9").replace(
        "does not exist", "not found"
    )
    if place == "lvm":
        assert "without lvm_vg_name" in clean.error("config", "set", "storage.lvm_thinpool_name", "thin")
        clean.lxc("config", "set", "storage.lvm_volume_size", "512MiB")
        clean.lxc("config", "set", "storage.lvm_fstype", "xfs")
    clean.lxc("config", "set", key, OWN)
    if place == "lvm":
        clean.lxc("config", "set", "storage.lvm_volume_size", "400MiB")
        assert clean.lxc("storage", "get", "lvm", "volume.size").strip() == "400MiB"
    clean.lxc("launch", "bb", "c1")
    kind = "xfs" if place == "lvm" else "zfs"
    assert f" - {kind} " in inside(clean, "c1", "grep ' / / \\| /rootfs / ' /proc/self/mountinfo")
    clean.lxc("launch", "bb", "c2", "-s", "default")
    assert f" - {kind} " not in inside(clean, "c2", "grep ' / ' /proc/self/mountinfo | head -1")
    assert f"Can not change {title} config" in clean.error("config", "unset", key)
    clean.lxc("delete", "-f", "c1")
    clean.lxc("config", "unset", key)
    clean.lxc("launch", "bb", "c3")
    assert [
        row for row in clean.lxc("storage", "list", "--format", "csv").splitlines() if place in row
    ] == []


@pytest.mark.parametrize("driver", KINDS[:1])
def test_a_volume_group_is_set_up_and_removed_by_a_program(clean: Daemon, driver: str) -> None:
    def setup(*words: str, status: int = 0) -> str:
        return tool("setup_lvm", "--vg-name", group, *words, status=status, environment=clean.environment)[
            status
        ]

    group, image = f"{OWN}s", clean.folder / "lxd/lvm.img"
    setup("--size", "1GB")
    assert (image.stat().st_mode & 0o777, image.stat().st_size) == (0o600, 1 << 30)
    assert "storage.lvm_vg_name is" in setup("--size", "1GB", status=1)
    clean.lxc("config", "set", "storage.lvm_volume_size", "256MB")
    clean.lxc("init", "bb", "c1")
    assert run("lvs", "--noheadings", "-o", "lv_name", "--select", "lv_name=LXDPool", group) == "LXDPool"
    assert "still using" in setup("--destroy", status=1)
    clean.lxc("delete", "c1")
    clean.lxc("config", "unset", "storage.lvm_volume_size")
    setup("--destroy")
    assert not image.exists()
    assert not run("vgs", "--noheadings", "--select", f"vg_name={group}")
    assert f'no volume group "{group}"' in setup("--destroy", status=1)
