"""Containers where the file system has no idmapped mounts: owners are rewritten on disk (on ext2)."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import busybox
from tests.system.harness import Daemon

CAPABILITY = "security.capability"
PING = bytes.fromhex("0100000200200000000000000000000000000000")
"""cap_net_raw+ep for whoever executes the file (revision 2 of <linux/capability.h>)."""
ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000700e8030000 04000400ffffffff 10000700ffffffff 20000400ffffffff"
)
"""u::rw,u:1000:rwx,g::r,m::rwx,o::r"""


@pytest.fixture(scope="module")
def ext2(daemon: Daemon) -> Iterator[Path]:
    """A mounted ext2 on a loop file, in a folder that ids of containers may enter."""
    file, place = daemon.folder / "ext2.img", daemon.folder / "ext2"
    place.mkdir()
    with open(file, "wb") as opened:
        opened.truncate(200 << 20)
    subprocess.run(["mkfs.ext2", "-q", str(file)], check=True)
    subprocess.run(["mount", "-o", "loop,acl,user_xattr", str(file), str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def pool(daemon: Daemon, ext2: Path) -> Iterator[Path]:
    """A pool of plain folders there, the profile `plain` that uses it, and the image `marked`."""
    source = ext2 / "pool"
    body = {"name": "plain", "driver": "dir", "config": {"source": str(source)}}
    said = json.loads(daemon.request("POST", "/1.0/storage-pools", json.dumps(body)))
    assert said["type"] != "error", said
    daemon.lxc("profile", "create", "plain")
    device = {"root": {"type": "disk", "path": "/", "pool": "plain"}}
    daemon.request("PATCH", "/1.0/profiles/plain", json.dumps({"devices": device}))
    tree = daemon.folder / "marked"
    busybox.make_tree(tree, "marked")
    mark(tree / "rootfs/bin")
    archive = daemon.folder / "marked.tar"
    names = ["metadata.yaml", "templates", "rootfs"]
    argv = ["tar", "-cf", str(archive), "--xattrs", "--acls", "--numeric-owner", "-C", str(tree), *names]
    subprocess.run(argv, check=True)
    daemon.lxc("image", "import", str(archive), "--alias", "marked")
    yield source
    daemon.lxc("image", "delete", "marked")
    daemon.lxc("profile", "delete", "plain")
    daemon.request("DELETE", "/1.0/storage-pools/plain")


def mark(folder: Path) -> None:
    """Files with all that a change of owner could lose."""
    for name in ("suid", "raw", "listed"):
        (folder / name).write_bytes(b"#!/bin/sh\n")
        (folder / name).chmod(0o755)
    os.chown(folder / "suid", 1000, 1000)
    (folder / "suid").chmod(0o6755)
    os.setxattr(folder / "raw", CAPABILITY, PING)
    os.setxattr(folder / "listed", "system.posix_acl_access", ACL)
    os.link(folder / "suid", folder / "same")
    os.symlink("/etc/passwd", folder / "link")


def check_marks(folder: Path, base: int) -> None:
    """All of them, for a container whose ids begin at the host id `base`."""
    assert (folder.stat().st_uid, folder.stat().st_gid) == (base, base)
    for name in ("suid", "same"):
        status = (folder / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (base + 1000, base + 1000, 0o6755)
    assert (folder / "link").lstat().st_uid == base
    capability = os.getxattr(folder / "raw", CAPABILITY)
    if base:
        assert capability == b"\x01\0\0\x03" + PING[4:] + base.to_bytes(4, "little")
    else:
        assert capability == PING
    users = os.getxattr(folder / "listed", "system.posix_acl_access")
    assert int.from_bytes(users[16:20], "little") == base + 1000


def first_id(daemon: Daemon, name: str) -> int:
    shown = daemon.lxc("config", "get", name, "volatile.last_state.idmap").strip()
    found = json.loads(shown)
    return int(found[0]["Hostid"]) if found else 0


def test_an_unprivileged_container_runs_on_rewritten_owners(daemon: Daemon, pool: Path, name: str) -> None:
    daemon.lxc("launch", "marked", name, "-p", "plain")
    base = first_id(daemon, name)
    assert base >= 65536
    check_marks(pool / "containers" / name / "rootfs/bin", base)
    (image,) = (pool / "images").iterdir()
    check_marks(image / "rootfs/bin", 0)
    assert daemon.lxc("exec", name, "--", "stat", "-c", "%u:%g %a", "/bin/suid") == "1000:1000 6755\n"
    assert daemon.lxc("exec", name, "--", "stat", "-c", "%u", "/etc/hostname") == "0\n"
    daemon.lxc("exec", name, "--", "touch", "/etc/new")
    daemon.lxc("restart", "-f", name)
    assert daemon.lxc("exec", name, "--", "stat", "-c", "%u", "/etc/new") == "0\n"


def test_owners_follow_the_id_map(daemon: Daemon, pool: Path, name: str) -> None:
    files = pool / "containers" / name / "rootfs/bin"
    daemon.lxc("init", "marked", name, "-p", "plain")
    os.chown(files / "ls", 77, 77, follow_symlinks=False)
    shared = first_id(daemon, name)
    daemon.lxc("config", "set", name, "security.idmap.isolated=true", "security.protection.shift=true")
    assert '"security.protection.shift" keeps them' in daemon.error("start", name)
    check_marks(files, shared)
    daemon.lxc("config", "unset", name, "security.protection.shift")
    daemon.lxc("start", name)
    isolated = first_id(daemon, name)
    assert isolated > shared
    check_marks(files, isolated)
    assert (files / "ls").lstat().st_uid == 77  # no id of the container: nobody's business
    daemon.lxc("stop", "-f", name)
    daemon.lxc("config", "unset", name, "security.idmap.isolated")
    daemon.lxc("config", "set", name, "security.privileged", "true")
    daemon.lxc("start", name)
    check_marks(files, 0)
    assert first_id(daemon, name) == 0
    assert list(pool.glob("containers/*.remap")) == []


def test_a_remap_that_was_cut_off_is_finished_or_forgotten(daemon: Daemon, pool: Path, name: str) -> None:
    daemon.lxc("init", "marked", name, "-p", "plain")
    base = first_id(daemon, name)
    daemon.kill()
    place = pool / "containers" / name
    subprocess.run(["cp", "-a", str(place), f"{place}.remap"], check=True)
    daemon.start()
    assert not place.with_name(f"{name}.remap").exists()
    check_marks(place / "rootfs/bin", base)
