"""Killed daemons, full disks and cancelled moves of what runs: it runs once, where it should."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.system.dying import doom, held
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from tests.system.hosts import Pair, pair
from tests.system.test_live_move import COUNT, goes_on, pool_of, wait_running
from tests.system.test_migration import Slowly

STOPPED, RUNNING = ["c1,STOPPED"], ["c1,RUNNING"]
POOL = "lxd/storage-pools/default"


@pytest.fixture(scope="module")
def hosts(criu: None) -> Iterator[Pair]:
    with pair("btrfs", "btrfs", "tests.system.dying") as made:
        made.b.lxc("config", "set", "migration.accept_memory", "true")
        yield made


@pytest.fixture
def before(hosts: Pair) -> Iterator[int]:
    """The container c1 on `a`, with some megabytes of files: where its counter is."""
    hosts.a.lxc("launch", "bb", "c1", "-p", "default")
    script = (
        "dd if=/dev/urandom of=/root/big bs=1M count=12 && sync || { df /root; mount | head -3; exit 3; }"
    )
    hosts.a.lxc("exec", "c1", "--", "sh", "-c", script)
    counts = f"{COUNT} until test -s /tmp/count; do sleep 0.01; done"
    hosts.a.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", counts)
    yield goes_on(hosts.a)
    for daemon in (hosts.a, hosts.b):
        daemon.wait_idle()
        for name in daemon.names():
            daemon.lxc("delete", "-f", name)
        assert left_in(daemon) == ""


def left_in(daemon: Daemon) -> str:
    """Volumes in its pool, of containers that are not listed, too."""
    script = f"find {daemon.folder}/{POOL}/containers -mindepth 1 -maxdepth 1"
    return subprocess.run(
        [*daemon.within, "sh", "-c", script], capture_output=True, check=True
    ).stdout.decode()


def moved(hosts: Pair) -> tuple[str, ...]:
    return ("move", "c1", "b:", "--mode=push", "-d", f"eth0,parent={hosts.b.bridge}")


CHECKPOINT = "wardian.drivers.runtime.checkpoint"
SOURCE, SINK = "wardian.core.migration_source", "wardian.core.migration_sink"
KILLED = [
    ("a", "wardian.drivers.runtime.dump:save", RUNNING, []),
    ("a", "wardian.core.wire:Wire.send", RUNNING, []),
    ("a", f"{SOURCE}:_hand_over", RUNNING, []),
    ("a", f"{SOURCE}:_heard_end", STOPPED, RUNNING),
    ("b", "wardian.core.wire:Wire.receive", RUNNING, []),
    ("b", f"{SINK}:_take_rest", RUNNING, []),
    ("b", f"{CHECKPOINT}:restore", STOPPED, []),
    ("b", f"{SINK}:finish_arrival", STOPPED, RUNNING),
]
"""Whose daemon, when (before it saves, sends while the container runs, sends the rest, hears that all is
there; receives while it runs, receives the rest, restores, hands over), and what is then where. A container
that may run on `b` does not go on by itself on `a`."""


@pytest.mark.parametrize(("which", "point", "on_a", "on_b"), KILLED)
def test_a_killed_daemon(
    hosts: Pair, before: int, which: str, point: str, on_a: list[str], on_b: list[str]
) -> None:
    victim: Daemon = getattr(hosts, which)
    doom(victim, point)
    assert victim.process is not None
    hosts.a.error(*moved(hosts))
    assert victim.process.wait() == -signal.SIGKILL
    victim.start()
    for daemon in (hosts.a, hosts.b):
        daemon.wait_idle()
    if on_a == RUNNING:
        wait_running(hosts.a)
    assert (hosts.a.names("ns"), hosts.b.names("ns")) == (on_a, on_b)
    runs = hosts.b if on_b else hosts.a
    if RUNNING not in (on_a, on_b):
        runs.lxc("start", "c1")
    assert goes_on(runs) > before
    assert bool(left_in(hosts.b)) == bool(on_b)


def cut(hosts: Pair, _: "subprocess.Popen[bytes]") -> None:
    hosts.cut()


def kill_a(hosts: Pair, _: "subprocess.Popen[bytes]") -> None:
    hosts.a.kill()


def kill_b(hosts: Pair, _: "subprocess.Popen[bytes]") -> None:
    hosts.b.kill()


def interrupt(_: Pair, client: "subprocess.Popen[bytes]") -> None:
    client.send_signal(signal.SIGINT)


BROKEN = [
    ("a", "wardian.drivers.runtime.dump:save", cut, RUNNING, []),
    ("a", "wardian.drivers.runtime.dump:save", kill_b, RUNNING, []),
    ("a", f"{SOURCE}:_heard_end", cut, [], RUNNING),
    ("b", f"{CHECKPOINT}:restore", kill_a, STOPPED, RUNNING),
    ("b", f"{CHECKPOINT}:restore", interrupt, [], RUNNING),
    ("b", f"{SINK}:_say_end", cut, [], RUNNING),
    ("b", f"{SINK}:_say_end", kill_b, STOPPED, RUNNING),
    ("b", f"{SINK}:_say_end", kill_a, STOPPED, RUNNING),
]
"""Who waits before what, what breaks meanwhile, and what is then where. The last three lose the verdict."""


@pytest.mark.parametrize(("which", "point", "fault", "on_a", "on_b"), BROKEN)
def test_a_break_in_each_phase(
    hosts: Pair,
    before: int,
    which: str,
    point: str,
    fault: Callable[[Pair, "subprocess.Popen[bytes]"], None],
    on_a: list[str],
    on_b: list[str],
) -> None:
    argv = [*hosts.a.within, PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *moved(hosts)]
    with held(getattr(hosts, which), point) as reached:
        client = subprocess.Popen(argv, env=hosts.a.environment, stderr=subprocess.PIPE)
        connection, _ = reached.accept()
        fault(hosts, client)
        connection.close()
        if fault in (kill_a, kill_b):
            client.wait(60)
        for daemon in (hosts.a, hosts.b):
            if daemon.process is not None and daemon.process.poll() is not None:
                daemon.start()
            daemon.wait_idle()
        hosts.mend()
        said = client.communicate(timeout=60)[1].decode()
    print(said)
    if fault is cut and on_b and client.returncode:
        on_a = STOPPED  # the cut lasted longer than the client's patience: `a` keeps what may not be on `b`
    assert bool(client.returncode) == bool(on_a)
    assert (hosts.a.names("ns"), hosts.b.names("ns")) == (on_a, on_b)
    assert not (on_a and on_b) or '"c1"' in said
    assert goes_on(hosts.b if on_b else hosts.a) > before


@pytest.mark.parametrize("by", ["client", "target"])
def test_a_cancelled_move(hosts: Pair, before: int, by: str) -> None:
    moving = Slowly(hosts, *moved(hosts))
    if by == "client":
        moving.client.send_signal(signal.SIGINT)
    else:
        (operation,) = json.loads(hosts.b.request("GET", "/1.0/operations"))["metadata"]["running"]
        hosts.b.request("DELETE", operation)
    moving.error()
    for daemon in (hosts.a, hosts.b):
        daemon.wait_idle()
    assert (hosts.a.names("ns"), hosts.b.names()) == (RUNNING, [])
    assert goes_on(hosts.a) > before


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_full_disk(hosts: Pair, before: int, which: str) -> None:
    full: Daemon = getattr(hosts, which)
    hold = "dd if=/dev/urandom of=/dev/null bs=24M count=100000 </dev/null >/dev/null 2>&1 &"
    hosts.a.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", hold)
    file = f"{full.folder}/{POOL}/full"
    fill = f"head -c 1G /dev/zero >{file}; sync; truncate -s -8M {file}; sync; chattr +m {file}"
    subprocess.run([*full.within, "sh", "-c", fill], capture_output=True, check=False)
    try:
        said = hosts.a.error(*moved(hosts))
        assert "full" in said or "space" in said.lower()
        assert (hosts.a.names("ns"), hosts.b.names()) == (RUNNING, [])
        assert goes_on(hosts.a) > before
        if which == "a":
            assert "is full" in hosts.a.error("stop", "--stateful", "c1")
            assert not list(pool_of(hosts.a).rglob("state"))
            assert goes_on(hosts.a) > before
    finally:
        subprocess.run([*full.within, "rm", "-f", file], check=True)


def test_saved_memory_goes_along_and_wakes_up_there(hosts: Pair, before: int) -> None:
    hosts.a.lxc("stop", "--stateful", "c1")
    hosts.a.lxc("copy", "c1", "b:c2", "-d", f"eth0,parent={hosts.b.bridge}")
    assert "c2/state" not in str(list(pool_of(hosts.b).glob("containers/*/state")))
    hosts.a.lxc(*moved(hosts))
    assert (hosts.a.names(), sorted(hosts.b.names("ns"))) == ([], ["c1,STOPPED", "c2,STOPPED"])
    hosts.b.lxc("start", "c1")
    assert goes_on(hosts.b) > before
