"""The programs beside daemon and client, as somebody runs them."""

import os
import re
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.system.harness import PYTHON, ROOT, RUN_S, Daemon
from tests.system.test_owners import ACL, CAPABILITY, PING


def tool(
    name: str, *words: str | Path, status: int = 0, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """(output, errors) of one of the programs."""
    code = f"from wardian.tools.{name} import run; run()"
    argv = [PYTHON, "-c", code, *map(str, words)]
    done = subprocess.run(
        argv, timeout=RUN_S, check=False, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == status, f"{name} {words}: {done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def owner(path: Path) -> tuple[int, int, int]:
    """(uid, gid, mode) of a file itself."""
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_a_tree_is_shifted_into_a_map_and_back(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "sub").mkdir(parents=True)
    outside.touch()
    suid, ping, far, hard = (top / name for name in ("suid", "ping", "sub/far", "hard"))
    for file in (suid, ping, far):
        file.touch()
    os.chown(suid, 5, 6)
    suid.chmod(0o4755)
    hard.hardlink_to(suid)
    os.chown(far, 70000, 0)
    (top / "link").symlink_to(outside)
    os.setxattr(ping, CAPABILITY, PING)
    os.setxattr(far, "system.posix_acl_access", ACL)

    ranges = ("b:0:1000000:65536", "g:6:600:1")
    assert tool("fuidshift", top, "-t", *ranges)[0].count("I would shift") == 6, "hard links once"
    assert owner(suid) == (5, 6, 0o4755)
    tool("fuidshift", top, *ranges)
    assert owner(suid) == owner(hard) == (1000005, 600, 0o4755)
    assert owner(far)[:2] == (70000, 1000000), "an id outside of the map stays"
    assert owner(top / "link")[:2] == (1000000, 1000000)
    assert owner(outside)[:2] == (0, 0), "links are not followed"
    assert os.getxattr(ping, CAPABILITY)[-4:] == (1000000).to_bytes(4, "little")
    assert (1001000).to_bytes(4, "little") in os.getxattr(far, "system.posix_acl_access")
    tool("fuidshift", "-r", top, *ranges)
    assert owner(suid) == (5, 6, 0o4755)
    assert owner(far)[:2] == (70000, 0)
    assert os.getxattr(ping, CAPABILITY) == PING
    assert os.getxattr(far, "system.posix_acl_access") == ACL


def test_what_is_mounted_in_a_tree_stays(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    other.mkdir()
    (top / "mnt").mkdir(parents=True)
    script = 'mount --bind "$1/other" "$1/top/mnt" && shift && exec "$@"'
    code = "from wardian.tools.fuidshift import run; run()"
    argv = ["unshare", "-m", "sh", "-ec", script, "sh", str(tmp_path), PYTHON, "-c", code, str(top)]
    done = subprocess.run([*argv, "b:0:1000000:9"], check=True, cwd=ROOT, capture_output=True, text=True)
    assert f'"{top}/mnt" is another file system' in done.stderr
    assert owner(top)[0] == 1000000
    assert owner(other)[0] == 0


def test_a_benchmark_makes_stops_starts_and_deletes_its_own_containers(
    daemon: Daemon, container: str, tmp_path: Path
) -> None:
    def benchmark(*words: str, status: int = 0) -> tuple[str, str]:
        report = ("--report-file", tmp_path / "times.csv")
        return tool("benchmark", *words, *report, status=status, environment=daemon.environment)

    said, _ = benchmark("launch", "--image=bb", "--count=3", "--parallel=2", "--privileged=true")
    assert "Storage backend: btrfs" in said and "Container mode: privileged" in said
    assert re.findall(r"Processed (\d) containers", said) == ["2", "3"]
    mine = [f"benchmark-{number}" for number in (1, 2, 3)]
    assert {*daemon.names("ns")} >= {f"{name},RUNNING" for name in mine}
    _, said = benchmark("spawn", "--image=bb", "--start=false", "--count=1", status=1)
    assert "benchmark-1: Container 'benchmark-1' already exists\n" in said
    assert "Stopping 3 containers" in benchmark("stop", "--report-label", "down")[0]
    assert {*daemon.names("ns")} >= {f"{container},RUNNING", *(f"{name},STOPPED" for name in mine)}
    assert "Starting 3 containers" in benchmark("start")[0]
    assert "Deleting 3 containers" in benchmark("delete")[0]
    assert not {*daemon.names()} & {*mine}
    rows = [line.split(",") for line in (tmp_path / "times.csv").read_text().splitlines()]
    assert rows[0] == ["timeStamp", "elapsed", "label", "responseCode", "success"]
    told = [(row[2], row[4]) for row in rows[1:]]
    assert told[:3] == [("launch", "true"), ("launch", "false"), ("down", "true")]
    assert told[3:] == [("start", "true"), ("delete", "true")]


def test_a_container_of_plain_liblxc_is_imported_with_its_owners(daemon: Daemon, name: str) -> None:
    def imported(*words: str, status: int = 0) -> tuple[str, str]:
        place = ("--lxcpath", str(lxcpath))
        return tool("lxc_to_lxd", *words, *place, status=status, environment=daemon.environment)

    lxcpath = daemon.folder / "lxc"
    lxcpath.mkdir()
    (lxcpath / "none.conf").write_text("lxc.net.0.type = empty\n")
    argv = ["lxc-create", "-P", str(lxcpath), "-f", str(lxcpath / "none.conf"), "-n", name, "-t", "busybox"]
    if (made := subprocess.run(argv, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"lxc-create makes no busybox container here: {made.stderr}")
    rootfs, config = lxcpath / name / "rootfs", lxcpath / name / "config"
    for file in (rootfs / "ping", rootfs / "suid"):
        file.write_bytes(b"#!/bin/sh\n")
    os.setxattr(rootfs / "ping", CAPABILITY, PING)
    os.chown(rootfs / "suid", 1000, 1001)
    (rootfs / "suid").chmod(0o4755)
    tool("fuidshift", rootfs, "b:0:1200000:65536")
    mapped = "lxc.idmap = u 0 1200000 65536\nlxc.idmap = g 0 1200000 65536\nlxc.environment = A=b\n"
    config.write_text(config.read_text() + mapped + "lxc.hook.mount = /bin/x\n")

    said = imported(name, status=1)[1]
    assert f"{name}: error: lxc.hook.mount = /bin/x: programs that run as root of the host" in said
    config.write_text(config.read_text().replace("lxc.hook.mount", "#"))
    assert "environment.A: b" in imported("--all", "--dry-run")[0]
    assert name not in daemon.names()
    assert imported("--delete", name)[0] == f"Importing {name}\n"
    assert not (lxcpath / name).exists()
    daemon.lxc("start", name)
    command = "stat -c '%u:%g %a' /suid /bin/busybox; test -c /dev/null; echo $A"
    assert daemon.lxc("exec", name, "--", "sh", "-c", command).split("\n")[::2] == ["1000:1001 4755", "b"]
    assert (
        os.getxattr(daemon.folder / f"lxd/storage-pools/default/containers/{name}/rootfs/ping", CAPABILITY)
        == PING
    )
    daemon.lxc("stop", name, "--timeout", str(RUN_S))  # its init waits in sigtimedwait
