"""Containers go from one host to another: in every mode, with everything, and never half."""

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from tests.system.hosts import Pair, pair

MEGABYTES = 12
SLOW = "2MB"
"""Per second: what is sent so takes long enough to be interrupted."""


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    with pair("btrfs", "btrfs") as made:
        yield made


@pytest.fixture
def hosts(both: Pair) -> Iterator[Pair]:
    """Two hosts, `a` with the stopped container c1, its snapshot s1 and a few megabytes in both."""
    both.mend()
    both.a.lxc("init", "bb", "c1", "-c", "user.kept=yes")
    both.a.lxc("file", "push", "-", "c1/root/noise", stdin="x" * 100)
    fill(both.a, "c1")
    both.a.lxc("snapshot", "c1", "s1")
    yield both
    both.mend()
    for daemon in (both.a, both.b):
        for name in daemon.names():
            daemon.lxc("delete", "-f", name)
        assert "Traceback" not in daemon.log()


def fill(daemon: Daemon, name: str) -> None:
    """Give it a file that cannot be made smaller."""
    place = f"{daemon.folder}/lxd/storage-pools/default/containers/{name}/rootfs/root/big"
    script = f"head -c {MEGABYTES}M /dev/urandom >{place}"
    subprocess.run([*daemon.within, "sh", "-c", script], check=True)


def show(daemon: Daemon, name: str) -> dict[str, object]:
    found = json.loads(daemon.request("GET", f"/1.0/containers/{name}"))["metadata"]
    return {"config": found["config"], **{k: found[k] for k in ("devices", "profiles", "description")}}


def snapshots(daemon: Daemon, name: str) -> list[tuple[str, str]]:
    found = json.loads(daemon.request("GET", f"/1.0/containers/{name}/snapshots?recursion=1"))["metadata"]
    return [(one["name"].partition("/")[2], one["created_at"]) for one in found]


def checksum(daemon: Daemon, name: str) -> str:
    """Of the big file; the container must run."""
    return daemon.lxc("exec", name, "--", "sha256sum", "/root/big").split()[0]


def test_a_container_is_copied_and_moved_in_every_mode(hosts: Pair) -> None:
    hosts.a.lxc("copy", "c1", "b:", "--mode=pull")
    lan = ("-d", "eth0,name=lan0", "-d", f"eth0,parent={hosts.b.bridge}")
    hosts.a.lxc("copy", "c1/s1", "b:c2", "--mode=push", "-c", "user.kept=no", *lan, "-e")
    hosts.a.lxc("copy", "b:c1", "c3", "--mode=relay")
    assert snapshots(hosts.b, "c1") == snapshots(hosts.a, "c3") == snapshots(hosts.a, "c1")
    assert snapshots(hosts.b, "c2") == []
    before = show(hosts.a, "c1")["config"]
    assert isinstance(before, dict)
    hosts.a.lxc("move", "c1", "b:c4")
    assert sorted(hosts.a.names()) == ["c3"] and sorted(hosts.b.names()) == ["c1", "c2", "c4"]
    moved, copied = show(hosts.b, "c4")["config"], show(hosts.b, "c1")["config"]
    assert isinstance(moved, dict) and isinstance(copied, dict)
    mac = "volatile.eth0.hwaddr"
    assert moved[mac] == before[mac] != copied[mac] and copied["user.kept"] == "yes"
    assert hosts.b.lxc("config", "get", "c2", "user.kept") == "no\n"
    for daemon, name in ((hosts.b, "c1"), (hosts.b, "c4"), (hosts.a, "c3"), (hosts.b, "c2")):
        daemon.lxc("start", name)
    sums = {
        checksum(hosts.b, "c1"),
        checksum(hosts.b, "c4"),
        checksum(hosts.a, "c3"),
        checksum(hosts.b, "c2"),
    }
    assert len(sums) == 1
    assert hosts.b.lxc("exec", "c2", "--", "ls", "/sys/class/net").split() == ["lan0", "lo"]


