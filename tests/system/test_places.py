"""Where the files of containers are found on disk, and who may go there."""

import stat
from pathlib import Path

from tests.system.harness import Daemon


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_of_containers_and_snapshots_are_found_by_their_names(daemon: Daemon, name: str) -> None:
    top = daemon.folder / "lxd"
    containers, snapshots = top / "containers", top / "snapshots"
    daemon.lxc("init", "bb", name)
    folder = containers / name
    assert (folder / "rootfs/sbin/init").is_symlink() and "busybox" in (folder / "metadata.yaml").read_text()
    assert mode(folder) == 0o755
    daemon.lxc("snapshot", name, "one")
    daemon.lxc("copy", name, f"{name}-b")
    assert (snapshots / name / "one/rootfs/bin/busybox").is_file()
    daemon.lxc("rename", f"{name}/one", f"{name}/two")
    daemon.lxc("rename", f"{name}-b", f"{name}-c")
    assert names(snapshots / name) == ["two"] and mode(snapshots) == 0o700
    assert (containers / f"{name}-c/rootfs/bin").is_dir() and not (containers / f"{name}-b").exists()
    daemon.lxc("delete", f"{name}-c")
    assert not (containers / f"{name}-c").exists()
    daemon.lxc("delete", f"{name}/two")
    assert names(snapshots / name) == []


def test_only_root_reaches_the_files_of_a_privileged_container(daemon: Daemon, name: str) -> None:
    folder = daemon.folder / "lxd/containers" / name
    daemon.lxc("launch", "bb", name, "-c", "security.privileged=true")
    assert (mode(folder), folder.stat().st_uid) == (0o700, 0)
    daemon.lxc("config", "set", name, "security.privileged", "false")
    daemon.lxc("restart", "-f", name)
    assert (mode(folder), folder.stat().st_uid) == (0o755, 0)


def test_a_new_container_has_no_logs_of_an_earlier_one(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name)
    daemon.lxc("delete", "-f", name)
    logs = daemon.folder / "lxd/logs" / name
    assert "lxc.log" in names(logs)
    daemon.lxc("init", "bb", name)
    assert names(logs) == []
