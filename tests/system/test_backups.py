"""Real containers as one file, out and in again; and files that nobody should believe."""

import gzip
import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from tests import archives
from tests.archives import archive, folder, member
from tests.system.harness import Daemon


def kept(daemon: Daemon) -> list[str]:
    """What is left of files below the daemon's folder, and of volumes."""
    lxd = daemon.folder / "lxd"
    volumes = [
        str(path.relative_to(lxd))
        for kind in ("containers", "snapshots")
        for path in (lxd / "storage-pools/default" / kind).glob("*")
        if not path.name.startswith(".") and (kind == "containers" or list(path.iterdir()))
    ]
    return volumes + [path.name for path in (lxd / "backups").iterdir()]


def text_of(daemon: Daemon, name: str, volume: str = "containers") -> str:
    return (daemon.folder / f"lxd/storage-pools/default/{volume}/{name}/rootfs/root/file").read_text()


@pytest.mark.parametrize("kind", ["gzip", "none", "zstd", "none --optimized-storage"])
def test_a_container_comes_back_as_it_was(daemon: Daemon, name: str, kind: str, tmp_path: Path) -> None:
    daemon.lxc("launch", "bb", name, "-c", "user.foo=bar")
    daemon.lxc("exec", name, "--", "sh", "-c", "echo one > /root/file; chown 7:8 /root/file; sync")
    daemon.lxc("snapshot", name, "s, &\\1")
    daemon.lxc("exec", name, "--", "sh", "-c", "echo two > /root/file; ln /root/file /root/hard; sync")
    hwaddr = daemon.lxc("config", "get", name, "volatile.eth0.hwaddr")
    file = tmp_path / "c.tar"
    daemon.lxc("export", name, str(file), "--compression", *kind.split())
    assert [path.name for path in tmp_path.iterdir()] == ["c.tar"]
    daemon.lxc("exec", name, "--", "true")  # it runs on
    assert "already exists" in daemon.error("import", str(file))
    daemon.lxc("delete", "-f", name)
    daemon.lxc("import", str(file))
    assert text_of(daemon, name) == "two\n"
    assert daemon.lxc("config", "get", name, "user.foo") == "bar\n"
    assert daemon.lxc("config", "get", name, "volatile.eth0.hwaddr") == hwaddr
    root = daemon.folder / f"lxd/storage-pools/default/containers/{name}/rootfs/root"
    found = (root / "file").lstat()
    assert (found.st_uid, found.st_gid, found.st_nlink) == (7, 8, 2)
    daemon.lxc("start", name)
    daemon.lxc("restore", name, "s, &\\1")
    assert daemon.lxc("exec", name, "--", "cat", "/root/file") == "one\n"
    daemon.lxc("import", str(file), "other")
    assert daemon.lxc("config", "get", "other", "volatile.eth0.hwaddr") != hwaddr
    daemon.lxc("delete", "other")
    pool = "storage-pools/default"
    assert kept(daemon) == [f"{pool}/containers/{name}", f"{pool}/snapshots/{name}"]


def test_optimized_files_hold_differences_and_are_checked(daemon: Daemon, name: str, tmp_path: Path) -> None:
    daemon.lxc("init", "bb", name)
    root = daemon.folder / f"lxd/storage-pools/default/containers/{name}/rootfs/root"
    (root / "big").write_bytes(os.urandom(1 << 20) * 4)
    for snapshot in ("s1", "s2"):
        daemon.lxc("snapshot", name, snapshot)
    file = tmp_path / "c"
    daemon.lxc("export", name, str(file), "--optimized-storage", "--compression", "none")
    with tarfile.open(file) as tar:
        sizes = {member.name: member.size for member in tar if member.isfile()}
    assert sizes["backup/snapshots/s1.bin"] > 4 << 20
    assert max(sizes["backup/snapshots/s2.bin"], sizes["backup/container.bin"]) < 1 << 16
    daemon.lxc("storage", "create", "plain", "dir")
    assert "btrfs" in daemon.error("import", str(file), "other", "--storage", "plain")
    daemon.lxc("storage", "delete", "plain")
    content = file.read_bytes()
    file.write_bytes(content[:-20000] + bytes([content[-20000] ^ 1]) + content[-19999:])
    assert "checksum is wrong" in daemon.error("import", str(file), "other")
    os.mknod(root / "disk", 0o60666, os.makedev(8, 0))
    daemon.lxc("export", name, str(tmp_path / "d"), "--optimized-storage", "--instance-only")
    assert "device nodes" in daemon.error("import", str(tmp_path / "d"), "other")
    pool = "storage-pools/default"
    assert kept(daemon) == [f"{pool}/containers/{name}", f"{pool}/snapshots/{name}"]


