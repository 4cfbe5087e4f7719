"""Keys that change while the container runs: set by the client, read from inside or from the kernel.

Limits by control groups are in test_limits.py.
"""

import time
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.test_limits import pid_of
from wardian.drivers.runtime import apparmor

CAP_SYS_RESOURCE = 24
"""capabilities(7): without it nobody may raise a hard limit."""


def inside(daemon: Daemon, container: str, script: str) -> str:
    """What a shell in the container prints."""
    return daemon.lxc("exec", container, "--", "sh", "-c", script).strip()


def _field(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name))


def test_kernel_limits_reach_init_and_commands(daemon: Daemon, container: str) -> None:
    def of_init() -> list[str]:
        text = Path(f"/proc/{pid_of(daemon, container)}/limits").read_text()
        return next(line.split()[3:5] for line in text.splitlines() if line.startswith("Max open files"))

    usual = of_init()
    daemon.lxc("config", "set", container, "limits.kernel.nofile", "777:888")
    assert of_init() == ["777", "888"]
    assert inside(daemon, container, "ulimit -n; ulimit -Hn") == "777\n888"
    daemon.lxc("restart", "-f", container)
    assert of_init() == ["777", "888"]
    daemon.lxc("config", "unset", container, "limits.kernel.nofile")
    may_raise = int(_field("/proc/self/status", "CapEff"), 16) >> CAP_SYS_RESOURCE & 1
    assert of_init() == (usual if may_raise else ["777", "888"])
    daemon.lxc("restart", "-f", container)
    assert of_init() == usual
    assert "(fs.nr_open)" in daemon.error("config", "set", container, "limits.kernel.nofile", "unlimited")
    assert "no kernel limit nosuch" in daemon.error("config", "set", container, "limits.kernel.nosuch", "1")


def test_kernel_parameters_change_in_the_container_alone(daemon: Daemon, container: str) -> None:
    parameters = {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.ip_unprivileged_port_start": "80",
        "kernel.shmmax": "4096",
    }
    files = [Path("/proc/sys", name.replace(".", "/")) for name in parameters]
    ours = [file.read_text() for file in files]
    said = daemon.error("config", "set", container, "linux.sysctl.net.nosuch", "1")
    assert said == "error: linux.sysctl.net.nosuch: a container has no such kernel parameter here"
    settings = (f"linux.sysctl.{name}={value}" for name, value in parameters.items())
    daemon.lxc("config", "set", container, *settings)
    script = "cat " + " ".join(map(str, files))
    assert inside(daemon, container, script).split() == list(parameters.values())
    assert [file.read_text() for file in files] == ours
    daemon.lxc("restart", "-f", container)
    assert inside(daemon, container, script).split() == list(parameters.values())
    refused = daemon.error("config", "set", container, "linux.sysctl.kernel.core_pattern", "|/bin/sh")
    assert "not a container's own" in refused


def test_a_value_that_the_kernel_refuses_leaves_all_as_it_was(daemon: Daemon, container: str) -> None:
    said = daemon.error(
        "config", "set", container, "linux.sysctl.net.ipv4.ip_forward=lots", "limits.processes=55"
    )
    assert "net.ipv4.ip_forward" in said
    assert daemon.lxc("config", "get", container, "limits.processes") == "\n"
    assert daemon.lxc("config", "get", container, "linux.sysctl.net.ipv4.ip_forward") == "\n"


def test_environment_of_the_next_command(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "set", container, "environment.NOW", "a b")
    assert inside(daemon, container, 'echo "$NOW"') == "a b"
    daemon.lxc("config", "unset", container, "environment.NOW")
    assert inside(daemon, container, 'echo "$NOW"') == ""


def test_kernel_modules_are_loaded_at_once(daemon: Daemon, container: str) -> None:
    """A module that is not there shows that the kernel was asked; the key then stays as it was."""
    if not Path("/proc/modules").exists():  # a kernel that has all built in: that is said, no failure
        daemon.lxc("config", "set", container, "linux.kernel_modules", "wardian_nosuch")
        assert 'load kernel module "wardian_nosuch"' in daemon.log()
        return
    said = daemon.error("config", "set", container, "linux.kernel_modules", "wardian_nosuch")
    assert "wardian_nosuch" in said
    assert daemon.lxc("config", "get", container, "linux.kernel_modules") == "\n"


def test_live_values_survive_a_reboot_inside(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "set", container, "limits.kernel.nofile=555", "linux.sysctl.net.ipv4.ip_forward=1")
    before = pid_of(daemon, container)
    daemon.run("exec", container, "--", "reboot", "-f")
    deadline = time.monotonic() + 30
    while pid_of(daemon, container) == before:
        assert time.monotonic() < deadline
    script = "grep open /proc/1/limits; cat /proc/sys/net/ipv4/ip_forward"
    while (said := inside(daemon, container, script))[-1] != "1" or "555" not in said:
        assert time.monotonic() < deadline, said


def test_seeds_of_cloud_init_reach_templates_under_both_names(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", "cloud-init.user-data=#cloud-config")
    assert "user.user-data: #cloud-config" in inside(daemon, name, "cat /template")


@pytest.mark.skipif(not apparmor.is_usable(), reason="this kernel has no AppArmor")
def test_lines_of_the_apparmor_profile_are_in_force_at_once(daemon: Daemon, container: str) -> None:
    inside(daemon, container, "touch /root/file && cat /root/file")
    daemon.lxc("config", "set", container, "raw.apparmor", "deny /root/file r,")
    assert b"Permission denied" in daemon.run("exec", container, "--", "cat", "/root/file").stderr
    daemon.lxc("config", "unset", container, "raw.apparmor")
    inside(daemon, container, "cat /root/file")
