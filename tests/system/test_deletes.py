"""Deleting what is in use somewhere: refused with the reason, or done; never half."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.system.harness import Daemon

PRIVATE = ("unshare", "--mount", "--propagation", "private")


@pytest.fixture(scope="module", params=["btrfs", "dir"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon whose pool is of each kind in turn."""
    made = Daemon("y", backend=request.param)
    made.import_busybox()
    yield made
    made.close()


def test_a_mount_in_a_volume_is_named_and_stays(daemon: Daemon) -> None:
    daemon.lxc("init", "bb", "c1")
    daemon.lxc("snapshot", "c1")
    place = daemon.folder / "lxd/storage-pools/default/containers/c1/rootfs/tmp"
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    (place / "file").touch()
    try:
        assert f'tmpfs is mounted at "{place}"; unmount it' in daemon.error("delete", "c1")
        assert (place / "file").exists()
        assert daemon.names() == ["c1"]
    finally:
        subprocess.run(["umount", place], check=True)
    daemon.lxc("delete", "c1")
    assert daemon.names() == []
    pool = daemon.folder / "lxd/storage-pools/default"
    assert not list((pool / "containers").iterdir()) and not list((pool / "snapshots").iterdir())


def test_a_mount_in_another_namespace_is_no_obstacle(daemon: Daemon) -> None:
    daemon.lxc("init", "bb", "c2")
    place = daemon.folder / "lxd/storage-pools/default/containers/c2/rootfs"
    script = f"mount --bind {place} {place} && cd {place}/bin && echo held && exec cat"
    with subprocess.Popen(
        [*PRIVATE, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        daemon.lxc("delete", "c2")
        assert daemon.names() == []
        assert not list(place.parents[1].iterdir())
        other.stdin.close()


def test_a_deletion_that_a_kill_cut_off_is_finished_at_the_next_start(daemon: Daemon) -> None:
    daemon.lxc("init", "bb", "c3")
    daemon.lxc("snapshot", "c3")
    place = daemon.folder / "lxd/storage-pools/default/containers/c3/rootfs/tmp"
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        daemon.error("delete", "c3")  # its snapshot is gone by now
    finally:
        daemon.kill()
        subprocess.run(["umount", place], check=True)
    daemon.start()
    assert daemon.names() == []
    assert not list((daemon.folder / "lxd/storage-pools/default/containers").iterdir())
