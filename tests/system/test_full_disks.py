"""A disk that fills up in the middle of an action: a clear error, nothing left, and it works later."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon

DISK_BYTES = 700 << 20
BIG_MIB = 100
FREE_BYTES = 50 << 20


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A small disk."""
    place = Path(f"/var/tmp/wardian-full-{os.getpid()}")
    image = place.with_suffix(".img")
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()
    image.unlink()


@pytest.fixture(scope="module")
def full(disk: Path) -> Iterator[Daemon]:
    """A daemon with everything on that disk, and the container c1 of 100 MB."""
    disk.chmod(0o711)
    made = Daemon("f", backend="dir", place=disk)
    made.import_busybox()
    made.lxc("launch", "bb", "c1")
    made.lxc("exec", "c1", "--", "dd", "if=/dev/urandom", "of=/root/big", "bs=1M", f"count={BIG_MIB}")
    made.lxc("stop", "-f", "c1")
    yield made
    made.close()


def left(daemon: Daemon) -> list[str]:
    """Every file and folder of the daemon that has to do with containers and images, two levels deep."""
    lxd = daemon.folder / "lxd"
    places = ["images", "backups", *(f"storage-pools/default/{k}" for k in ("containers", "snapshots"))]
    found = [path for place in places for path in (lxd / place).glob("*")]
    found += list((lxd / "storage-pools/default/snapshots").glob("*/*"))
    return sorted(str(path) for path in found if path.name != "c1" or "snapshots" not in path.parts)


@pytest.mark.parametrize("action", ["snapshot", "copy", "publish", "export", "import"])
def test_a_full_disk_ends_it_cleanly(full: Daemon, disk: Path, action: str, tmp_path: Path) -> None:
    file = tmp_path / "c1.tar"
    full.lxc("export", "c1", str(file), "--compression", "none")
    words = {
        "snapshot": ["snapshot", "c1", "s"],
        "copy": ["copy", "c1", "c2"],
        "publish": ["publish", "c1", "--alias", "pub", "--compression", "none"],
        "export": ["export", "c1", str(tmp_path / "again.tar"), "--compression", "none"],
        "import": ["import", str(file), "c2"],
    }[action]
    before = left(full)
    ballast = disk / "ballast"
    os.sync()  # ext4 frees the blocks of deleted files with its next commit
    space = os.statvfs(disk)
    with open(ballast, "wb") as wasted:
        os.posix_fallocate(wasted.fileno(), 0, space.f_bavail * space.f_frsize - FREE_BYTES)
    try:
        said = full.error(*words)
        assert "full" in said or "space" in said, said
        assert left(full) == before
        assert full.names() == ["c1"]
        assert "Snapshots" not in full.lxc("info", "c1")
    finally:
        ballast.unlink()
    full.lxc(*words)
    full.run("delete", "c2")
    full.run("delete", "c1/s")
    full.run("image", "delete", "pub")
    assert left(full) == before
