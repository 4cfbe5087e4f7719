"""Which logs of containers go, and which stay."""

import os
from pathlib import Path

from wardian.drivers.runtime import logs

NOW = 1_000_000_000.0
DAY_S = 24 * 3600.0


def make(top: Path, name: str, age_days: float, *files: str) -> None:
    folder = top / name
    folder.mkdir(exist_ok=True)
    for file in files:
        (folder / file).touch()
        os.utime(folder / file, (NOW, NOW - age_days * DAY_S))
    os.utime(folder, (NOW, NOW - age_days * DAY_S))


def test_old_logs_go_and_the_configuration_stays(tmp_path: Path) -> None:
    make(tmp_path, "idle", 3, "lxc.conf", "lxc.log", "lxc.log.old", "console.log")
    make(tmp_path, "idle", 1.9, "snapshot_dump.log")
    make(tmp_path, "busy", 3, "lxc.conf", "lxc.log", "lxc.log.old", "console.log")
    (tmp_path / "lxd.log").touch()
    logs.expire(tmp_path, {"idle", "busy"}, {"busy"}, NOW)
    left = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("idle", "busy")}
    assert left == {
        "idle": ["lxc.conf", "snapshot_dump.log"],
        "busy": ["console.log", "lxc.conf", "lxc.log"],
    }
    assert (tmp_path / "lxd.log").exists()


def test_the_folder_of_a_container_that_is_gone_stays_for_a_day(tmp_path: Path) -> None:
    make(tmp_path, "old", 1.1, "lxc.log")
    make(tmp_path, "fresh", 1.1, "lxc.log")
    make(tmp_path, "fresh", 0.9, "lxc.log.old")
    logs.expire(tmp_path, set(), set(), NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["fresh"]
