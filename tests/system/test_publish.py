"""Images made from real containers and snapshots."""

import hashlib
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.harness import Daemon


def published(said: str) -> str:
    return said.rsplit(": ", 1)[1].strip()


@pytest.fixture
def made(daemon: Daemon, name: str) -> str:
    """A stopped container with files of every kind."""
    daemon.lxc("launch", "bb", name)
    script = (
        "cd /root; echo text > file; chown 1000:1001 file; chmod 4755 file; ln file hard;"
        " ln -s /etc/shadow soft; mkdir empty; chmod 1777 empty;"
        " touch 'odd name'; dd if=/dev/zero of=big bs=1M count=3; sync"
    )
    daemon.lxc("exec", name, "--", "sh", "-c", script)
    daemon.lxc("stop", "-f", name)
    os.setxattr(rootfs(daemon, name) / "root/file", "user.note", b"kept")
    return name


def rootfs(daemon: Daemon, name: str) -> Path:
    return daemon.folder / f"lxd/storage-pools/default/containers/{name}/rootfs"


def forget(daemon: Daemon, *containers: str) -> None:
    daemon.lxc("delete", "-f", *containers)


def test_an_image_of_a_container_makes_the_same_container(daemon: Daemon, made: str) -> None:
    fingerprint = published(daemon.lxc("publish", made, "--alias", "pub", "a=b", "--public"))
    shown = daemon.lxc("image", "show", "pub")
    assert "a: b" in shown and "public: true" in shown
    daemon.lxc("init", "pub", "again")
    copy = rootfs(daemon, "again") / "root"
    found = (copy / "file").lstat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_nlink) == (1000, 1001, 0o4755, 2)
    assert (copy / "hard").lstat().st_ino == found.st_ino
    assert os.readlink(copy / "soft") == "/etc/shadow"
    assert stat.S_IMODE((copy / "empty").lstat().st_mode) == 0o1777
    assert os.getxattr(copy / "file", "user.note") == b"kept"
    assert (copy / "file").lstat().st_mtime_ns == (rootfs(daemon, made) / "root/file").lstat().st_mtime_ns
    daemon.lxc("start", "again")
    assert daemon.lxc("exec", "again", "--", "cat", "/root/file") == "text\n"
    forget(daemon, "again")
    exported = daemon.folder / "exported"
    daemon.lxc("image", "export", "pub", str(exported))
    archive = exported.with_suffix(".tar.gz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == fingerprint
    listed = subprocess.run(
        ["tar", "-tzf", archive], capture_output=True, check=True, text=True
    ).stdout.split("\n")
    assert listed[0] == "metadata.yaml" and "rootfs/root/odd name" in listed
    daemon.lxc("image", "delete", "pub")


@pytest.mark.parametrize(
    ("kind", "magic"),
    [("none", b"metadata"), ("xz", b"\xfd7zXZ"), ("zstd", b"\x28\xb5\x2f\xfd"), ("bzip2", b"BZ")],
)
def test_an_image_is_compressed_as_asked_for(daemon: Daemon, made: str, kind: str, magic: bytes) -> None:
    if kind == "bzip2":
        daemon.lxc("config", "set", "images.compression_algorithm", kind)
        fingerprint = published(daemon.lxc("publish", made, "--alias", kind))
        daemon.lxc("config", "unset", "images.compression_algorithm")
    else:
        fingerprint = published(daemon.lxc("publish", made, "--alias", kind, "--compression", kind))
    assert (daemon.folder / "lxd/images" / fingerprint).read_bytes().startswith(magic)
    daemon.lxc("init", kind, f"of-{kind}")
    assert (rootfs(daemon, f"of-{kind}") / "root/file").read_text() == "text\n"
    forget(daemon, f"of-{kind}")
    daemon.lxc("image", "delete", kind)


def test_the_same_content_has_the_same_fingerprint(daemon: Daemon, made: str) -> None:
    daemon.lxc("snapshot", made, "s")
    first = published(daemon.lxc("publish", f"{made}/s", "--alias", "one"))
    assert f"The image already exists: {first}" in daemon.error("publish", made)
    assert published(daemon.lxc("publish", made, "--alias", "two", "--reuse")) == first
    daemon.lxc("image", "delete", "one")
    assert published(daemon.lxc("publish", made, "--alias", "one")) == first
    rootfs(daemon, made).joinpath("root/more").touch()
    second = published(daemon.lxc("publish", made, "--alias", "one", "--reuse"))
    assert second != first
    assert first[:12] not in daemon.lxc("image", "list", "--format", "csv")
    daemon.lxc("image", "delete", "one")


def test_a_running_container_is_published_by_force(daemon: Daemon, container: str) -> None:
    assert "currently running" in daemon.error("publish", container)
    body = json.dumps({"source": {"type": "container", "name": container}})
    operation = json.loads(daemon.request("POST", "/1.0/images", body))["operation"]
    assert "running container" in json.loads(daemon.request("GET", f"{operation}/wait"))["metadata"]["err"]
    daemon.lxc("publish", container, "--force", "--alias", "forced")
    assert f"{container},RUNNING" in daemon.names("ns")
    daemon.lxc("image", "delete", "forced")


def test_a_container_without_metadata_gets_one(daemon: Daemon, made: str) -> None:
    (rootfs(daemon, made).parent / "metadata.yaml").unlink()
    daemon.lxc("publish", made, "--alias", "plain")
    assert "Architecture: x86_64" in daemon.lxc("image", "info", "plain")
    daemon.lxc("init", "plain", "of-plain")
    forget(daemon, "of-plain")
    daemon.lxc("image", "delete", "plain")
