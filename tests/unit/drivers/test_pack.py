"""How large an archive will be is guessed well enough for a percentage."""

import os
import subprocess
import threading
from pathlib import Path

from wardian.drivers.rootfs import pack
from wardian.ports.rootfs import PackedFile, PackedTree


def test_the_guess_is_close_to_what_tar_makes(tmp_path: Path) -> None:
    top = tmp_path / "rootfs"
    for number in range(60):
        folder = top / f"folder{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(b"x" * (number * 997))
    os.link(top / "folder3/file59", top / "same")
    (top / "link").symlink_to("/etc/passwd")
    argv = [word.replace("/target", str(tmp_path)) for word in pack.TAR]
    made = len(subprocess.run([*argv, "--", "rootfs"], capture_output=True, check=True).stdout)
    parts: list[PackedFile | PackedTree] = [
        PackedFile("metadata.yaml", b"x"),
        PackedTree(tmp_path, ["rootfs"]),
    ]
    guess = pack.about_bytes(parts, threading.Event())
    assert 0.95 < guess / (made + 1024) < 1.05


def test_counting_stops_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "rootfs/deep/deeper").mkdir(parents=True)
    (tmp_path / "rootfs/deep/deeper/big").write_bytes(bytes(100_000))
    told = threading.Event()
    told.set()
    assert pack.about_bytes([PackedTree(tmp_path, ["rootfs"])], told) < 100_000
