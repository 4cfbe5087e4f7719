"""Copies and moves that break in each phase: the container is there once, whole, and no more is left."""

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.system.dying import held
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from tests.system.hosts import Pair, pair

MEGABYTES = 3
DISK_MB = 48
FOLDER = "/mnt/wardian-files"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Pair]:
    """Each with a btrfs pool `default`, and a pool `files` of folders on a small disk."""
    with pair("btrfs", "btrfs", "tests.system.dying") as made:
        for daemon in (made.a, made.b):
            disk = daemon.folder / "disk"
            script = (
                f"truncate -s {DISK_MB}M {disk} && mkfs.ext4 -qF {disk} && mount -t tmpfs none /mnt && "
                f"mkdir {FOLDER} && mount -o loop {disk} {FOLDER} && rmdir {FOLDER}/*"
            )
            subprocess.run([*daemon.within, "sh", "-c", script], check=True)
            daemon.lxc("storage", "create", "files", "dir", f"source={FOLDER}")
        yield made
        for daemon in (made.a, made.b):
            for name in daemon.names():
                daemon.lxc("delete", "-f", name)
            daemon.lxc("storage", "delete", "files")


@pytest.fixture
def empty(hosts: Pair) -> Iterator[tuple[dict[str, set[str]], ...]]:
    """What they have when there is no container, before and after a test."""
    found = present(hosts.a), present(hosts.b)
    yield found
    for daemon in (hosts.a, hosts.b):
        for name in daemon.names():
            daemon.lxc("delete", "-f", name)
    assert (present(hosts.a), present(hosts.b)) == found


@dataclass(frozen=True)
class Case:
    """What is asked for, who waits at which point of it, and what happens then.

    words: of the command, before the names; left: the hosts that have the container afterwards, `|` where
    there is more than one possibility.
    """

    words: str
    point: str
    fault: str
    left: str = "a"
    said: str = ""
    pool: str = "default"
    kept: bool = False
    """`b` keeps what has come whole, for the next try, which does not come."""


SOURCE, SINK, WIRE = "wardian.core.migration_source", "wardian.core.migration_sink", "wardian.core.wire:Wire"
CONNECTED = f"a {SOURCE}:_agreed"
AGREED = f"b {SINK}:_take_all"
SENDS = f"a {WIRE}.send"
RECEIVES = f"b {WIRE}.receive"
CONFIRMS = f"a {SOURCE}:_heard_end"
ARRIVED = "b wardian.core.containers:settled"
SAYS_SO = f"b {SINK}:_say_end"
HEARS_SO = f"a {WIRE}.hear 4"
"""The phases of a container with one snapshot, in their order: who waits, before what."""

ANY = "a|b|ab"
"""As the fault is faster, or the target, or its verdict is lost, which is told."""
LOOK = 'look whether "b" has "c1"'
CASES = [
    Case("move --mode=pull", CONNECTED, "kill b", pool="files", said=LOOK),
    Case("copy --mode=push", CONNECTED, "cancel a", said="cancel"),
    Case("move --mode=pull", AGREED, "cut", pool="files"),
    Case("move --mode=push", AGREED, "kill a"),
    Case("copy --mode=pull", AGREED, "cancel b", said="cancel"),
    Case("move --mode=relay", AGREED, "interrupt"),
    Case("move --mode=push", SENDS, "kill a", pool="files"),
    Case("move --mode=pull", SENDS, "interrupt", said="cancel", pool="files"),
    Case("move --mode=push", RECEIVES, "cut", pool="files"),
    Case("move --mode=pull", RECEIVES, "kill b", said=LOOK),
    Case("move --mode=push", RECEIVES, "cancel b", said="cancel"),
    Case("move --mode=push", RECEIVES, "fill", said="is full"),
    Case("move --mode=pull", RECEIVES, "fill", said="is full", pool="files"),
    Case("move --mode=push", CONFIRMS, "cut", left=ANY),
    Case("copy --mode=pull", CONFIRMS, "kill a", left="a|ab", pool="files"),
    Case("move --mode=pull", ARRIVED, "kill b", pool="files", said=LOOK, kept=True),
    Case("move --mode=pull", ARRIVED, "interrupt", said="cancel"),
    Case("move --mode=push", SAYS_SO, "cut", left="b"),
    Case("move --mode=pull", SAYS_SO, "kill b", left="ab", said=LOOK, pool="files"),
    Case("move --mode=push", HEARS_SO, "kill a", left="ab", said="delete one of the two"),
    Case("move --mode=pull", HEARS_SO, "cancel a", left="b"),
]


