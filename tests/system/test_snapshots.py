"""Snapshots, copies and new names of real containers, on each kind of pool."""

import json
from collections.abc import Iterator

import pytest

from tests.system.harness import Daemon, snapshots


@pytest.fixture(scope="module", params=["btrfs", "overlay", "dir"])
def any_pool(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon whose pool is of each kind in turn, with the image `bb`."""
    made = Daemon("p", backend=request.param)
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def here(any_pool: Daemon) -> Iterator[Daemon]:
    """The same, with no container before and after."""
    yield any_pool
    for name in any_pool.names():
        any_pool.lxc("delete", "-f", name)


def write(daemon: Daemon, name: str, text: str) -> None:
    daemon.lxc("exec", name, "--", "sh", "-c", f"echo {text} > /root/file && sync")


def read(daemon: Daemon, name: str) -> str:
    return daemon.lxc("exec", name, "--", "cat", "/root/file").strip()


def test_restore_brings_back_files_and_configuration(here: Daemon) -> None:
    here.lxc("launch", "bb", "c1")
    here.lxc("config", "set", "c1", "limits.processes", "100")
    write(here, "c1", "first")
    here.lxc("snapshot", "c1")
    write(here, "c1", "second")
    here.lxc("config", "set", "c1", "limits.processes", "50")
    here.lxc("snapshot", "c1")
    here.lxc("exec", "c1", "--", "rm", "/root/file")
    here.lxc("restore", "c1", "snap0")
    assert read(here, "c1") == "first"
    assert here.lxc("config", "get", "c1", "limits.processes").strip() == "100"
    here.lxc("stop", "-f", "c1")
    here.lxc("restore", "c1", "c1/snap1")
    assert here.names("ns") == ["c1,STOPPED"]
    assert here.lxc("config", "get", "c1", "limits.processes").strip() == "50"
    assert snapshots(here, "c1") == ["snap0", "snap1"]
    assert here.lxc("list", "-c", "nS", "--format", "csv").strip() == "c1,2"
    here.lxc("start", "c1")
    assert read(here, "c1") == "second"


def test_snapshots_are_listed_renamed_and_deleted(here: Daemon) -> None:
    here.lxc("init", "bb", "c1")
    here.lxc("snapshot", "c1", "zerotier blah")
    here.lxc("snapshot", "c1", "soon", "--expiry", "1H")
    lines = here.lxc("info", "c1").partition("Snapshots:\n")[2].splitlines()
    assert lines[0].startswith("  zerotier blah (taken at 20") and lines[0].endswith(" UTC) (stateless)")
    assert "(expires at 20" in lines[1]
    here.lxc("move", "c1/soon", "c1/later")
    here.lxc("rename", "c1/zerotier blah", "plain")
    assert sorted(snapshots(here, "c1")) == ["later", "plain"]
    assert "profiles:\n- default" in here.lxc("config", "show", "c1/plain")
    here.lxc("delete", "c1/plain", "c1/later")
    assert snapshots(here, "c1") == []
    assert not list((here.folder / "lxd/storage-pools/default/snapshots").iterdir())
    assert "not found" in here.error("delete", "c1/plain")


def test_a_snapshot_is_as_it_was_taken(here: Daemon) -> None:
    here.lxc("init", "bb", "c1")
    here.lxc("snapshot", "c1", "one")
    assert "already exists" in here.error("snapshot", "c1", "one")
    assert "slashes" in here.error("snapshot", "c1", "a/b")
    assert "snapshot two does not exist" in here.error("restore", "c1", "two")
    answer = json.loads(here.request("GET", "/1.0/instances/c1/snapshots"))
    assert answer["metadata"] == ["/1.0/instances/c1/snapshots/one"]
    here.lxc("snapshot", "c1", "one", "--reuse")
    assert snapshots(here, "c1") == ["one"]


def test_a_snapshot_goes_with_its_container(here: Daemon) -> None:
    here.lxc("launch", "bb", "c1")
    here.lxc("snapshot", "c1")
    here.lxc("delete", "-f", "c1")
    here.lxc("init", "bb", "c1")
    assert snapshots(here, "c1") == []
    assert not list((here.folder / "lxd/storage-pools/default/snapshots").iterdir())


def test_copies_have_the_files_and_addresses_of_their_own(here: Daemon) -> None:
    here.lxc("launch", "bb", "c1", "-c", "user.foo=bar")
    write(here, "c1", "first")
    here.lxc("snapshot", "c1", "s")
    write(here, "c1", "second")
    here.lxc("copy", "c1", "c2")
    here.lxc("copy", "c1/s", "c3", "-c", "user.foo=other", "-e", "-p", "default")
    here.lxc("copy", "c1", "c4", "--snapshots")
    assert [snapshots(here, name) for name in ("c2", "c3", "c4")] == [[], [], ["s"]]
    here.lxc("start", "c2", "c3")
    assert [read(here, name) for name in ("c1", "c2", "c3")] == ["second", "second", "first"]
    assert here.lxc("exec", "c2", "--", "hostname").strip() == "c2"
    values = {
        name: [here.lxc("config", "get", name, key).strip() for key in ("volatile.eth0.hwaddr", "user.foo")]
        for name in ("c1", "c2", "c3")
    }
    assert [values[name][1] for name in ("c1", "c2", "c3")] == ["bar", "bar", "other"]
    assert len({values[name][0] for name in values}) == 3
    base = [here.lxc("config", "get", name, "volatile.base_image") for name in ("c1", "c2", "c3")]
    assert base[0] == base[1] == base[2] != "\n"
    own = here.lxc("config", "get", "c4", "volatile.eth0.hwaddr")
    here.lxc("restore", "c4", "s")
    assert here.lxc("config", "get", "c4", "volatile.eth0.hwaddr") == own != f"{values['c1'][0]}\n"
    here.lxc("start", "c4")
    assert read(here, "c4") == "first"
    here.lxc("stop", "-f", "c3")
    assert "c3" not in here.names()


def test_a_copy_of_what_runs_is_of_one_moment(here: Daemon) -> None:
    """A program writes two files in turn: no copy has what it never had."""
    here.lxc("storage", "create", "other", "overlay")
    here.lxc("launch", "bb", "c1")
    here.lxc("exec", "c1", "--", "dd", "if=/dev/zero", "of=/root/big", "bs=1M", "count=20")
    script = (
        "i=10000; while :; do i=$((i+1)); echo $i >/root/a.new; mv /root/a.new /root/a; echo $i >/z; done"
    )
    here.lxc("exec", "c1", "--", "sh", "-c", f"({script}) >/dev/null 2>&1 &")
    here.lxc("copy", "c1", "c2")
    here.lxc("copy", "c1", "c3", "-s", "other")
    here.lxc("snapshot", "c1", "s")
    here.lxc("copy", "c1/s", "c4")
    assert "RUNNING" in here.lxc("list", "c1", "--format", "csv")
    here.lxc("start", "c2", "c3", "c4")
    for name in ("c2", "c3", "c4"):
        found = here.lxc("exec", name, "--", "cat", "/root/a", "/z").split()
        first, second = int(found[0]), int(found[1]) if len(found) > 1 else None  # it was just opened
        assert second is None or first - second in (0, 1)
    here.lxc("delete", "-f", "c3")
    here.lxc("storage", "delete", "other")


def test_a_container_that_is_renamed_keeps_everything(here: Daemon) -> None:
    here.lxc("launch", "bb", "c1")
    write(here, "c1", "mine")
    here.lxc("snapshot", "c1", "s")
    hwaddr = here.lxc("config", "get", "c1", "volatile.eth0.hwaddr")
    assert "Renaming of running container not allowed" in here.error("move", "c1", "c2")
    here.lxc("stop", "-f", "c1")
    assert "Invalid container name" in here.error("move", "c1", "2c")
    here.lxc("init", "bb", "c3")
    assert "already exists" in here.error("move", "c1", "c3")
    here.lxc("move", "c1", "c2")
    assert here.names() == ["c2", "c3"]
    assert snapshots(here, "c2") == ["s"]
    here.lxc("start", "c2")
    assert read(here, "c2") == "mine"
    assert here.lxc("config", "get", "c2", "volatile.eth0.hwaddr") == hwaddr
    here.lxc("restore", "c2", "s")
    assert read(here, "c2") == "mine"


def test_a_profile_of_a_snapshot_stays(here: Daemon) -> None:
    here.lxc("profile", "create", "kept")
    here.lxc("init", "bb", "c1", "-p", "default", "-p", "kept")
    here.lxc("snapshot", "c1")
    here.lxc("profile", "apply", "c1", "default")
    assert "in use" in here.error("profile", "delete", "kept")
    here.lxc("delete", "c1")
    here.lxc("profile", "delete", "kept")
