"""A pool that fills up in the middle of an action, on each backend: all is as before, and later it works."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.harness import Daemon

BIG = 60 << 20
FREE = 25 << 20
SIZE = 320 << 20


@dataclass
class Small:
    """A daemon with a roomy default pool and the pool `small`. place: where the latter's files are."""

    daemon: Daemon
    driver: str
    place: Path

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Something takes all the space of the pool but FREE bytes."""
        ballast = self.place / "ballast"
        subprocess.run(["sync", "-f", self.place], check=True)
        try:
            with open(ballast, "wb", buffering=0) as wasted:
                while (left := self.free()) > FREE:
                    os.write(wasted.fileno(), os.urandom(min(1 << 20, left - FREE)))
                    os.fsync(wasted.fileno())
            yield
        finally:
            ballast.unlink()
            subprocess.run(["sync", "-f", self.place], check=True)

    def free(self) -> int:
        """Bytes that can still be written."""
        space = os.statvfs(self.place)
        return space.f_bavail * space.f_frsize

    def contents(self) -> list[str]:
        """What is in the pool down to the files of volumes, and in the daemon's working folders."""
        lxd = self.daemon.folder / "lxd"
        script = (
            f"find {self.place} -mindepth 1 -maxdepth 4 -not -path '*/lost+found*' -not -name ballast; "
            f"find {lxd}/backups {lxd}/storage-pools/default -maxdepth 2"
        )
        found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        return sorted(found.stdout.splitlines())


@pytest.fixture(scope="module", params=["dir", "overlay", "btrfs"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    driver = request.param
    daemon = Daemon("g", backend="dir")
    daemon.import_busybox()
    disk = daemon.folder / "disk"
    disk.mkdir()
    if driver == "btrfs":
        daemon.lxc("storage", "create", "small", "btrfs", f"size={SIZE >> 20}MB")
        place = daemon.folder / "lxd/storage-pools/small"
    else:
        image = daemon.folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        place = disk / "pool"
        place.mkdir()
        daemon.lxc("storage", "create", "small", driver, f"source={place}")
    daemon.lxc("init", "bb", "c1", "-s", "small")  # with `big`, in the pool that fills up
    daemon.lxc("init", "bb", "out")  # with `big`, outside
    big = daemon.folder / "big"
    big.write_bytes(os.urandom(BIG))
    for name in ("c1", "out"):
        daemon.lxc("file", "push", str(big), f"{name}/root/big")
    yield Small(daemon, driver, place)
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)
    daemon.lxc("image", "delete", "bb")
    daemon.lxc("storage", "delete", "small")
    if driver != "btrfs":
        subprocess.run(["umount", disk], check=True)
    daemon.close()


def is_of_space(said: str) -> bool:
    return any(word in said for word in ("No space left", "no space left", "full", "disk space", "quota"))


def fails_and_works_later(small: Small, *words: str, layered: bool = False) -> None:
    """The command ends with an error that says why, and nothing is left of it; with space it does its work.

    layered: where volumes are made of layers, one more of them may hold what is there.
    """
    before = small.contents()
    with small.filled():
        said = small.daemon.error(*words)
        assert is_of_space(said), said
        assert len(said.splitlines()) == 1, said
    small.daemon.wait_idle()
    if not (layered and small.driver == "overlay"):
        assert small.contents() == before
    small.daemon.lxc(*words)


def test_a_pushed_file(small: Small) -> None:
    source = str(small.daemon.folder / "big")
    fails_and_works_later(small, "file", "push", source, "c1/root/again")
    small.daemon.lxc("file", "delete", "c1/root/again")


def test_a_pushed_folder(small: Small, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "tree" / f"d{number}").mkdir(parents=True)
        (tmp_path / "tree" / f"d{number}/file").write_bytes(os.urandom(8 << 20))
    with small.filled():
        said = small.daemon.error("file", "push", "-r", str(tmp_path / "tree"), "c1/root")
        assert is_of_space(said), said
    small.daemon.lxc("file", "push", "-r", str(tmp_path / "tree"), "c1/root")
    small.daemon.lxc("file", "pull", "c1/root/tree/d5/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "tree/d5/file").read_bytes()
    small.daemon.lxc("start", "c1")
    small.daemon.lxc("exec", "c1", "--", "rm", "-r", "/root/tree")
    small.daemon.lxc("stop", "-f", "c1")


def test_a_copy_from_another_pool(small: Small) -> None:
    fails_and_works_later(small, "copy", "out", "c2", "-s", "small")
    small.daemon.lxc("delete", "c2")


def test_a_move_from_another_pool(small: Small) -> None:
    small.daemon.lxc("copy", "out", "c2")
    fails_and_works_later(small, "move", "c2", "-s", "small")
    assert "pool: small" in small.daemon.lxc("config", "show", "c2")
    small.daemon.lxc("delete", "c2")


def test_an_import(small: Small, tmp_path: Path) -> None:
    file = tmp_path / "out.tar"
    small.daemon.lxc("export", "out", str(file), "--compression", "none")
    fails_and_works_later(small, "import", str(file), "c2", "--storage", "small")
    small.daemon.lxc("delete", "c2")


def test_a_refresh(small: Small) -> None:
    """What a refresh that failed leaves is the copy as it was; the next one brings all."""
    small.daemon.lxc("init", "bb", "origin")
    small.daemon.lxc("copy", "origin", "c2", "-s", "small")
    small.daemon.lxc("file", "push", str(small.daemon.folder / "big"), "origin/root/big")
    fails_and_works_later(small, "copy", "origin", "c2", "--refresh", layered=True)
    small.daemon.lxc("file", "pull", "c2/root/big", str(small.daemon.folder / "back"))
    assert (small.daemon.folder / "back").read_bytes() == (small.daemon.folder / "big").read_bytes()
    for name in ("c2", "origin"):
        small.daemon.lxc("delete", name)


def test_a_restored_snapshot(small: Small) -> None:
    """Where a snapshot shares its data with the container, restoring it takes no space."""
    small.daemon.lxc("snapshot", "c1", "s0")
    small.daemon.lxc("start", "c1")
    small.daemon.lxc("exec", "c1", "--", "touch", "/root/later")
    small.daemon.lxc("stop", "-f", "c1")
    if small.driver == "dir":
        fails_and_works_later(small, "restore", "c1", "s0")
    else:
        with small.filled():
            small.daemon.lxc("restore", "c1", "s0")
    assert "No such file" in small.daemon.error("file", "pull", "c1/root/later", "-")
    small.daemon.lxc("file", "pull", "c1/root/big", str(small.daemon.folder / "back"))
    assert (small.daemon.folder / "back").read_bytes() == (small.daemon.folder / "big").read_bytes()
    small.daemon.lxc("delete", "c1/s0")


def test_a_copied_volume(small: Small) -> None:
    small.daemon.lxc("storage", "volume", "create", "default", "v0")
    small.daemon.lxc("storage", "volume", "attach", "default", "v0", "out", "/mnt/v")
    small.daemon.lxc("start", "out")
    fill = f"dd if=/dev/urandom of=/mnt/v/file bs=1M count={BIG >> 20}"
    small.daemon.lxc("exec", "out", "--", "sh", "-c", fill)
    small.daemon.lxc("stop", "-f", "out")
    small.daemon.lxc("storage", "volume", "detach", "default", "v0", "out")
    fails_and_works_later(small, "storage", "volume", "copy", "default/v0", "small/v1")
    small.daemon.lxc("storage", "volume", "delete", "small", "v1")
    small.daemon.lxc("storage", "volume", "delete", "default", "v0")
