"""What users of later versions type."""

import json
import os
import pty
import subprocess
from pathlib import Path

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon


def test_requests_of_ones_own(daemon: Daemon, container: str) -> None:
    path = f"/1.0/containers/{container}"
    assert json.loads(daemon.lxc("query", path))["name"] == container
    assert json.loads(daemon.lxc("query", "--raw", f"local:{path}"))["status_code"] == 200
    daemon.lxc("query", "-X", "PATCH", "-d", '{"config": {"user.a": "b"}}', path)
    assert daemon.lxc("config", "get", container, "user.a") == "b\n"
    change = '{"action": "freeze", "timeout": 30}'
    ended = json.loads(daemon.lxc("query", "-X", "PUT", "-d", "-", "--wait", f"{path}/state", stdin=change))
    assert ended["status"] == "Success" and daemon.names("ns")
    assert ended["id"] in daemon.lxc("operation", "list")
    assert f"id: {ended['id']}\n" in daemon.lxc("operation", "show", ended["id"])
    assert "not found" in daemon.error("query", "/1.0/containers/none")
    assert "no path of the API" in daemon.error("query", "containers")
    assert "not JSON" in daemon.error("query", "-d", "{", path)


def test_aliases_are_kept(daemon: Daemon) -> None:
    daemon.lxc("alias", "add", "mine all", "list -c n")
    assert "NAME" in daemon.lxc("mine", "all") and "already exists" in daemon.error(
        "alias", "add", "mine all", "x"
    )
    daemon.lxc("alias", "rename", "mine all", "mine")
    assert daemon.lxc("alias", "list", "-f", "csv") == "mine,list -c n\n"
    daemon.lxc("remote", "switch", "local")
    assert daemon.lxc("mine").startswith("+")
    daemon.lxc("alias", "remove", "mine")
    assert daemon.lxc("alias", "list", "-f", "json") == "[]\n"


def test_streams_of_exec_as_asked_for(daemon: Daemon, container: str) -> None:
    assert daemon.run("exec", "-T", container, "tty").stdout == b"not a tty\n"
    assert b"/dev/pts/" in daemon.run("exec", "-t", container, "tty").stdout
    assert daemon.run("exec", "-n", container, "cat", stdin=b"x").stdout == b""
    daemon.lxc("file", "create", f"{container}/srv/deep/file", "-p")
    daemon.lxc("file", "create", "--type=symlink", f"{container}/srv/link", "deep/file")
    daemon.lxc("file", "create", "--type=directory", f"{container}/srv/folder")
    shown = daemon.lxc(
        "exec", container, "--", "stat", "-c", "%a %F", "/srv/deep/file", "/srv/link", "/srv/folder"
    )
    assert shown == "644 regular empty file\n777 symbolic link\n755 directory\n"


def test_all_of_a_server_at_once(daemon: Daemon, name: str, tmp_path: Path) -> None:
    daemon.lxc("create", "bb", name)
    daemon.lxc("start", "--all")
    assert f"{name},RUNNING" in daemon.lxc("list", "status=running", "-c", "ns", "-f", "csv")
    daemon.lxc("pause", "--all")
    daemon.lxc("resume", "--all")
    daemon.lxc("stop", "--all", "local:", "-f")
    assert daemon.lxc("list", "type=container", "status=running", "-f", "csv") == ""
    assert "leave out" in daemon.error("stop", "--all", name)


