"""Storage pools by `lxc storage`: more than one, of each kind, on real file systems."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    made = Daemon("pool", backend="dir")
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def clean(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon; what the test made is gone afterwards."""
    yield daemon
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)
    for pool in json.loads(daemon.request("GET", "/1.0/storage-pools"))["metadata"]:
        if not pool.endswith("/default"):
            daemon.lxc("storage", "delete", pool.rpartition("/")[2])


def inside(daemon: Daemon, name: str, script: str) -> str:
    return daemon.lxc("exec", name, "--", "sh", "-c", script).strip()


@pytest.mark.parametrize(("driver", "kind"), [("btrfs", "btrfs"), ("overlay", "overlay"), ("dir", "")])
def test_a_container_runs_on_the_pool_that_it_was_launched_on(clean: Daemon, driver: str, kind: str) -> None:
    size = ["size=256MB"] if driver == "btrfs" else []
    assert clean.lxc("storage", "create", "second", driver, *size) == "Storage pool second created\n"
    clean.lxc("launch", "bb", "c1", "-s", "second")
    root = inside(clean, "c1", "grep ' / / \\| /rootfs / ' /proc/self/mountinfo; df -T / | tail -1")
    assert kind in root
    shown = json.loads(clean.request("GET", "/1.0/storage-pools/second"))["metadata"]
    assert shown["used_by"][0] == "/1.0/containers/c1"
    assert "second" in clean.error("storage", "delete", "second")
    assert inside(clean, "c1", "echo alive") == "alive"


def test_pools_are_listed_and_shown(clean: Daemon) -> None:
    clean.lxc("storage", "create", "second", "overlay", "user.note=x")
    rows = clean.lxc("storage", "list", "--format", "csv").splitlines()
    assert rows == ["default,dir,,,1,CREATED", "second,overlay,,,0,CREATED"]
    assert "driver: overlay" in clean.lxc("storage", "show", "second")
    info = clean.lxc("storage", "info", "default")
    assert "space used:" in info and "total space:" in info and "- default" in info
    assert clean.lxc("storage", "get", "second", "user.note") == "x\n"
    clean.lxc("storage", "set", "second", "user.note", "y")
    clean.lxc("storage", "unset", "second", "user.note")
    clean.lxc("storage", "edit", "second", stdin="description: for tests\nconfig: {user.a: b}\n")
    assert clean.lxc("storage", "get", "second", "user.a") == "b\n"
    assert (
        clean.lxc("storage", "list", "--format", "csv").splitlines()[1]
        == "second,overlay,,for tests,0,CREATED"
    )


def test_a_loop_file_grows_while_it_is_used(clean: Daemon) -> None:
    clean.lxc("storage", "create", "second", "btrfs", "size=256MB")
    clean.lxc("launch", "bb", "c1", "-s", "second")
    folder = clean.folder / "lxd/storage-pools/second"

    def total() -> int:
        found = os.statvfs(folder)
        return found.f_blocks * found.f_frsize

    before = total()
    clean.lxc("storage", "set", "second", "size", "512MB")
    assert (before, total()) == (256 << 20, 512 << 20)
    assert "larger" in clean.error("storage", "set", "second", "size", "300MB")
    assert total() == 512 << 20
    assert inside(clean, "c1", "echo alive") == "alive"


def test_what_is_wrong_is_named_and_leaves_nothing(clean: Daemon, tmp_path: Path) -> None:
    before = sorted(os.listdir(clean.folder / "lxd/storage-pools"))
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for words, reason in (
        (("second", "nonsense"), "nonsense"),
        (("second", "dir", "sauce=/x"), 'unknown key "sauce"'),
        (("second", "dir", "source=relative"), "absolute"),
        (("second", "btrfs", "size=1MB"), "at least"),
        (("second", "dir", "size=1GB"), 'unknown key "size"'),
        (("second", "overlay", f"source={full}"), "not empty"),
        (("second", "btrfs", f"source={full}"), "neither a block device nor a folder on btrfs"),
        (("../second", "dir"), "../second"),
    ):
        assert reason in clean.error("storage", "create", *words)
    assert "cannot be changed" in clean.error("storage", "set", "default", "source", "/elsewhere")
    assert sorted(os.listdir(clean.folder / "lxd/storage-pools")) == before
    assert clean.lxc("storage", "list", "--format", "csv").count("\n") == 1
    assert (full / "file").exists()


def test_pools_are_there_again_after_a_restart(clean: Daemon) -> None:
    clean.lxc("storage", "create", "second", "btrfs", "size=256MB")
    clean.lxc("init", "bb", "c1", "-s", "second")
    clean.kill()
    subprocess.run(["umount", clean.folder / "lxd/storage-pools/second"], check=True)
    clean.start()
    clean.lxc("start", "c1")
    assert inside(clean, "c1", "echo alive") == "alive"
