"""Containers on the storage driver `overlay`, on the file system that the tests are on."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from wardian.linux.mounts import MountPoint, parse_mountinfo


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    made = Daemon("ovl", backend="overlay")
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def pool(daemon: Daemon) -> Iterator[Path]:
    """The folder of the pool; containers of the test are deleted, and their layers are gone then."""
    yield daemon.folder / "lxd/storage-pools/default"
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)
    assert len(layers(daemon)) <= 1, "only the image's layer may be left"


def layers(daemon: Daemon) -> list[str]:
    return os.listdir(daemon.folder / "lxd/storage-pools/default/layers")


def mounted(daemon: Daemon) -> list[MountPoint]:
    lines = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return [mount for mount in lines if str(daemon.folder) in mount.path]


def inside(daemon: Daemon, name: str, script: str) -> str:
    return daemon.lxc("exec", name, "--", "sh", "-c", script).strip()


def test_the_root_file_system_is_an_overlay_that_the_container_owns(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1")
    root = inside(daemon, "c1", "grep ' / / ' /proc/self/mountinfo")
    assert " - overlay " in root and "nodev" in root
    assert inside(daemon, "c1", "stat -c %u:%g / /bin /etc").split() == ["0:0"] * 3
    inside(
        daemon, "c1", "mkdir -m 1777 /d && touch /d/f && chown 1000:1001 /d/f && mv /etc /etc2 && rm -r /var"
    )
    chain = (pool / "containers/c1/chain").read_text().split('"')
    upper = pool / "layers" / chain[1] / "fs"
    found = (upper / "d/f").stat()
    assert (found.st_uid, found.st_gid) == (1000, 1001), "owners on disk are unshifted"
    assert inside(daemon, "c1", "ls -d /etc2/passwd /var 2>/dev/null; stat -c %u:%g /d/f").split() == [
        "/etc2/passwd",
        "1000:1001",
    ]


def test_containers_of_an_image_share_it_and_not_their_changes(daemon: Daemon, pool: Path) -> None:
    for name in ("c1", "c2"):
        daemon.lxc("launch", "bb", name)
    inside(daemon, "c1", "echo mine > /etc/passwd")
    assert "mine" not in inside(daemon, "c2", "cat /etc/passwd")
    assert len(layers(daemon)) == 3, "one of the image, one for each container"


def test_a_privileged_container_runs_too(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1", "-c", "security.privileged=true")
    inside(daemon, "c1", "echo x > /x")
    assert inside(daemon, "c1", "cat /proc/self/uid_map").split()[:2] == ["0", "0"]
    daemon.lxc("stop", "-f", "c1")
    daemon.lxc("config", "set", "c1", "security.privileged", "false")
    daemon.lxc("start", "c1")
    assert inside(daemon, "c1", "stat -c %u /x; cat /x").split() == ["0", "x"]


def test_containers_outlive_the_daemon_and_reboot(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1")
    inside(daemon, "c1", "echo kept > /kept")
    daemon.kill()
    daemon.start()
    assert inside(daemon, "c1", "cat /kept") == "kept"
    daemon.lxc("restart", "-f", "c1")
    assert inside(daemon, "c1", "cat /kept") == "kept"


def test_nothing_stays_mounted_for_what_does_not_run(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1", "-c", "boot.autostart=false")
    assert len(mounted(daemon)) == 1
    daemon.lxc("stop", "-f", "c1")
    assert mounted(daemon) == []
    daemon.lxc("start", "c1")
    monitor = int((daemon.folder / "lxd/containers/c1/monitor.pid").read_text())
    gone = os.pidfd_open(monitor)
    daemon.kill()
    init = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()[0]
    os.kill(int(init), signal.SIGKILL)
    poller = select.poll()
    poller.register(gone, select.POLLIN)
    assert poller.poll(30_000)
    os.close(gone)
    daemon.start()
    assert daemon.names("s") == ["STOPPED"]
    assert mounted(daemon) == [], "it died while no daemon ran"


def test_no_user_of_the_host_reaches_a_container(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1")
    inside(daemon, "c1", "cp /bin/busybox /planted && chmod 4755 /planted")
    planted = pool / "containers/c1/volume/rootfs/planted"
    assert planted.exists()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-e", str(planted)]
    assert os.spawnvp(os.P_WAIT, nobody[0], nobody) == 1


def test_the_next_start_removes_what_a_killed_daemon_left(daemon: Daemon, pool: Path) -> None:
    daemon.lxc("launch", "bb", "c1")
    inside(daemon, "c1", "echo kept > /kept")
    daemon.lxc("snapshot", "c1")
    before = sorted(layers(daemon))
    daemon.kill()
    (pool / "layers/0123456789ab/fs").mkdir(parents=True)
    place = pool / "containers/.tmp-0123456789abcdef"
    (place / "volume/rootfs").mkdir(parents=True)
    (place / "chain").write_text(json.dumps(["0123456789ab", before[0]]))
    daemon.start()
    assert sorted(layers(daemon)) == before
    assert not place.exists()
    daemon.lxc("restore", "c1", "snap0")
    assert inside(daemon, "c1", "cat /kept") == "kept"


def test_a_deleted_image_leaves_its_containers_whole(daemon: Daemon, pool: Path) -> None:
    daemon.import_busybox("gone")
    daemon.lxc("launch", "gone", "c1")
    daemon.lxc("copy", "c1", "c2")
    daemon.lxc("image", "delete", "gone")
    daemon.lxc("delete", "-f", "c1")
    daemon.lxc("start", "c2")
    assert inside(daemon, "c2", "echo alive") == "alive"
