"""Images in every format, good and hostile; nothing is left of what was refused."""

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.system import busybox
from tests.system.harness import Daemon

METADATA = b"architecture: x86_64\ncreation_date: 1700000000\n"


@pytest.fixture
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A fresh image tree, different for each test."""
    busybox.make_tree(tmp_path / "tree", request.node.name)
    return tmp_path / "tree"


def import_(daemon: Daemon, *paths: Path) -> str:
    return daemon.lxc("image", "import", *map(str, paths), "--alias", "fmt").rsplit(": ", 1)[1].strip()


def try_out(daemon: Daemon, fingerprint: str) -> None:
    daemon.lxc("launch", "fmt", "fmt")
    assert daemon.lxc("exec", "fmt", "cat", "/etc/hostname") == "fmt\n"
    daemon.lxc("delete", "-f", "fmt")
    daemon.lxc("image", "delete", fingerprint[:10])


@pytest.mark.parametrize("flag", ["-J", "-z", "-j", "--zstd", "--no-auto-compress"])
def test_unified_tarballs_of_every_compression(
    daemon: Daemon, tree: Path, tmp_path: Path, flag: str
) -> None:
    image = busybox.unified(tree, tmp_path / "image.tar", flag)
    fingerprint = import_(daemon, image)
    assert fingerprint == hashlib.sha256(image.read_bytes()).hexdigest()
    try_out(daemon, fingerprint)


@pytest.mark.parametrize("squashfs", [False, True])
def test_split_images(daemon: Daemon, tree: Path, tmp_path: Path, squashfs: bool) -> None:
    metadata, rootfs = busybox.split(tree, tmp_path, squashfs=squashfs)
    fingerprint = import_(daemon, metadata, rootfs)
    assert fingerprint == hashlib.sha256(metadata.read_bytes() + rootfs.read_bytes()).hexdigest()
    try_out(daemon, fingerprint)


def test_export_gives_back_the_same_bytes(daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    unified = busybox.unified(tree, tmp_path / "image.tar.xz")
    fingerprint = import_(daemon, unified)
    daemon.lxc("image", "export", "fmt", str(tmp_path))
    assert (tmp_path / f"{fingerprint}.tar.xz").read_bytes() == unified.read_bytes()
    daemon.lxc("image", "delete", "fmt")
    metadata, rootfs = busybox.split(tree, tmp_path)
    fingerprint = import_(daemon, metadata, rootfs)
    daemon.lxc("image", "export", "fmt", str(tmp_path))
    assert (tmp_path / f"meta-{fingerprint}.tar.gz").read_bytes() == metadata.read_bytes()
    assert (tmp_path / f"{fingerprint}.tar.zst").read_bytes() == rootfs.read_bytes()
    daemon.lxc("image", "delete", "fmt")


def test_aliases_properties_and_prefixes(daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    image = busybox.unified(tree, tmp_path / "image.tar.xz")
    said = daemon.lxc("image", "import", str(image), "--alias", "a/b/", "--public", "user.foo=bar")
    fingerprint = said.rsplit(": ", 1)[1].strip()
    assert "user.foo: bar" in daemon.lxc("image", "show", "a/b/")
    assert "Public: yes" in daemon.lxc("image", "info", fingerprint[:12])
    assert "a/b/" in daemon.lxc("image", "alias", "list", "a/b")
    assert fingerprint[:12] in daemon.lxc("image", "list", "user.foo=ba.")
    daemon.lxc("image", "alias", "create", "other", fingerprint)
    daemon.lxc("image", "alias", "delete", "a/b/")
    daemon.lxc("image", "edit", "other", stdin="public: false\nproperties: {x: y}\n")
    assert 'x: "y"' in daemon.lxc("image", "show", "other")
    assert "already exists" in daemon.error("image", "import", str(image))
    daemon.lxc("image", "delete", "other")


# --- hostile and broken ------------------------------------------------------------------------


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    info.mode = 0o755
    return info, data


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return path


GOOD = entry("metadata.yaml", data=METADATA)
ROOT = entry("rootfs", tarfile.DIRTYPE)

REFUSED = {
    "no metadata": [ROOT],
    "no rootfs": [GOOD],
    "metadata is a link": [entry("metadata.yaml", tarfile.SYMTYPE, "/etc/passwd"), ROOT],
    "metadata is huge": [entry("metadata.yaml", data=METADATA + b"#" * (2 << 20)), ROOT],
    "metadata is a bomb": [entry("metadata.yaml", data=b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"), ROOT],
    "metadata is deep": [entry("metadata.yaml", data=b"[" * 5000), ROOT],
    "metadata lacks a date": [entry("metadata.yaml", data=b"architecture: x86_64\n"), ROOT],
    "rootfs is a link": [GOOD, entry("rootfs", tarfile.SYMTYPE, "/etc")],
    "templates is a link": [GOOD, ROOT, entry("templates", tarfile.SYMTYPE, "/etc")],
}
"""These are refused at the import, or at the latest when a container is made of them."""

HARMLESS = {
    "absolute path": entry("/wardian-escaped", data=b"x"),
    "dots": entry("../../../../../../wardian-escaped", data=b"x"),
    "link out": entry("rootfs/out", tarfile.SYMTYPE, "/"),
    "hard link out": entry("rootfs/hard", tarfile.LNKTYPE, "../../../../etc/shadow"),
    "device": entry("rootfs/sda", tarfile.BLKTYPE),
    "newline": entry("rootfs/a\nb", data=b"x"),
}
"""These may be accepted or not, but nothing outside the volume is touched."""


def remains(daemon: Daemon) -> set[str]:
    lxd = daemon.folder / "lxd"
    found = {p.name for p in (lxd / "images").iterdir()}
    return found | {p.name for p in (lxd / "storage-pools/default/images").iterdir()}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_image_is_refused_and_nothing_is_left(daemon: Daemon, tmp_path: Path, case: str) -> None:
    before = remains(daemon)
    image = archive(tmp_path / "evil.tar.gz", *REFUSED[case])
    completed = daemon.run("image", "import", str(image), "--alias", "evil")
    if completed.returncode == 0:
        error = daemon.error("init", "evil", "evil")
        daemon.lxc("image", "delete", "evil")
    else:
        error = completed.stderr.decode()
    assert error.startswith("error: ") and len(error.strip().splitlines()) == 1
    assert "internal error" not in error and "unfinished" not in error
    assert "evil" not in daemon.names()
    assert remains(daemon) == before


@pytest.mark.parametrize("case", HARMLESS)
def test_nothing_leaves_the_volume(daemon: Daemon, tmp_path: Path, case: str) -> None:
    shadow = os.stat("/etc/shadow")
    through = entry("rootfs/out/wardian-escaped", data=b"x") if case == "link out" else ROOT
    image = archive(tmp_path / "evil.tar.gz", GOOD, ROOT, HARMLESS[case], through)
    daemon.lxc("image", "import", str(image), "--alias", "evil")
    daemon.run("init", "evil", "evil")
    try:
        assert not Path("/wardian-escaped").exists()
        assert not (daemon.folder / "wardian-escaped").exists()
        assert os.stat("/etc/shadow").st_nlink == shadow.st_nlink
    finally:
        if "evil" in daemon.names():
            daemon.lxc("delete", "evil")
        daemon.lxc("image", "delete", "evil")


def test_truncated_and_foreign_files_are_refused(daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    before = remains(daemon)
    whole = busybox.unified(tree, tmp_path / "whole.tar.xz").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("not an image")
    (tmp_path / "empty").write_bytes(b"")
    assert "Unsupported image format" in daemon.error("image", "import", str(tmp_path / "text"))
    assert "Unsupported image format" in daemon.error("image", "import", str(tmp_path / "empty"))
    assert "its download or copy was cut" in daemon.error("image", "import", str(tmp_path / "cut"))
    # gzip does not say where a file ends: it is noticed when it is unpacked.
    whole = busybox.unified(tree, tmp_path / "whole.tar.gz", "-z").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    daemon.lxc("image", "import", str(tmp_path / "cut"), "--alias", "cut")
    name = hashlib.sha256(whole[: len(whole) // 2]).hexdigest()[:12]
    assert f'image "{name}": cannot unpack image' in daemon.error("init", "cut", "cut")
    daemon.lxc("image", "delete", "cut")
    assert remains(daemon) == before


def test_a_full_disk_is_reported_and_nothing_is_left(tmp_path: Path) -> None:
    small = Daemon("c", pool_size="128MB")
    try:
        tree = tmp_path / "tree"
        busybox.make_tree(tree)
        subprocess.run(["dd", "if=/dev/urandom", f"of={tree}/rootfs/big", "bs=1M", "count=160"], check=True)
        image = busybox.unified(tree, tmp_path / "big.tar", "--no-auto-compress")
        small.lxc("image", "import", str(image), "--alias", "big")
        small.import_busybox()
        small.lxc("launch", "bb", "fits")
        assert "disk space" in small.error("init", "big", "big")
        assert small.names() == ["fits"]
        assert len(list((small.folder / "lxd/storage-pools/default/images").iterdir())) == 1
        small.lxc("exec", "fits", "true")
    finally:
        small.close()


def test_a_folder_is_imported_and_lists_show_chosen_columns(daemon: Daemon, tmp_path: Path) -> None:
    busybox.make_tree(tmp_path / "tree", "folder")
    said = daemon.lxc("image", "import", str(tmp_path / "tree"), "--alias", "fo", "--alias", "folder")
    fingerprint = said.rsplit(": ", 1)[1].strip()
    try:
        again = daemon.error("image", "import", str(tmp_path / "tree"))
        assert "Image with same fingerprint already exists" in again
        shown = daemon.lxc("image", "list", "folder", "-c", "FLat", "--format", "csv")
        assert shown == f'{fingerprint},"fo\nfolder",x86_64,CONTAINER\n'
        assert "Unknown column shorthand char 'z'" in daemon.error("image", "list", "-c", "lz")
        daemon.lxc("launch", "fo", "of-folder")
        assert daemon.lxc("exec", "of-folder", "--", "cat", "/etc/hostname") == "of-folder\n"
        daemon.lxc("delete", "-f", "of-folder")
    finally:
        daemon.lxc("image", "delete", fingerprint)
    assert "has no metadata.yaml" in daemon.error("image", "import", str(tmp_path))
