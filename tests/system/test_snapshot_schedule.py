"""Snapshots that the daemon takes and removes by its clock."""

import time
from collections.abc import Iterator

import pytest

from tests.system.harness import PATIENCE, Daemon, snapshots

WITHIN_S = 90 * PATIENCE


@pytest.fixture
def here(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, with no container of these tests afterwards."""
    yield daemon
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)


def wait_until(daemon: Daemon, name: str, wanted: list[str]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while snapshots(daemon, name) != wanted:
        assert time.monotonic() < deadline, (snapshots(daemon, name), daemon.log()[-2000:])
        time.sleep(0.1)  # the daemon's clock is what we wait for


def test_a_snapshot_goes_when_its_time_has_come(here: Daemon) -> None:
    here.lxc("init", "bb", "c1")
    here.lxc("snapshot", "c1", "stays")
    here.lxc("snapshot", "c1", "goes", "--expiry", "1H")
    here.request("PATCH", "/1.0/containers/c1/snapshots/goes", '{"expires_at": "2020-01-01T00:00:00Z"}')
    wait_until(here, "c1", ["stays"])
    assert not (here.folder / "lxd/storage-pools/default/snapshots/c1/goes").exists()


def test_the_daemon_takes_snapshots_and_keeps_those_of_the_rule(here: Daemon) -> None:
    here.lxc("launch", "bb", "c1")
    here.lxc("snapshot", "c1", "mine")
    here.lxc("init", "bb", "c2")
    for name in ("c1", "c2"):
        here.lxc("config", "set", name, "snapshots.keep=1d", "snapshots.pattern=auto%d")
        here.lxc("config", "set", name, "snapshots.schedule", "* * * * *")
    wait_until(here, "c1", ["mine", "auto0"])
    wait_until(here, "c1", ["mine", "auto1"])
    assert snapshots(here, "c2") == []  # stopped
