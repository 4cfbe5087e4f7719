"""The life of containers, through the real client and daemon."""

import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path

from tests.system.harness import PATIENCE, Daemon


def test_launch_runs_an_unprivileged_system(daemon: Daemon, container: str) -> None:
    assert daemon.lxc("exec", container, "--", "id", "-u").strip() == "0"
    state = json.loads(daemon.request("GET", f"/1.0/containers/{container}/state"))["metadata"]
    uid_map = Path(f"/proc/{state['pid']}/uid_map").read_text().split()
    assert uid_map[0] == "0" and int(uid_map[1]) >= 65536
    assert daemon.lxc("exec", container, "--", "stat", "-c", "%u", "/etc/passwd").strip() == "0"


def test_launch_prints_what_it_does(daemon: Daemon, name: str) -> None:
    assert daemon.lxc("launch", "bb", name) == f"Creating {name}\nStarting {name}\n"


def test_a_container_without_a_name_gets_one(daemon: Daemon) -> None:
    said = daemon.lxc("init", "bb")
    match = re.search(r"Container name is: ([a-z]+-[a-z]+)\n", said)
    assert match is not None
    daemon.lxc("delete", match[1])


def test_containers_reach_the_bridge_and_each_other_by_name(daemon: Daemon, container: str) -> None:
    daemon.lxc("launch", "bb", "neighbour")
    try:
        daemon.wait_address(container)
        daemon.wait_address("neighbour")
        network = json.loads(daemon.request("GET", f"/1.0/networks/{daemon.bridge}"))["metadata"]
        gateway = network["config"]["ipv4.address"].split("/")[0]
        daemon.lxc("exec", container, "--", "ping", "-c1", "-W5", gateway)
        daemon.lxc("exec", container, "--", "ping", "-c1", "-W5", "neighbour")
        assert network["warnings"] == []
    finally:
        daemon.lxc("delete", "-f", "neighbour")


def test_restart_keeps_the_mac_address_and_the_files(daemon: Daemon, container: str) -> None:
    def mac() -> str:
        return daemon.lxc("exec", container, "--", "cat", "/sys/class/net/eth0/address")

    before = mac()
    daemon.lxc("exec", container, "--", "touch", "/root/kept")
    daemon.lxc("restart", "-f", container)
    assert mac() == before
    daemon.lxc("exec", container, "--", "test", "-e", "/root/kept")


def test_a_clean_stop_asks_init(daemon: Daemon, container: str) -> None:
    daemon.lxc("stop", container, "--timeout", str(30 * PATIENCE))
    assert daemon.names("s").count("STOPPED") >= 1
    assert "already stopped" in daemon.error("stop", container)


def test_a_stop_right_after_the_start_is_heard(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name)
    for _ in range(5):
        daemon.lxc("start", name)
        daemon.lxc("stop", name, "--timeout", str(30 * PATIENCE))


def test_a_stop_waits_for_an_init_that_does_not_listen_yet(daemon: Daemon, container: str) -> None:
    slow = "printf '#!/bin/sh\\nsleep 2\\nexec /sbin/init\\n' > /sbin/slow; chmod 755 /sbin/slow"
    daemon.lxc("exec", container, "--", "sh", "-c", slow)
    daemon.lxc("stop", "-f", container)
    daemon.lxc("config", "set", container, "raw.lxc", "lxc.init.cmd = /sbin/slow")
    daemon.lxc("start", container)
    assert "/sbin/slow" in daemon.lxc("exec", container, "--", "cat", "/proc/1/cmdline")
    daemon.lxc("stop", container, "--timeout", str(30 * PATIENCE))


def test_the_error_of_a_start_names_the_cause(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name, "-c", "raw.lxc=lxc.init.cmd = /nosuch")
    assert "/nosuch" in daemon.error("start", name)


def test_a_reboot_inside_is_followed(daemon: Daemon, container: str) -> None:
    daemon.wait_address(container)
    before = daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv")
    daemon.run("exec", container, "--", "reboot", "-f")
    deadline = time.monotonic() + 30 * PATIENCE
    while daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv") == before:
        assert time.monotonic() < deadline
    daemon.wait_address(container)
    daemon.lxc("exec", container, "--", "true")


def test_a_halt_inside_stops_the_container(daemon: Daemon, container: str) -> None:
    daemon.run("exec", container, "--", "poweroff", "-f")
    deadline = time.monotonic() + 30 * PATIENCE
    while daemon.lxc("list", f"^{container}$", "-c", "s", "--format", "csv") != "STOPPED\n":
        assert time.monotonic() < deadline
    assert "STOPPED" in daemon.lxc("config", "get", container, "volatile.last_state.power")


