"""A running container goes from one host to another, and runs on exactly one of them."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.dying import held
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, READY_S, Daemon
from tests.system.hosts import Pair, pair
from tests.system.test_migration import Slowly
from wardian.drivers.runtime import dump

COUNT = "(i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done) </dev/null >/dev/null 2>&1 &"


@pytest.fixture(scope="module")
def hosts(criu: None) -> Iterator[Pair]:
    with pair("btrfs", "btrfs", "tests.system.dying") as made:
        yield made


@pytest.fixture
def c1(hosts: Pair) -> Iterator[str]:
    """A container on `a` in which a counter runs."""
    hosts.a.lxc("launch", "bb", "c1", "-p", "default")
    script = f"{COUNT} until test -s /tmp/count; do sleep 0.01; done"
    hosts.a.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", script)
    yield "c1"
    hosts.mend()
    for daemon in (hosts.a, hosts.b):
        for name in daemon.names():
            daemon.lxc("delete", "-f", name)


def wait_running(daemon: Daemon) -> None:
    """Return once its only container, c1, runs."""
    deadline = time.monotonic() + READY_S
    while daemon.names("ns") != ["c1,RUNNING"]:
        assert time.monotonic() < deadline, daemon.log()[-2000:]
        time.sleep(0.05)  # what we wait for happens in another system: there is no event to wait on


def goes_on(daemon: Daemon) -> int:
    """Where the counter is, once it has counted."""
    script = (
        'until a=$(cat /tmp/count) && test "$a"; do :; done; '  # it is empty while it is written
        'while test "$(cat /tmp/count)" = "$a"; do sleep 0.01; done; echo "$a"'
    )
    return int(daemon.lxc("exec", "c1", "--", "sh", "-c", script))


def test_it_goes_on_over_there(hosts: Pair, c1: str) -> None:
    lan = ("-d", f"eth0,parent={hosts.b.bridge}")
    hosts.b.lxc("config", "set", "migration.accept_memory", "false")
    assert "migration.accept_memory" in hosts.a.error("move", c1, "b:", *lan)
    before = goes_on(hosts.a)
    assert hosts.b.names() == []
    hosts.b.lxc("config", "set", "migration.accept_memory", "true")
    hosts.a.lxc("move", c1, "b:", *lan)
    assert hosts.a.names() == [] and hosts.b.names("ns") == ["c1,RUNNING"]
    assert goes_on(hosts.b) > before


def test_it_goes_on_here_if_it_cannot_there(hosts: Pair, c1: str) -> None:
    hosts.b.lxc("config", "set", "migration.accept_memory", "true")
    before = goes_on(hosts.a)
    unknown_to_it = ("-d", f"eth0,parent={hosts.b.bridge}", "-d", "eth0,name=lan0")
    said = hosts.a.error("move", c1, "b:", *unknown_to_it)
    assert "have changed since its state was saved" in said
    assert hosts.b.names() == [] and hosts.a.names("ns") == ["c1,RUNNING"]
    assert goes_on(hosts.a) > before


@pytest.mark.parametrize("fault", ["cut", "target", "source"])
def test_it_goes_on_here_if_its_way_breaks(hosts: Pair, c1: str, fault: str) -> None:
    hosts.b.lxc("config", "set", "migration.accept_memory", "true")
    hosts.a.lxc(
        "exec", c1, "--", "sh", "-c", "dd if=/dev/urandom of=/root/big bs=1M count=12 2>/dev/null && sync"
    )
    before = goes_on(hosts.a)
    moving = Slowly(hosts, "move", c1, "b:", "--mode=push", "-d", f"eth0,parent={hosts.b.bridge}")
    if fault == "cut":
        hosts.cut()
        moving.error()
        hosts.mend()
    else:
        victim = hosts.b if fault == "target" else hosts.a
        victim.kill()
        moving.error()
        victim.start()
    for daemon in (hosts.a, hosts.b):
        daemon.wait_idle()
    assert hosts.b.names() == []
    wait_running(hosts.a)  # where its daemon died, the next one has it go on
    assert goes_on(hosts.a) > before
    assert not list(pool_of(hosts.a).rglob("state"))


def pool_of(daemon: Daemon) -> Path:
    """Its pool, which is mounted where it is only for it."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/root{daemon.folder}/lxd/storage-pools/default")


def sums(daemon: Daemon, pattern: str) -> list[str]:
    """Checksums of files in its pool."""
    script = (
        f"cd {daemon.folder}/lxd/storage-pools/default && cat {pattern} | sha256sum | cut -c1-64; exit 0"
    )
    done = subprocess.run([*daemon.within, "sh", "-c", script], capture_output=True, check=True)
    return [] if done.stderr else done.stdout.decode().split()


def test_its_files_are_there_before_it_stops(hosts: Pair, c1: str) -> None:
    """What is sent while it stands still is what has changed meanwhile."""
    hosts.b.lxc("config", "set", "migration.accept_memory", "true")
    fill = "dd if=/dev/urandom of=/root/big bs=1M count=12 2>/dev/null && sync"
    hosts.a.lxc("exec", c1, "--", "sh", "-c", fill)
    argv = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "move", c1, "b:"]
    with held(hosts.a, "wardian.drivers.runtime.dump:save") as reached:
        lan = ("-d", f"eth0,parent={hosts.b.bridge}")
        client = subprocess.Popen([*argv, *lan], env=hosts.a.environment)
        connection, _ = reached.accept()
        assert hosts.a.names("ns") == ["c1,RUNNING"] and hosts.b.names() == []
        assert sums(hosts.a, "containers/c1/rootfs/root/big") == sums(
            hosts.b, "snapshots/c1/*/rootfs/root/big"
        )
        hosts.a.lxc("exec", c1, "--", "sh", "-c", "echo later >/root/later; rm /root/big")
        connection.close()
        assert client.wait(60) == 0
    assert hosts.b.lxc("exec", c1, "--", "ls", "/root").split() == ["later"]
    assert sums(hosts.a, "snapshots/c1/*/rootfs/init") == sums(hosts.b, "snapshots/c1/*/rootfs/init") == []


def test_its_memory_is_there_before_it_stops(hosts: Pair, c1: str) -> None:
    if not asyncio.run(dump.can_tell_changes()):
        pytest.skip("the kernel does not tell which memory has changed; runs in the virtual machine")
    hosts.b.lxc("config", "set", "migration.accept_memory", "true")
    hold = "dd if=/dev/urandom of=/dev/null bs=24M count=100000 </dev/null >/dev/null 2>&1 &"
    hosts.a.lxc("exec", c1, "--", "busybox", "setsid", "sh", "-c", hold)
    before = goes_on(hosts.a)
    argv = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "move", c1, "b:"]
    with held(hosts.a, "wardian.drivers.runtime.dump:save") as reached:
        lan = ("-d", f"eth0,parent={hosts.b.bridge}")
        client = subprocess.Popen([*argv, *lan], env=hosts.a.environment)
        connection, _ = reached.accept()
        assert goes_on(hosts.a) > before
        saved = pool_of(hosts.b).glob("snapshots/c1/*/state/ahead/1/pages-*")
        assert sum(file.stat().st_size for file in saved) > 24 << 20
        connection.close()
        assert client.wait(60) == 0
    assert hosts.a.names() == [] and hosts.b.names("ns") == ["c1,RUNNING"]
    assert goes_on(hosts.b) > before
    assert not [*pool_of(hosts.a).rglob("state"), *pool_of(hosts.b).rglob("state")]
