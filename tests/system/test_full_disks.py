"""A disk that fills up in the middle of an action: a clear error, nothing left, and it works later."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system import busybox
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


@contextmanager
def filled(disk: Path, *, but: int) -> Iterator[None]:
    """A file takes all the space of the disk but so many bytes."""
    ballast = disk / "ballast"
    os.sync()  # ext4 frees the blocks of deleted files with its next commit
    space = os.statvfs(disk)
    try:
        with open(ballast, "wb", buffering=0) as wasted:
            os.posix_fallocate(wasted.fileno(), 0, space.f_bavail * space.f_frsize - max(but, 1 << 20))
            with suppress(OSError):
                while not but:
                    wasted.seek(0, os.SEEK_END)
                    wasted.write(bytes(4096))
        yield
    finally:
        ballast.unlink()


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
    with filled(disk, but=FREE_BYTES):
        said = full.error(*words)
        assert "full" in said or "space" in said, said
        assert left(full) == before
        assert full.names() == ["c1"]
        assert "Snapshots" not in full.lxc("info", "c1")
    full.lxc(*words)
    full.run("delete", "c2")
    full.run("delete", "c1/s")
    full.run("image", "delete", "pub")
    assert left(full) == before


def test_on_a_disk_without_any_space_things_can_be_deleted(full: Daemon, disk: Path, tmp_path: Path) -> None:
    busybox.make_tree(tmp_path / "tree", "other")
    image = str(busybox.unified(tmp_path / "tree", tmp_path / "other.tar.xz"))
    full.import_busybox("new")
    full.lxc("init", "bb", "c2")
    full.lxc("snapshot", "c2", "s")
    tries = [
        ["config", "set", "c2", "user.long", "x" * 20000],
        ["image", "import", image],
        ["init", "new", "c3"],
        ["copy", "c2", "c3"],
        ["snapshot", "c2", "t"],
        ["publish", "c2"],
        ["export", "c2", str(tmp_path / "c2.tar")],
    ]
    before = left(full)
    full.kill(signal.SIGTERM)
    with filled(disk, but=0):
        full.start()
        for words in tries:
            said = full.error(*words)
            assert re.search("[Nn]o space left|is full|disk space", said), (words, said)
            assert "internal error" not in said
        assert left(full) == before and full.names() == ["c1", "c2"]
        full.lxc("delete", "c2/s")
        full.lxc("delete", "c2")
        full.lxc("image", "delete", "new")
    assert (full.folder / "lxd/lxd.db.reserve").exists() is False
    full.lxc("image", "import", image, "--alias", "other")
    full.lxc("image", "delete", "other")
    assert (full.folder / "lxd/lxd.db.reserve").exists(), "it is taken again"


def test_an_image_that_does_not_fit_into_its_pool(full: Daemon) -> None:
    full.lxc("publish", "c1", "--alias", "big", "--compression", "none")
    full.lxc("storage", "create", "small", "btrfs", "size=128MB")
    try:
        said = full.error("init", "big", "c2", "-s", "small")
        assert said == "error: Unable to unpack image, run out of disk space."
        pool = full.folder / "lxd/storage-pools/small"
        assert not [*pool.glob("images/*"), *pool.glob("containers/*")]
        assert full.names() == ["c1"]
        full.lxc("storage", "set", "small", "size", f"{3 * BIG_MIB}MB")
        full.lxc("init", "big", "c2", "-s", "small")
    finally:
        full.run("delete", "c2")
        full.run("image", "delete", "big")
        full.lxc("storage", "delete", "small")