def cancel(daemon: Daemon) -> None:
    (operation,) = json.loads(daemon.request("GET", "/1.0/operations"))["metadata"]["running"]
    daemon.request("DELETE", operation)


def fill(daemon: Daemon) -> None:
    """Leave no space in its pools."""
    for pool in (FOLDER, f"{daemon.folder}/lxd/storage-pools/default"):
        script = f"for again in 1 2 3; do cat /dev/zero >>{pool}/full; sync -f {pool}/full; done"
        subprocess.run([*daemon.within, "sh", "-c", script], check=True, stderr=subprocess.DEVNULL)


def interrupt(_: Pair, client: "subprocess.Popen[bytes]") -> None:
    """As Ctrl-C does; it is over when the client says so."""
    client.send_signal(signal.SIGINT)
    client.wait(60)


FAULTS: dict[str, Callable[[Pair, "subprocess.Popen[bytes]"], None]] = {
    "cut": lambda hosts, _: hosts.cut(),
    "kill a": lambda hosts, _: hosts.a.kill(),
    "kill b": lambda hosts, _: hosts.b.kill(),
    "cancel a": lambda hosts, _: cancel(hosts.a),
    "cancel b": lambda hosts, _: cancel(hosts.b),
    "interrupt": interrupt,
    "fill": lambda hosts, _: fill(hosts.b),
}


def settle(hosts: Pair) -> None:
    """Have everything as it was, but for what is left of the case."""
    daemons = (hosts.a, hosts.b)
    for daemon in daemons:
        if daemon.process is not None and daemon.process.poll() is not None:
            daemon.start()
    for daemon in daemons:
        daemon.wait_idle()
        for pool in (FOLDER, f"{daemon.folder}/lxd/storage-pools/default"):
            subprocess.run([*daemon.within, "rm", "-f", f"{pool}/full"], check=True)
    hosts.mend()


def present(daemon: Daemon) -> dict[str, set[str]]:
    """All that a daemon has of containers: records, files, mounts."""
    with tempfile.TemporaryDirectory() as copy:  # the daemon does not let others into its own
        for file in (daemon.folder / "lxd").glob("lxd.db*"):
            shutil.copy(file, copy)
        with contextlib.closing(sqlite3.connect(f"{copy}/lxd.db")) as records:
            keys = {key for (key,) in records.execute("SELECT key FROM documents")}
    pools = f"{daemon.folder}/lxd/storage-pools/default {FOLDER}"
    script = (
        f"find {pools} -mindepth 1 -maxdepth 3 -not -path '*/images/*'; cut -d' ' -f5 /proc/self/mountinfo"
    )
    found = subprocess.run([*daemon.within, "sh", "-c", script], check=True, capture_output=True)
    lines = found.stdout.decode().splitlines()
    return {
        "records": {key for key in keys if key.startswith(("container", "snapshot"))},
        "files and mounts": {line for line in lines if line.startswith((str(daemon.folder), FOLDER))},
    }


def digest(daemon: Daemon, pool: str) -> str:
    """Of the big files of c1 and of its snapshot."""
    files = "containers/c1/rootfs/root/big snapshots/c1/s1/rootfs/root/big"
    script = f"cd {folder(daemon, pool)} && cat {files} | sha256sum"
    return subprocess.run(
        [*daemon.within, "sh", "-c", script], check=True, capture_output=True
    ).stdout.decode()


