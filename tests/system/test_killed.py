"""A daemon killed in the middle of its work: at the next start all is as before, or done."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.system.dying import doom
from tests.system.harness import Daemon

POOL = "storage-pools/default"
PLACES = ("images/*", "backups/*", f"{POOL}/containers/*", f"{POOL}/snapshots/*/*", "disks/*")
CHANGING = re.compile(r'"[\w.]*(_at|volatile)[\w.]*": ?("([^"\\]|\\.)*"|[^,}]*)')
"""Times, and keys that are made anew."""


def mortal(backend: str) -> Iterator[Daemon]:
    """A daemon with the container c1, its snapshot c1/s1, and the image `new` that has not been unpacked."""
    made = Daemon(f"k{backend[0]}", backend=backend, program="tests.system.dying")
    made.import_busybox()
    made.import_busybox("new")
    made.lxc("init", "bb", "c1")
    made.lxc("snapshot", "c1", "s1")
    made.lxc("config", "set", "c1", "user.changed", "since s1")
    if backend == "btrfs":
        made.lxc("storage", "create", "k2", "btrfs", "size=200MB")
    yield made
    made.run("storage", "delete", "k2")
    made.close()


on_dir = pytest.fixture(lambda: (yield from mortal("dir")), scope="module", name="dir")
on_btrfs = pytest.fixture(lambda: (yield from mortal("btrfs")), scope="module", name="btrfs")


def everything(daemon: Daemon) -> str:
    """What the daemon says there is and what is on disk, without times and what is random."""
    lxd = daemon.folder / "lxd"
    asked = ("containers?recursion=2", "images?recursion=1", "storage-pools", "containers/c1/backups")
    said = [CHANGING.sub("", daemon.request("GET", f"/1.0/{path}")) for path in asked]
    known = daemon.request("GET", "/1.0/images")
    found = [path for place in PLACES for path in lxd.glob(place)]
    found += [path for path in (lxd / POOL / "images").glob("*") if path.name not in known]
    return "\n".join([*said, *sorted(str(path.relative_to(lxd)) for path in found)])


def die(daemon: Daemon, point: str, words: list[str]) -> None:
    """Let the daemon be killed at that point, and start the next one."""
    doom(daemon, point)
    assert daemon.process is not None
    assert daemon.error(*words).count("\n") <= 1
    assert daemon.process.wait() == -signal.SIGKILL
    daemon.start()


FILLED = "wardian.core.owners:fill"
CONFINED = "wardian.drivers.rootfs.unpack:confined"
MADE = "wardian.drivers.storage.folders:settle"
INSERTED = "wardian.store.records:Table.insert"
CHANGED = "wardian.store.records:Table.replace"
DELETED = "wardian.store.records:Table.delete"
REMOVED = {"dir": "shutil:rmtree", "btrfs": "wardian.linux.btrfs:delete_subvolume"}

TAKEN_BACK = [
    ("dir", "wardian.drivers.rootfs.unpack:read_bounded", ["init", "new", "k1"]),
    ("dir", MADE, ["copy", "c1", "k1"]),
    ("dir", MADE, ["snapshot", "c1", "s2"]),
    ("dir", INSERTED, ["publish", "c1"]),
    ("dir", CONFINED, ["export", "c1", "/dev/null"]),
    ("dir", CHANGED, ["export", "c1", "/dev/null"]),
    ("btrfs", FILLED, ["init", "new", "k1"]),
    ("btrfs", CHANGED, ["storage", "create", "k1", "btrfs", "size=200MB"]),
]
"""Of what a pool, where the daemon dies, what it was asked for."""


@pytest.mark.parametrize(("backend", "point", "words"), TAKEN_BACK)
def test_what_was_being_made_is_gone(
    request: pytest.FixtureRequest, backend: str, point: str, words: list[str]
) -> None:
    daemon: Daemon = request.getfixturevalue(backend)
    before = everything(daemon)
    die(daemon, point, words)
    assert everything(daemon) == before


CARRIED_OUT = [
    ("dir", "wardian.drivers.storage.folders:exchange", ["restore", "c1", "s1"], "since s1", ""),
    ("dir", "wardian.core.renames:_settle", ["move", "c1", "k1"], "containers/c1", "containers/k1"),
    ("dir", REMOVED["dir"], ["delete", "k1/s1"], "snapshots/k1/s1", ""),
    ("dir", REMOVED["dir"], ["delete", "k1"], "containers/k1", ""),
    ("dir", REMOVED["dir"], ["image", "delete", "bb"], "images/BB", ""),
    ("btrfs", REMOVED["btrfs"], ["restore", "c1", "s1"], "since s1", ""),
    ("btrfs", REMOVED["btrfs"], ["delete", "c1"], "containers/c1", ""),
    ("btrfs", REMOVED["btrfs"], ["image", "delete", "bb"], "images/BB", ""),
    ("btrfs", DELETED, ["storage", "delete", "k2"], "disks/k2.img", ""),
]
"""The same, what is then gone, and what is there."""


@pytest.mark.parametrize(("backend", "point", "words", "gone", "new"), CARRIED_OUT)
def test_what_was_being_removed_or_changed_is_so(
    request: pytest.FixtureRequest, backend: str, point: str, words: list[str], gone: str, new: str
) -> None:
    daemon: Daemon = request.getfixturevalue(backend)
    if gone.endswith("BB"):
        gone = gone.replace("BB", daemon.lxc("image", "info", "bb").split()[1])
    assert gone in everything(daemon)
    die(daemon, point, words)
    assert gone not in everything(daemon) and new in everything(daemon)
