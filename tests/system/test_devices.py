"""Devices of running containers: plugged, unplugged, kept over restarts, rolled back; seen from inside."""

import os
import select
import signal
import time
from pathlib import Path

import yaml

from tests.system.harness import Daemon
from tests.system.plugging import add, inside, reboot, wait_until
from wardian.linux import cgroups


def test_a_folder_is_plugged_and_unplugged(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "src", "disk", f"source={shared}", "path=/deep/er/src")
    assert inside(daemon, container, "cat", "/deep/er/src/hello") == "from the host"
    assert inside(daemon, container, "stat", "-c", "%u:%g %a", "/deep/er") == "0:0 755"
    daemon.lxc("config", "device", "remove", container, "src")
    assert inside(daemon, container, "ls", "/deep/er/src") == ""
    assert str(shared) not in Path("/proc/self/mountinfo").read_text()


def test_devices_survive_restarts_and_reboots(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "plugged", "disk", f"source={shared}", "path=/plugged")
    daemon.lxc("restart", "-f", container)
    assert inside(daemon, container, "cat", "/plugged/hello") == "from the host"
    # What the runtime makes again at a reboot is what was there at the start, but for what changed since.
    daemon.lxc("config", "device", "remove", container, "plugged")
    add(daemon, container, "later", "disk", f"source={shared}", "path=/later")
    reboot(daemon, container)
    wait_until(daemon, container, "test -e /later/hello && ! test -e /plugged/hello")


def test_a_failed_device_takes_the_whole_change_back(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "kept", "disk", f"source={shared}", "path=/kept")
    inside(daemon, container, "touch", "/in-the-way")
    before = daemon.lxc("config", "show", container)
    changed = yaml.safe_load(before)
    changed["config"]["limits.processes"] = "77"
    changed["devices"] = {
        "first": {"type": "disk", "source": str(shared), "path": "/first"},
        "wrong": {"type": "disk", "source": str(shared), "path": "/in-the-way/below"},
    }
    error = daemon.error("config", "edit", container, stdin=yaml.safe_dump(changed))
    assert 'device "wrong"' in error and "Not a directory" in error
    assert daemon.lxc("config", "show", container) == before
    assert inside(daemon, container, "cat", "/kept/hello") == "from the host"
    assert inside(daemon, container, "ls", "/first") == ""
    pid = daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv").strip()
    assert cgroups.Group(int(pid)).read("pids", "pids.max", "pids.max") == "max\n"


def test_mounts_below_mounts_are_there_in_any_order(daemon: Daemon, container: str, shared: Path) -> None:
    (shared / "inner").mkdir()
    add(daemon, container, "a-child", "disk", f"source={shared}", "path=/srv/inner")
    add(daemon, container, "parent", "disk", f"source={shared}", "path=/srv")
    assert inside(daemon, container, "cat", "/srv/hello", "/srv/inner/hello") == "\n".join(
        ["from the host"] * 2
    )
    daemon.lxc("restart", "-f", container)
    inside(daemon, container, "test", "-e", "/srv/inner/hello")
    daemon.lxc("config", "device", "remove", container, "parent")
    inside(daemon, container, "test", "-e", "/srv/inner/hello")
    assert daemon.run("exec", container, "--", "test", "-e", "/srv/hello").returncode != 0


def test_a_profile_change_reaches_running_containers(daemon: Daemon, container: str, shared: Path) -> None:
    daemon.lxc("profile", "create", "with-src")
    daemon.lxc("profile", "add", container, "with-src")
    daemon.lxc("profile", "device", "add", "with-src", "src", "disk", f"source={shared}", "path=/src")
    assert inside(daemon, container, "cat", "/src/hello") == "from the host"
    daemon.lxc("profile", "remove", container, "with-src")
    assert daemon.run("exec", container, "--", "test", "-e", "/src/hello").returncode != 0
    daemon.lxc("profile", "delete", "with-src")


def test_a_killed_daemon_finds_the_devices_again(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src")
    daemon.kill()
    daemon.start()
    daemon.lxc("config", "device", "remove", container, "src")
    assert daemon.run("exec", container, "--", "test", "-e", "/src/hello").returncode != 0
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src")
    daemon.lxc("config", "set", container, "boot.autostart", "false")
    pid = int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv"))
    daemon.kill()
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    select.select([fd], [], [])
    os.close(fd)
    daemon.start()
    deadline = time.monotonic() + 30
    while str(shared) in Path("/proc/self/mountinfo").read_text():
        assert time.monotonic() < deadline, daemon.log()[-2000:]


def test_a_start_that_fails_leaves_nothing_mounted(daemon: Daemon, container: str, shared: Path) -> None:
    daemon.lxc("stop", "-f", container)
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src")
    add(daemon, container, "wrong", "disk", f"source={shared}", "path=/etc/passwd/below")
    assert "cannot start" in daemon.error("start", container)
    assert str(shared) not in Path("/proc/self/mountinfo").read_text()
    assert not (daemon.folder / "lxd/devices" / container).exists()
    daemon.lxc("config", "device", "remove", container, "wrong")
    daemon.lxc("start", container)
    inside(daemon, container, "test", "-e", "/src/hello")


def test_links_inside_lead_nowhere_outside(daemon: Daemon, container: str, shared: Path) -> None:
    outside = daemon.folder / "outside"
    outside.mkdir()
    inside(daemon, container, "ln", "-s", f"../../../..{outside}", "/out")
    inside(daemon, container, "ln", "-s", "/proc/1/root", "/magic")
    error = daemon.error(
        "config", "device", "add", container, "x", "disk", f"source={shared}", "path=/magic/x"
    )
    assert "symbolic links" in error
    inside(daemon, container, "mkdir", "-p", str(outside))
    add(daemon, container, "src", "disk", f"source={shared}", "path=/out/src")
    assert list(outside.iterdir()) == []
    assert inside(daemon, container, "cat", f"{outside}/src/hello") == "from the host"
