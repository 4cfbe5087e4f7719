"""What keeps a container in: system calls, settings that are refused, id maps, deletion."""

import concurrent.futures
import itertools
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.test_limits import pid_of
from tests.system.test_live_keys import inside

FORCED_UMOUNT = "mkdir -p /m && mount -t tmpfs x /m && umount -f /m"
NO_CHMOD = "chmod errno 13\nfchmodat errno 13\n"
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
needs_apparmor = pytest.mark.skipif(
    not APPARMOR.exists() or APPARMOR.read_text() != "Y\n",
    reason="this kernel has no AppArmor; tests/vm/run has one",
)


def test_the_usual_policy_is_in_force(daemon: Daemon, container: str) -> None:
    text = Path(f"/proc/{pid_of(daemon, container)}/status").read_text()
    assert "Seccomp:\t2\n" in text
    refused = daemon.run("exec", container, "--", "sh", "-c", FORCED_UMOUNT)
    assert b"umount" in refused.stderr
    node = daemon.folder / "lxd/storage-pools/default/containers" / container / "rootfs/node"
    os.mknod(node, 0o20666, os.makedev(1, 5))  # /dev/zero, which may be used in /dev
    refused = daemon.run("exec", container, "--", "head", "-c", "1", "/node")
    assert b"Permission denied" in refused.stderr


