"""Work that is interrupted: cancelled, raced, or its daemon killed. Nothing half-made remains."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon

IMAGE = "debian:bookworm"
WITHIN_S = 60


@pytest.fixture
def building(daemon: Daemon) -> Iterator[subprocess.Popen[bytes]]:
    """A client that creates the container `slow`, whose image is being built."""
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "init", IMAGE, "slow"]
    with subprocess.Popen(
        argv, env=daemon.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        deadline = time.monotonic() + WITHIN_S
        while not operation_of(daemon):
            assert time.monotonic() < deadline and child.poll() is None
        yield child


def operation_of(daemon: Daemon) -> str:
    """The address of the operation that builds an image; "" if none does."""
    running = json.loads(daemon.request("GET", "/1.0/operations?recursion=1"))["metadata"].get("running", [])
    found = [o["id"] for o in running if "bootstrap_progress" in (o["metadata"] or {})]
    return f"/1.0/operations/{found[0]}" if found else ""


BEFORE = set(Path("/tmp").glob("mmdebstrap.*"))


def assert_nothing_is_left(daemon: Daemon) -> None:
    lxd = daemon.folder / "lxd"
    assert set(Path("/tmp").glob("mmdebstrap.*")) <= BEFORE
    assert "slow" not in daemon.names()
    assert not list((lxd / "images").glob(".build-*"))
    assert not (lxd / "storage-pools/default/containers/slow").exists()
    processes = subprocess.run(["pgrep", "-f", f"mmdebstrap.*{lxd}"], capture_output=True, check=False)
    assert processes.stdout == b""
    assert str(lxd / "images") not in Path("/proc/self/mountinfo").read_text()


def test_a_cancelled_create_leaves_nothing(daemon: Daemon, building: subprocess.Popen[bytes]) -> None:
    operation = operation_of(daemon)
    daemon.request("DELETE", operation)
    waited = json.loads(daemon.request("GET", f"{operation}/wait"))["metadata"]
    assert waited["status"] == "Cancelled"
    assert building.wait(WITHIN_S) == 1
    assert_nothing_is_left(daemon)


def test_a_daemon_killed_during_create_rolls_it_back(
    daemon: Daemon, building: subprocess.Popen[bytes]
) -> None:
    daemon.kill()
    assert building.wait(WITHIN_S) == 1
    daemon.start()
    assert_nothing_is_left(daemon)


def test_a_name_is_given_once_to_whoever_is_first(daemon: Daemon) -> None:
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "init", "bb", "raced"]
    children = [
        subprocess.Popen(argv, env=daemon.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [child.communicate()[1].decode() for child in children]
    assert sorted(child.returncode for child in children) == [0, 1, 1, 1]
    assert all("already exists" in e or "busy" in e for e in errors if e)
    daemon.lxc("start", "raced")
    daemon.lxc("delete", "-f", "raced")


def test_two_launches_of_a_new_image_unpack_it_once(daemon: Daemon) -> None:
    daemon.import_busybox("twice")
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "init", "twice"]
    children = [
        subprocess.Popen([*argv, name], env=daemon.environment, stdin=subprocess.DEVNULL)
        for name in ("twice-a", "twice-b")
    ]
    assert [child.wait() for child in children] == [0, 0]
    daemon.lxc("delete", "twice-a", "twice-b")
    daemon.lxc("image", "delete", "twice")


def test_a_repeated_delete_finishes_what_was_begun(daemon: Daemon, container: str) -> None:
    daemon.lxc("delete", "-f", container)
    assert "not found" in daemon.error("delete", container)