HOPS = (("c1", "b:dir", "dir"), ("b:dir", "layers", "overlay"), ("layers", "b:sub", "default"))
"""Copies along pools of all kinds, each of the one before: source, target, its pool."""
FILL = """
cd /root && rm -f gone linked && echo %s >changed && ln changed linked && ln -sf changed link
touch -d @86400 old
mkdir -p folder && chown 12:34 folder && chmod 2750 folder && chmod 4755 noise
dd if=/dev/zero of=sparse bs=1 count=1 seek=9M 2>/dev/null; mkfifo -m 600 pipe; true
"""
SHOW = """
cd /root && stat -c '%n %a %u %g %h %F' * && stat -c '%n %Y' old
test $(stat -c %b sparse) -lt 100 && echo sparse
sha256sum big changed link linked noise
"""


def test_copies_between_pools_of_all_kinds_and_their_refresh(hosts: Pair) -> None:
    hosts.b.lxc("storage", "create", "dir", "dir")
    hosts.a.lxc("storage", "create", "overlay", "overlay")
    hosts.a.lxc("start", "c1")

    def inside(daemon: Daemon, name: str, script: str) -> str:
        return daemon.lxc("exec", name, "--", "sh", "-c", script)

    def copy(*words: str) -> None:
        for source, target, pool in HOPS:
            hosts.a.lxc("copy", source, target, "-s", pool, *words)

    try:
        inside(hosts.a, "c1", f"{FILL % 'once'}touch gone")
        hosts.a.lxc("snapshot", "c1", "s2")
        first = inside(hosts.a, "c1", SHOW)
        copy()
        inside(hosts.a, "c1", FILL % "twice")
        hosts.a.lxc("snapshot", "c1", "s3")
        copy("--refresh")
        assert snapshots(hosts.b, "sub") == snapshots(hosts.a, "c1")
        hosts.b.lxc("start", "sub")
        assert inside(hosts.b, "sub", SHOW) == inside(hosts.a, "c1", SHOW) != first
        hosts.b.lxc("stop", "-f", "sub")
        hosts.b.lxc("restore", "sub", "s2")
        hosts.b.lxc("start", "sub")
        assert inside(hosts.b, "sub", SHOW) == first
    finally:
        for daemon in (hosts.a, hosts.b):
            for name in daemon.names():
                daemon.lxc("delete", "-f", name)
        hosts.a.lxc("storage", "delete", "overlay")
        hosts.b.lxc("storage", "delete", "dir")


def test_one_that_runs_is_copied_and_not_moved_and_refreshed_when_it_stands(hosts: Pair) -> None:
    hosts.a.lxc("start", "c1")
    assert "takes no running containers" in hosts.a.error("move", "c1", "b:")
    hosts.a.lxc("copy", "c1", "b:")
    hosts.a.lxc("exec", "c1", "--", "touch", "/root/later")
    hosts.a.lxc("snapshot", "c1", "s2")
    hosts.b.lxc("start", "c1")
    assert "is running here" in hosts.a.error("copy", "c1", "b:", "--refresh")
    hosts.b.lxc("stop", "-f", "c1")
    hosts.b.lxc("snapshot", "c1", "own")
    mac = hosts.b.lxc("config", "get", "c1", "volatile.eth0.hwaddr")
    hosts.a.lxc("copy", "c1", "b:", "--refresh")
    assert sorted(name for name, _ in snapshots(hosts.b, "c1")) == ["own", "s1", "s2"]
    hosts.b.lxc("start", "c1")
    assert hosts.b.lxc("exec", "c1", "--", "ls", "/root").split() == ["big", "later", "noise"]
    assert hosts.b.lxc("config", "get", "c1", "volatile.eth0.hwaddr") == mac