def test_the_console_and_what_it_has_shown(daemon: Daemon, container: str) -> None:
    daemon.lxc("exec", container, "--", "sh", "-c", "echo early >/dev/console")
    assert "default,Default LXD profile," in daemon.lxc("profile", "list", "-f", "csv")
    assert "\nConsole log:\n\nearly" in daemon.lxc("console", container, "--show-log")
    master, slave = pty.openpty()
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "restart", "-f", container, "--console"]
    with subprocess.Popen(
        argv, env=daemon.environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as child:
        os.close(slave)
        said = _until(master, b"Ctrl-a q")
        daemon.lxc("exec", container, "--", "sh", "-c", "echo late >/dev/console")
        said += _until(master, b"late")
        os.write(master, b"\x01q")
        assert child.wait() == 0
    os.close(master)
    assert "one container" in daemon.error("start", container, "other", "--console")
    daemon.lxc("query", "-X", "DELETE", f"/1.0/containers/{container}/console")
    assert "early" not in daemon.lxc("console", container, "--show-log")


def _until(fd: int, wanted: bytes) -> bytes:
    """What comes, up to something wanted."""
    said = b""
    while wanted not in said:
        said += os.read(fd, 4096)
    return said


def test_networks_are_attached_renamed_and_described(daemon: Daemon, container: str) -> None:
    old, new = (daemon.bridge.replace("wt", f"wt{mark}") for mark in "rs")
    daemon.lxc("network", "create", old, "ipv6.address=none", "ipv4.address=none")
    try:
        daemon.lxc("network", "attach", old, container, "lan", "lan0")
        assert "lan0" in daemon.lxc("exec", container, "--", "ls", "/sys/class/net")
        assert "in use" in daemon.error("network", "rename", old, new)
        daemon.lxc("network", "detach", old, container)
        assert "No device found" in daemon.error("network", "detach", old, container)
        daemon.lxc("network", "attach-profile", old, "default", "lan")
        daemon.lxc("network", "detach-profile", old, "default", "lan")
        assert daemon.lxc("network", "rename", old, new) == f"Network {old} renamed to {new}\n"
        edited = daemon.lxc("network", "show", new).replace('description: ""', "description: mine")
        daemon.lxc("network", "edit", new, stdin=edited)
        assert f"{new},bridge,YES,mine,0" in daemon.lxc("network", "list", "-f", "csv").splitlines()
        assert f"Name: {new}\nMAC address: " in daemon.lxc("network", "info", new)
    finally:
        present = daemon.lxc("network", "list", "-f", "csv")
        daemon.lxc("network", "delete", old if f"{old}," in present else new)


def test_the_hardware_of_the_host(daemon: Daemon) -> None:
    shown = daemon.lxc("info", "--resources")
    assert shown.startswith("CPUs (") and "\nMemory:\n  Free: " in shown


def test_metadata_and_templates_can_be_edited(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name)
    shown = daemon.lxc("config", "metadata", "show", name)
    assert "architecture: x86_64\n" in shown and "  /template:\n" in shown
    added = shown.replace(
        "templates:\n", "templates:\n  /motd:\n    template: motd.tpl\n    when:\n    - start\n"
    )
    assert added != shown
    daemon.lxc("config", "metadata", "edit", name, stdin=added)
    assert "architecture" in daemon.error("config", "metadata", "edit", name, stdin="properties: {}\n")
    daemon.lxc("config", "template", "create", name, "motd.tpl", stdin="first\n")
    daemon.lxc("config", "template", "edit", name, "motd.tpl", stdin="I am {{ container.name }}\n")
    assert daemon.lxc("config", "template", "show", name, "motd.tpl") == "I am {{ container.name }}\n"
    assert "already exists" in daemon.error("config", "template", "create", name, "motd.tpl")
    assert "plain file name" in daemon.error("config", "template", "show", name, "../metadata.yaml")
    daemon.lxc("start", name)
    assert daemon.lxc("exec", name, "cat", "/motd") == f"I am {name}\n"
    assert "motd.tpl" in daemon.lxc("config", "template", "list", name, "-f", "csv").splitlines()
    daemon.lxc("config", "template", "delete", name, "motd.tpl")
    assert "has no template" in daemon.error("config", "template", "delete", name, "motd.tpl")


def test_devices_of_a_new_container_by_flags(daemon: Daemon, name: str) -> None:
    more = ("-n", daemon.bridge, "-d", "eth0,mtu=1400", "-d", "root,size=1GB,pool=default")
    daemon.lxc("init", "bb", name, *more)
    assert daemon.lxc("config", "device", "show", name) == (
        f'eth0:\n  mtu: "1400"\n  name: eth0\n  nictype: bridged\n  parent: {daemon.bridge}\n  type: nic\n'
        "root:\n  path: /\n  pool: default\n  size: 1GB\n  type: disk\n"
    )
    daemon.lxc("delete", name)
    daemon.lxc("init", "--empty", name)
    assert "base_image" not in daemon.lxc("config", "show", "-e", name)
    assert "like root,size=10GB" in daemon.error("init", "bb", "-d", "root")


def test_properties_of_images_one_by_one(daemon: Daemon) -> None:
    daemon.lxc("image", "set-property", "bb", "stage", "test")
    assert daemon.lxc("image", "get-property", "bb", "stage") == "test\n"
    daemon.lxc("image", "unset-property", "bb", "stage")
    assert daemon.lxc("image", "get-property", "bb", "stage") == "\n"
    assert "not currently set" in daemon.error("image", "unset-property", "bb", "stage")