@needs_apparmor
@pytest.mark.parametrize("privileged", ["false", "true"])
def test_a_profile_of_its_own_confines_each_container(daemon: Daemon, name: str, privileged: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", f"security.privileged={privileged}")
    label = f"lxd-{name}_<{daemon.folder}/lxd>"
    assert Path(f"/proc/{pid_of(daemon, name)}/attr/current").read_text() == f"{label} (enforce)\n"
    assert daemon.lxc("exec", name, "--", "cat", "/proc/self/attr/current") == f"{label} (enforce)\n"
    assert daemon.run("exec", name, "--", "sh", "-c", "echo 1 >/proc/sys/vm/drop_caches").returncode != 0
    daemon.lxc("config", "set", name, "raw.apparmor", "deny /root/secret rw,")
    assert daemon.run("exec", name, "--", "touch", "/root/secret").returncode != 0
    daemon.lxc("config", "unset", name, "raw.apparmor")
    daemon.lxc("exec", name, "--", "touch", "/root/secret")
    text = daemon.folder / f"lxd/security/apparmor/profiles/lxd-{name}"
    assert stat.S_IMODE(text.stat().st_mode) == 0o600
    daemon.lxc("stop", "-f", name)
    assert label not in Path("/sys/kernel/security/apparmor/profiles").read_text()


@pytest.mark.parametrize("key", ["deny", "blacklist"])
def test_calls_can_be_refused(daemon: Daemon, name: str, key: str) -> None:
    daemon.lxc("init", "bb", name)
    daemon.lxc("config", "set", name, f"security.syscalls.{key}", "-", stdin=NO_CHMOD)
    daemon.lxc("start", name)
    refused = daemon.run("exec", name, "--", "chmod", "700", "/root")
    assert b"Permission denied" in refused.stderr
    daemon.lxc("config", "unset", name, f"security.syscalls.{key}")
    daemon.lxc("restart", "-f", name)
    daemon.lxc("exec", name, "--", "chmod", "700", "/root")


def test_a_call_that_does_not_exist_is_named(daemon: Daemon, name: str) -> None:
    """liblxc would pass it over, and nothing would be refused."""
    said = daemon.error("init", "bb", name, "-c", "security.syscalls.deny=chmodd")
    assert said == (
        'error: security.syscalls.deny: there is no system call "chmodd" on this host; correct the name'
    )
    assert name not in daemon.names()
    daemon.lxc("init", "bb", name)
    assert '"mkdirr"' in daemon.error(
        "config", "set", name, "security.syscalls.allow", "read\nmkdirr errno 1"
    )
    for known in ("chmod", "umount", "clone3 errno 38", "reject_force_umount", "[x86_64]\nchmod"):
        daemon.lxc("config", "set", name, "security.syscalls.deny", known)


def test_the_usual_refusals_can_be_left_out(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", "security.syscalls.deny_default=false")
    inside(daemon, name, FORCED_UMOUNT)


def test_a_raw_policy_counts_alone(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name)
    daemon.lxc("config", "set", name, "raw.seccomp", "-", stdin=f"2\ndenylist\n[all]\n{NO_CHMOD}")
    daemon.lxc("start", name)
    inside(daemon, name, FORCED_UMOUNT)
    assert b"Permission denied" in daemon.run("exec", name, "--", "chmod", "700", "/root").stderr
    both = daemon.error("config", "set", name, "security.syscalls.deny", "mkdir")
    assert '"raw.seccomp" is the whole policy' in both


def test_an_allow_list_kills_for_other_calls(daemon: Daemon, name: str) -> None:
    """What a container needs would be a long list: this one's init dies of its first other call."""
    daemon.lxc("init", "bb", name, "-c", "security.syscalls.allow=read")
    daemon.run("start", name)
    assert daemon.lxc("list", f"^{name}$", "-c", "s", "--format", "csv") == "STOPPED\n"


@pytest.mark.parametrize("line", ["lxc.idmap = u 0 0 1", "lxc.hook.pre-start = /bin/sh", "lxc.cap.drop ="])
def test_raw_lxc_cannot_undo_the_confinement(daemon: Daemon, name: str, line: str) -> None:
    daemon.lxc("init", "bb", name)
    assert "is not allowed" in daemon.error("config", "set", name, "raw.lxc", line)
    assert "is not allowed" in daemon.error("profile", "set", "default", "raw.lxc", line)
    assert "is not allowed" in daemon.error("init", "bb", f"{name}-2", "-c", f"raw.lxc={line}")


def test_a_protected_container_is_not_deleted(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "set", container, "security.protection.delete", "true")
    assert "protected" in daemon.error("delete", "-f", container)
    assert daemon.lxc("list", f"^{container}$", "-c", "s", "--format", "csv") == "RUNNING\n"
    daemon.lxc("stop", "-f", container)
    assert "protected" in daemon.error("delete", container)
    daemon.lxc("config", "set", container, "security.protection.delete", "false")
    daemon.lxc("delete", container)


def test_isolated_maps_never_overlap(daemon: Daemon) -> None:
    """Several are created at once, by the API: none of them may get another's ids."""
    names = [f"iso-{number}" for number in range(6)]
    body = {"source": {"type": "none"}, "config": {"security.idmap.isolated": "true"}}

    def create(name: str) -> str:
        return daemon.request("POST", "/1.0/containers", json.dumps({**body, "name": name}))

    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        replies = list(pool.map(create, names))
    try:
        for reply in replies:
            daemon.request("GET", f"{json.loads(reply)['operation']}/wait")
        maps = [json.loads(daemon.lxc("config", "get", name, "volatile.idmap.next")) for name in names]
        users = [each for found in maps for each in found if each["Isuid"]]
        spans = sorted((each["Hostid"], each["Maprange"]) for each in users)
        assert len(spans) == len(names)
        for (first, size), (second, _) in itertools.pairwise(spans):
            assert first + size <= second
    finally:
        daemon.lxc("delete", "-f", *names)


def test_privileged_containers_lack_capabilities_and_devices(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", "security.privileged=true")
    text = Path(f"/proc/{pid_of(daemon, name)}/status").read_text()
    bounding = int(next(line.split()[1] for line in text.splitlines() if line.startswith("CapBnd:")), 16)
    for number in (16, 17, 25, 32, 33):  # sys_module, sys_rawio, sys_time, mac_override, mac_admin
        assert not bounding >> number & 1
    refused = daemon.run("exec", name, "--", "sh", "-c", "mknod /mem c 1 1 && cat /mem")
    assert b"Operation not permitted" in refused.stderr


def test_users_of_the_host_cannot_reach_a_containers_files(daemon: Daemon, container: str) -> None:
    """They could run its setuid programs: owners on disk are not shifted."""
    volume = daemon.folder / "lxd/storage-pools/default/containers" / container
    assert (volume / "rootfs/bin").is_dir()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    tried = subprocess.run(
        [*nobody, "ls", str(volume / "rootfs/bin")], capture_output=True, text=True, check=False
    )
    assert "Permission denied" in tried.stderr
