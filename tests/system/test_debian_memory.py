"""The memory of whole Debian systems with systemd: saved, brought back, and moved while they run.

Only with WARDIAN_TEST_DEBIAN=bookworm (or another suite) in the environment: making the image takes the
network and a minute.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.hosts import Pair, pair

SUITE = os.environ.get("WARDIAN_TEST_DEBIAN", "")
pytestmark = pytest.mark.skipif(not SUITE, reason="WARDIAN_TEST_DEBIAN=bookworm runs it")

BOOTED = "until systemctl is-system-running --wait 2>/dev/null | grep -x running; do sleep 0.1; done"
SLEEPS = "setsid sleep 1234 </dev/null >/dev/null 2>&1 &"


@pytest.fixture(scope="module")
def image(criu: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image, as `lxc image export` writes it."""
    with_network = Daemon("d", backend="dir")
    try:
        with_network.lxc("init", f"debian:{SUITE}", "c1")
        with_network.lxc("publish", "c1", "--alias", "deb", "--compression", "none")
        folder = tmp_path_factory.mktemp("image")
        with_network.lxc("image", "export", "deb", f"{folder}/")
        yield next(folder.iterdir())
    finally:
        with_network.close()


@pytest.fixture(scope="module", params=["dir", "overlay"])
def hosts(request: pytest.FixtureRequest, image: Path) -> Iterator[Pair]:
    with pair(request.param, request.param) as made:
        made.a.lxc("image", "import", str(image), "--alias", "deb")
        made.b.lxc("config", "set", "migration.accept_memory", "true")
        yield made
        for daemon in (made.a, made.b):
            for name in daemon.names():
                daemon.lxc("delete", "-f", name)


def works(daemon: Daemon, sleeper: str) -> None:
    """It is the system that was saved, and systemd rules it."""
    assert daemon.lxc("exec", "c1", "--", "pgrep", "-x", "sleep") == sleeper
    daemon.lxc("exec", "c1", "--", "systemctl", "restart", "systemd-networkd", "systemd-logind")
    assert daemon.lxc("exec", "c1", "--", "sh", "-c", BOOTED) == "running\n"


def test_a_system_goes_on_after_all_that(hosts: Pair) -> None:
    a = hosts.a
    a.lxc("launch", "deb", "c1")
    a.lxc("exec", "c1", "--", "sh", "-c", BOOTED)
    assert "migration.stateful=true" in a.error("stop", "--stateful", "c1")
    a.lxc("config", "set", "c1", "migration.stateful", "true")
    a.lxc("restart", "c1")
    a.lxc("exec", "c1", "--", "sh", "-c", f"{BOOTED}; {SLEEPS}")
    assert "Nothing is in the way" in a.lxc("info", "c1", "--criu")
    sleeper = a.lxc("exec", "c1", "--", "pgrep", "-x", "sleep")
    a.lxc("stop", "--stateful", "c1")
    a.lxc("start", "c1")
    works(a, sleeper)
    a.lxc("snapshot", "c1", "then", "--stateful")
    a.lxc("exec", "c1", "--", "touch", "/root/later")
    a.lxc("restore", "c1", "then", "--stateful")
    works(a, sleeper)
    assert a.lxc("exec", "c1", "--", "find", "/root", "-name", "later") == ""
    a.lxc("move", "c1", "b:", "-d", f"eth0,parent={hosts.b.bridge}")
    assert a.names() == [] and hosts.b.names("ns") == ["c1,RUNNING"]
    works(hosts.b, sleeper)