def test_snapshots_can_be_left_out(daemon: Daemon, name: str, tmp_path: Path) -> None:
    daemon.lxc("init", "bb", name)
    daemon.lxc("snapshot", name)
    daemon.lxc("export", name, str(tmp_path / "c"), "--instance-only")
    with tarfile.open(tmp_path / "c") as tar:
        names = tar.getnames()
    assert names[0] == "backup/index.yaml" and names[-1] == "backup/checksum"
    assert "backup/container/rootfs/bin/busybox" in names
    assert not any(n.startswith("backup/snapshots") for n in names)
    sent = daemon.run("export", name, "-").stdout
    assert sent[:2] == b"\x1f\x8b"
    daemon.lxc("delete", name)
    daemon.lxc("import", str(tmp_path / "c"))
    assert "Snapshots" not in daemon.lxc("info", name)


def test_a_file_that_was_changed_or_cut_is_refused(daemon: Daemon, name: str, tmp_path: Path) -> None:
    daemon.lxc("init", "bb", name)
    daemon.lxc("export", name, str(tmp_path / "c"), "--compression", "none")
    daemon.lxc("delete", name)
    before = kept(daemon)
    whole = (tmp_path / "c").read_bytes()
    place = whole.index(b"::ctrlaltdel")
    changed = whole[:place] + b"##" + whole[place + 2 :]
    pieces = {"changed": changed, "cut": whole[: len(whole) // 2 // 512 * 512], "block": whole[:-1536]}
    for kind, content in pieces.items():
        (tmp_path / kind).write_bytes(content)
        assert "checksum is wrong" in daemon.error("import", str(tmp_path / kind)), kind
    (tmp_path / "gz").write_bytes(gzip.compress(whole)[:-2000])
    assert daemon.error("import", str(tmp_path / "gz"))
    assert name not in daemon.names()
    assert kept(daemon) == before


# --- files that nobody should believe ----------------------------------------------------------


def index(**changes: object) -> bytes:
    thing = {"architecture": "x86_64", "created_at": "2026-01-01T00:00:00Z", "profiles": ["default"]}
    content = {"name": "evil", "config": {"container": thing, "snapshots": None}, "snapshots": None}
    return json.dumps({**content, **changes}).encode()  # YAML, too, and never with aliases


def good(text: bytes) -> list[archives.Member]:
    return [member("backup/index.yaml", text), folder("backup/container"), folder("backup/container/rootfs")]


def assert_harmless(daemon: Daemon, file: Path, outside: Path) -> None:
    before = kept(daemon)
    completed = daemon.run("import", str(file))
    assert outside.read_text() == "untouched"
    assert "internal error" not in completed.stderr.decode()
    if completed.returncode == 0:
        shown = daemon.folder / "lxd/storage-pools/default/containers/evil"
        found = [path for path in shown.rglob("*") if path.is_block_device() or path.is_char_device()]
        assert not found
        daemon.lxc("delete", "evil")
    assert "evil" not in daemon.names()
    assert kept(daemon) == before


ESCAPES = list(archives.escapes("", Path("/x")))


@pytest.fixture
def outside() -> Path:
    path = Path("/var/tmp/wardian-outside")
    path.write_text("untouched")
    return path


@pytest.mark.parametrize("kind", ESCAPES)
def test_no_file_of_a_container_leaves_it(daemon: Daemon, kind: str, outside: Path, tmp_path: Path) -> None:
    members = archives.escapes("backup/container/", outside)[kind]
    text = member("backup/index.yaml", index())
    file = archive(tmp_path / "a", [text, folder("backup/container"), *members])
    assert_harmless(daemon, file, outside)


@pytest.mark.parametrize("kind", ESCAPES)
def test_no_file_of_an_image_leaves_it(daemon: Daemon, kind: str, outside: Path, tmp_path: Path) -> None:
    metadata = member("metadata.yaml", b"architecture: x86_64\ncreation_date: 1\n")
    file = archive(tmp_path / "a", [metadata, *archives.escapes("", outside)[kind]])
    completed = daemon.run("image", "import", str(file), "--alias", "evil")
    if completed.returncode == 0:
        daemon.run("init", "evil", "evil")
        daemon.run("delete", "evil")
        daemon.lxc("image", "delete", "evil")
    assert outside.read_text() == "untouched"
    assert "evil" not in daemon.names()


@pytest.mark.parametrize("kind", list(archives.BROKEN_INDEXES))
def test_a_broken_index_is_refused(daemon: Daemon, kind: str, outside: Path, tmp_path: Path) -> None:
    file = archive(tmp_path / "a", good(archives.BROKEN_INDEXES[kind].encode()))
    assert_harmless(daemon, file, outside)
    assert daemon.error("import", str(file)).startswith("error: ")


THING = {"architecture": "x86_64", "created_at": "2026-01-01T00:00:00Z", "profiles": ["default"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../evil"}, "reserved"),
        ({"snapshots": ["s"]}, "two lists of snapshots differ"),
        ({"config": {"container": {**THING, "name": "other"}}}, 'called "evil" and "other"'),
        ({"config": {"container": {**THING, "profiles": ["none-such"]}}}, "none-such"),
        ({"config": {"container": {**THING, "config": {"no.such": "key"}}}}, "no.such"),
        ({"config": {"container": {**THING, "config": {"raw.lxc": "lxc.log.file=/x"}}}}, "not allowed"),
        ({"config": {"container": {**THING, "devices": {"a": {"type": "odd"}}}}}, "odd"),
        ({"config": {"container": {**THING, "architecture": "pdp11"}}}, "pdp11"),
        ({"config": {"container": {**THING, "profiles": "default"}}}, "profiles"),
        ({"config": {"container": THING, "snapshots": [{**THING, "name": "a/.."}]}}, "differ"),
        (
            {"snapshots": [".."], "config": {"container": THING, "snapshots": [{**THING, "name": ".."}]}},
            "..",
        ),
        ({"sealed": True}, "checksum is wrong"),
        ({"optimized": True}, "portable"),
        ({"optimized": True, "transport": "btrfs", "sealed": True}, "checksum is wrong"),
        ({"optimized": True, "transport": "rsync", "sealed": True}, "another pool"),
        ({"type": "virtual-machine"}, "only containers"),
    ],
)
def test_an_index_is_checked_like_a_request(
    daemon: Daemon, changes: dict[str, object], said: str, outside: Path, tmp_path: Path
) -> None:
    file = archive(tmp_path / "a", good(index(**changes)))
    assert_harmless(daemon, file, outside)
    assert said in daemon.error("import", str(file))


def test_a_second_index_changes_nothing(daemon: Daemon, outside: Path, tmp_path: Path) -> None:
    second = index(name="worse")
    members = [
        *good(index()),
        member("backup/index.yaml", second),
        member("backup/container/backup.yaml", second),
    ]
    daemon.lxc("import", str(archive(tmp_path / "a", members)))
    assert "evil" in daemon.names() and "worse" not in daemon.names()
    assert not (daemon.folder / "lxd/storage-pools/default/containers/evil/backup.yaml").exists()
    daemon.lxc("delete", "evil")


# --- full disks, ended daemons -----------------------------------------------------------------


def test_a_daemon_that_is_killed_while_it_packs_leaves_nothing(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name)
    daemon.lxc("exec", name, "--", "dd", "if=/dev/urandom", "of=/root/big", "bs=1M", "count=100")
    before = kept(daemon)
    body = json.dumps({"compression_algorithm": "xz"})
    daemon.request("POST", f"/1.0/containers/{name}/backups", body)
    deadline = time.monotonic() + 30
    while not list((daemon.folder / "lxd/backups").glob(".build-*/file")):
        assert time.monotonic() < deadline, daemon.log()[-2000:]
    daemon.kill()
    daemon.start()
    assert kept(daemon) == before
    assert "Snapshots" not in daemon.lxc("info", name)
    assert daemon.run("export", name, "-", "--compression", "none").returncode == 0
