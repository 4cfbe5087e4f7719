"""A running container goes from one host to another, and runs on exactly one of them."""

import time
from collections.abc import Iterator

import pytest

from tests.system.harness import READY_S, Daemon
from tests.system.hosts import Pair, pair
from tests.system.test_migration import Slowly

COUNT = "(i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done) </dev/null >/dev/null 2>&1 &"


@pytest.fixture(scope="module")
def hosts(criu: None) -> Iterator[Pair]:
    with pair("btrfs", "btrfs") as made:
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
