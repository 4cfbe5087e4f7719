"""Device nodes in containers: usable, owned as asked for, gone when unplugged; seen from inside."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.plugging import add, fails, inside, wait_until

READ = ("dd", "if=/dev/mine", "of=/dev/null", "bs=1", "count=1")


def test_a_node_is_usable_and_owned_as_asked_for(daemon: Daemon, container: str) -> None:
    options = ("source=/dev/zero", "path=/dev/mine", "uid=1000", "gid=5", "mode=0640")
    add(daemon, container, "zero", "unix-char", *options)
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "stat", "-c", "%F %t:%T %u:%g %a", "/dev/mine") == (
            "character special file 1:5 1000:5 640"
        )
        inside(daemon, container, *READ)
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "remove", container, "zero")
    assert fails(daemon, container, "test", "-e", "/dev/mine")


def test_a_node_of_given_numbers(daemon: Daemon, container: str) -> None:
    add(daemon, container, "full", "unix-char", "path=/dev/mine", "major=1", "minor=7")
    assert inside(daemon, container, "stat", "-c", "%t:%T", "/dev/mine") == "1:7"
    assert "No space left" in daemon.error("exec", container, "--", "sh", "-c", "echo x > /dev/mine")


@pytest.fixture
def privileged(daemon: Daemon, name: str) -> str:
    """A running privileged container."""
    daemon.lxc("launch", "bb", name, "-c", "security.privileged=true")
    return name


def test_a_privileged_container_may_use_what_it_was_given(daemon: Daemon, privileged: str) -> None:
    """A node of its own with the same numbers shows whether the kernel lets it."""
    own = "test -e /dev/own || busybox mknod /dev/own c 1 11; exec 3< /dev/own"
    assert fails(daemon, privileged, "sh", "-c", own)
    add(daemon, privileged, "log", "unix-char", "source=/dev/kmsg", "path=/dev/mine")
    for _ in ("by hot-plug", "at start"):
        inside(daemon, privileged, "sh", "-c", "exec 3< /dev/mine")
        inside(daemon, privileged, "sh", "-c", own)
        daemon.lxc("restart", "-f", privileged)
    inside(daemon, privileged, "sh", "-c", own)
    daemon.lxc("config", "device", "remove", privileged, "log")
    assert fails(daemon, privileged, "sh", "-c", own)


def test_what_every_container_has_stays(daemon: Daemon, privileged: str) -> None:
    add(daemon, privileged, "zero", "unix-char", "source=/dev/zero", "path=/dev/mine")
    daemon.lxc("config", "device", "remove", privileged, "zero")
    inside(daemon, privileged, "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1")


def test_what_is_not_there_is_named(daemon: Daemon, container: str) -> None:
    words = ("config", "device", "add", container, "x")
    missing = daemon.error(*words, "unix-char", "path=/dev/nothing-of-the-kind")
    assert "doesn't exist on the host and major/minor wasn't specified: /dev/nothing-of-the-kind" in missing
    assert "is a character device" in daemon.error(*words, "unix-block", "path=/dev/null")
    assert "no USB device vendorid 0000" in daemon.error(*words, "usb", "vendorid=0000", "required=true")
    assert "no graphics card pci 0000:ff:00.0" in daemon.error(*words, "gpu", "pci=0000:ff:00.0")
    assert daemon.lxc("config", "device", "list", container).strip() == ""


@pytest.fixture
def number() -> Iterator[int]:
    """The number of a loop device that the host does not have yet."""
    chosen = 1000 + os.getpid() % 100_000
    yield chosen
    if Path(f"/dev/loop{chosen}").exists():
        loop_control(LOOP_CTL_REMOVE, chosen)


LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81


def loop_control(command: int, number: int) -> None:
    """Have the kernel make or remove a device."""
    with open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, command, number)


def test_a_device_comes_and_goes_with_the_hosts(daemon: Daemon, container: str, number: int) -> None:
    path = f"/dev/loop{number}"
    add(daemon, container, "late", "unix-block", f"source={path}", "path=/dev/mine", "required=false")
    assert fails(daemon, container, "test", "-e", "/dev/mine")
    for _ in range(2):
        loop_control(LOOP_CTL_ADD, number)
        wait_until(daemon, container, "test -b /dev/mine")
        loop_control(LOOP_CTL_REMOVE, number)
        wait_until(daemon, container, "! test -e /dev/mine")
    # Also what came while no daemon looked, and over restarts of the container.
    daemon.kill()
    loop_control(LOOP_CTL_ADD, number)
    daemon.start()
    wait_until(daemon, container, "test -b /dev/mine")
    daemon.lxc("restart", "-f", container)
    inside(daemon, container, "test", "-b", "/dev/mine")