def test_an_ephemeral_container_is_gone_after_its_stop(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-e")
    daemon.lxc("restart", "-f", name)
    assert name in daemon.names()
    daemon.lxc("stop", "-f", name)
    assert name not in daemon.names()


def test_pause_and_start(daemon: Daemon, container: str) -> None:
    daemon.lxc("pause", container)
    assert daemon.lxc("list", f"^{container}$", "-c", "s", "--format", "csv") == "FROZEN\n"
    assert "frozen" in daemon.error("exec", container, "true")
    daemon.lxc("start", container)
    daemon.lxc("exec", container, "true")
    daemon.lxc("pause", container)
    daemon.lxc("stop", "-f", container)


def test_several_names_are_handled_at_once(daemon: Daemon) -> None:
    names = ["many-a", "many-b", "many-c"]
    for name in names:
        daemon.lxc("init", "bb", name)
    daemon.lxc("start", *names)
    said = daemon.error("start", "many-a", "nosuch")
    assert "many-a: error: The container is already running" in said
    assert said.endswith("error: Some containers failed to start")
    daemon.lxc("delete", "-f", *names)


def test_delete_refuses_a_running_container(daemon: Daemon, container: str) -> None:
    assert "stop it first or pass --force" in daemon.error("delete", container)
    assert "container is running" in daemon.request("DELETE", f"/1.0/containers/{container}")


def test_the_configuration_reaches_the_container(daemon: Daemon, name: str) -> None:
    daemon.lxc(
        "init", "bb", name, "-c", "environment.MARK=here", "-c", "user.foo=bar", "-c", "limits.memory=64MB"
    )
    daemon.lxc("start", name)
    assert daemon.lxc("exec", name, "--", "sh", "-c", "echo $MARK") == "here\n"
    assert "user.foo: bar" in daemon.lxc("exec", name, "--", "cat", "/template")
    assert name in daemon.lxc("list", "user.foo=ba.", "-c", "n", "--format", "csv")
    assert "limits.memory" in daemon.lxc("config", "show", name)


def test_a_privileged_container_runs_and_is_found_by_its_key(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", "security.privileged=true")
    pid = daemon.lxc("list", f"^{name}$", "-c", "p", "--format", "csv").strip()
    assert Path(f"/proc/{pid}/uid_map").read_text().split()[:2] == ["0", "0"]
    assert name in daemon.lxc("list", "s.privileged=true", "-c", "n", "--format", "csv")


def test_killed_daemon_leaves_ten_containers_running(daemon: Daemon) -> None:
    names = [f"ten-{number}" for number in range(10)]
    for name in names:
        daemon.lxc("launch", "bb", name)
    pids = daemon.lxc("list", "ten-", "-c", "np", "--format", "csv")
    daemon.kill()
    daemon.start()
    assert daemon.lxc("list", "ten-", "-c", "np", "--format", "csv") == pids
    states = daemon.lxc("list", "ten-", "-c", "s", "--format", "csv").split()
    assert states == ["RUNNING"] * 10
    daemon.lxc("exec", "ten-0", "true")
    daemon.lxc("delete", "-f", *names)


def test_a_container_that_stopped_while_no_daemon_ran_is_stopped(daemon: Daemon, container: str) -> None:
    pid = int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv"))
    daemon.lxc("config", "set", container, "boot.autostart", "false")
    daemon.kill()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    daemon.start()
    assert daemon.lxc("list", f"^{container}$", "-c", "s", "--format", "csv") == "STOPPED\n"


def test_info_shows_the_container_and_its_log(daemon: Daemon, container: str) -> None:
    daemon.wait_address(container)
    said = daemon.lxc("info", container, "--show-log")
    for text in (
        f"Name: {container}",
        "Status: Running",
        "Type: persistent",
        "  eth0:\tinet\t",
        "\nLog:\n\n",
    ):
        assert text in said


def test_two_daemons_side_by_side(daemon: Daemon, container: str) -> None:
    other = Daemon("b", backend="dir")
    try:
        other.import_busybox()
        other.lxc("launch", "bb", container)
        assert other.names() == [container]
        other.wait_address(container)
        assert daemon.lxc("list", f"^{container}$", "-c", "s", "--format", "csv") == "RUNNING\n"
    finally:
        other.close()


def test_device_nodes_in_the_files_of_an_unprivileged_container_open_nothing(
    daemon: Daemon, container: str
) -> None:
    """However they came there: from a time when it was privileged, from a host's hand, by a stream."""
    rootfs = daemon.folder / f"lxd/storage-pools/default/containers/{container}/rootfs"
    for name, kind, number in (
        ("disk", stat.S_IFBLK, os.makedev(7, 0)),
        ("kmsg", stat.S_IFCHR, os.makedev(1, 11)),
    ):
        os.mknod(rootfs / name, kind | 0o666, number)
        os.chmod(rootfs / name, 0o666)
        opened = daemon.run("exec", container, "--", "head", "-c", "1", f"/{name}")
        # By the rules for devices, or by the kind of mount, whichever the kernel asks first.
        refused = (b"Operation not permitted", b"Permission denied")
        assert opened.returncode != 0 and opened.stderr.strip().endswith(refused)
    again = "mount -o remount,bind,dev / ; head -c 1 /disk"
    assert b"Operation not permitted" in daemon.run("exec", container, "--", "sh", "-c", again).stderr