def test_what_the_target_lacks_is_said_before_anything_moves(hosts: Pair) -> None:
    hosts.a.lxc("profile", "create", "web")
    hosts.a.lxc("profile", "add", "c1", "web")
    assert "Requested profile 'web' doesn't exist" in hosts.a.error("copy", "c1", "b:")
    hosts.a.lxc("profile", "remove", "c1", "web")
    hosts.a.lxc("profile", "delete", "web")
    missing = hosts.a.error("copy", "c1", "b:", "-d", "eth0,name=lan0")
    assert f"Missing parent '{hosts.a.bridge}'" in missing
    assert "not found" in hosts.a.error("copy", "c1", "b:", "-s", "nope")
    hosts.a.lxc("config", "set", "c1", "security.protection.delete=true")
    assert "it stays" in hosts.a.error("move", "c1", "b:")
    hosts.a.lxc("config", "unset", "c1", "security.protection.delete")
    assert hosts.b.names() == [] and hosts.a.names() == ["c1"]


def test_another_way_is_found_where_the_target_cannot_connect(hosts: Pair) -> None:
    hosts.a.lxc("config", "unset", "core.https_address")
    try:
        assert "does not listen on the network" in hosts.a.error("copy", "c1", "b:", "--mode=pull")
        hosts.a.lxc("copy", "c1", "b:")
        hosts.a.lxc("move", "b:c1", "c2")
        hosts.a.lxc("delete", "c1")
        completed = hosts.a.run("move", "c2", "b:c1", "--mode=relay")
        assert completed.returncode == 0, completed.stderr
    finally:
        hosts.a.lxc("config", "set", "core.https_address", "10.99.77.1:8443")
    assert (hosts.a.names(), hosts.b.names()) == ([], ["c1"])


# --- what goes wrong on the way ----------------------------------------------------------------


class Slowly:
    """A client that copies or moves slowly, stopped in the middle of the files."""

    def __init__(self, hosts: Pair, *words: str) -> None:
        watch = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "monitor", "--type=operation"]
        with subprocess.Popen(watch, env=hosts.a.environment, stdout=subprocess.PIPE) as monitor:
            assert monitor.stdout is not None
            argv = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *words, "--limit", SLOW]
            self.client = subprocess.Popen(argv, env=hosts.a.environment, stderr=subprocess.PIPE)
            for line in monitor.stdout:
                if b"fs_progress" in line:
                    break
            monitor.kill()

    def error(self) -> str:
        """What it says in the end."""
        said = self.client.communicate(timeout=60)[1].decode()
        assert self.client.returncode != 0
        return said


def assert_only_on_a(hosts: Pair) -> None:
    """The container is where it was, and the other host has nothing, not even in the making."""
    assert (hosts.a.names(), hosts.b.names()) == (["c1"], [])
    pool = f"{hosts.b.folder}/lxd/storage-pools/default"
    script = f"find {pool}/containers -mindepth 1 -maxdepth 1; find {pool}/snapshots -mindepth 2 -maxdepth 2"
    left = subprocess.run([*hosts.b.within, "sh", "-c", script], capture_output=True, check=True)
    assert left.stdout == b""


def test_a_link_that_is_cut_in_the_middle_leaves_the_container_where_it_was(hosts: Pair) -> None:
    moving = Slowly(hosts, "move", "c1", "b:", "--mode=push")
    hosts.cut()
    assert "broke off" in moving.error()
    hosts.mend()
    hosts.b.wait_idle()
    assert_only_on_a(hosts)
    hosts.a.lxc("move", "c1", "b:")
    assert (hosts.a.names(), hosts.b.names()) == ([], ["c1"])


def test_either_side_can_cancel_and_so_can_the_client(hosts: Pair) -> None:
    for mode, by in (("pull", hosts.b), ("push", hosts.a), ("push", None), ("relay", None)):
        moving = Slowly(hosts, "move", "c1", "b:", f"--mode={mode}")
        if by is None:
            moving.client.send_signal(signal.SIGINT)
        else:
            running = json.loads(by.request("GET", "/1.0/operations"))["metadata"]["running"]
            by.request("DELETE", running[0])
        said = moving.error()
        assert "cancel" in said or (mode == "relay" and said == ""), said
        hosts.a.wait_idle()
        hosts.b.wait_idle()
        assert_only_on_a(hosts)