def folder(daemon: Daemon, pool: str) -> str:
    return FOLDER if pool == "files" else f"{daemon.folder}/lxd/storage-pools/{pool}"


def make(hosts: Pair, pool: str) -> None:
    """The container c1 on `a`, with a snapshot and a file in both that cannot be made smaller."""
    hosts.a.lxc("init", "bb", "c1", "-s", pool)
    noise = f"head -c {MEGABYTES}M /dev/urandom >{folder(hosts.a, pool)}/containers/c1/rootfs/root/big"
    subprocess.run([*hosts.a.within, "sh", "-c", noise], check=True)
    hosts.a.lxc("snapshot", "c1", "s1")


def begin(hosts: Pair, words: str) -> "subprocess.Popen[bytes]":
    """A client that copies or moves it."""
    verb, *more = words.split()
    argv = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, verb, "c1", "b:", *more]
    argv += ["-d", f"eth0,parent={hosts.b.bridge}"]
    return subprocess.Popen(argv, env=hosts.a.environment, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.words}-{case.point.split(':')[1]}-{case.fault}"
)
def test_it_is_there_once_and_whole(hosts: Pair, empty: list[dict[str, set[str]]], case: Case) -> None:
    make(hosts, case.pool)
    before, content = present(hosts.a), digest(hosts.a, case.pool)

    which, point = case.point.split(" ", 1)
    with held(getattr(hosts, which), point) as reached:
        client = begin(hosts, case.words)
        connection, _ = reached.accept()
        if case.point == HEARS_SO:
            hosts.b.wait_idle()  # it has said so
        FAULTS[case.fault](hosts, client)
        connection.close()
        if case.fault.startswith("kill"):
            client.wait(60)  # before its daemon is there again
        settle(hosts)
        said = client.communicate(timeout=60)[1].decode()
    print(said)
    found = {name: getattr(hosts, name) for name in "ab" if getattr(hosts, name).names() == ["c1"]}
    assert "".join(found) in case.left.split("|")
    assert bool(client.returncode) == ("a" in found and case.left != "a|ab")
    assert case.said in said
    assert len(found) < 2 or case.words.startswith("copy") or "delete one of the two" in said or LOOK in said
    assert "a" not in found or present(hosts.a) == before
    if case.kept:
        assert present(hosts.b) != empty[1]
        hosts.b.lxc("delete", "c1")
    assert "b" in found or present(hosts.b) == empty[1]
    for daemon in found.values():
        assert digest(daemon, case.pool) == content


@pytest.mark.parametrize("pool", ["default", "files"])
def test_the_next_try_goes_on_where_the_first_broke_off(
    hosts: Pair, empty: list[dict[str, set[str]]], pool: str
) -> None:
    make(hosts, pool)

    def born() -> str:
        """When the snapshot on `b` was made."""
        argv = [*hosts.b.within, "stat", "-c", "%W %w", f"{folder(hosts.b, pool)}/snapshots/c1/s1"]
        return subprocess.run(argv, check=True, capture_output=True).stdout.decode()

    with held(hosts.b, f"{WIRE}.receive 2") as reached:  # the snapshot is there
        client = begin(hosts, "copy --mode=push")
        connection, _ = reached.accept()
        hosts.cut()
        connection.close()
        settle(hosts)
        assert client.communicate(timeout=60)[1]
    assert hosts.b.names() == []
    assert "not found" in hosts.b.error("start", "c1")
    before = born()
    hosts.b.kill()
    settle(hosts)
    assert hosts.b.names() == []
    client = begin(hosts, "copy")
    assert client.communicate(timeout=60)[1].decode() == ""
    assert (hosts.b.names(), born()) == (["c1"], before)
    assert digest(hosts.b, pool) == digest(hosts.a, pool)
