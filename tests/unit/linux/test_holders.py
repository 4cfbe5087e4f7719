"""Who holds a file system, in a tree like that of /proc."""

import os
import subprocess
from pathlib import Path

from wardian.linux import holders

HERE, ELSEWHERE = "mnt:[1]", "mnt:[2]"
LINE = "36 35 {} / {} rw shared:1 - ext4 /dev/dm-1 rw\n"


def a_process(proc: Path, name: str, namespace: str, mounts: str) -> None:
    (proc / name / "ns").mkdir(parents=True)
    (proc / name / "ns/mnt").symlink_to(namespace)
    (proc / name / "mountinfo").write_text(mounts)


def test_mounts_in_other_namespaces_are_found_once(tmp_path: Path) -> None:
    deep = LINE.format("253:7", "/pool/c1") + LINE.format("253:7", "/pool/c1/deeper")
    a_process(tmp_path, "self", HERE, "")
    a_process(tmp_path, "1", HERE, LINE.format("253:7", "/pool/c1"))
    a_process(tmp_path, "20", ELSEWHERE, deep + LINE.format("253:8", "/pool/c2"))
    a_process(tmp_path, "21", ELSEWHERE, deep)
    (tmp_path / "22/ns").mkdir(parents=True)
    found = list(holders.mounted_elsewhere("253:7", tmp_path))
    assert found == [(20, "/pool/c1/deeper"), (20, "/pool/c1")]


def test_a_process_with_an_open_file_is_named(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        other = subprocess.Popen(["sleep", "infinity"], stdin=file)
    try:
        assert f"{other.pid} (sleep)" in holders.users((tmp_path / "file").stat().st_dev)
    finally:
        other.kill()
        other.wait()
    assert not any(user.startswith(f"{os.getpid()} ") for user in holders.users(tmp_path.stat().st_dev))
