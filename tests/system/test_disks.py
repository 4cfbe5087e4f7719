"""Disks: what they show, to whom it belongs, how fast and how large they are; seen from inside."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.plugging import add, fails, init_pid, inside
from wardian.linux import blockdevs, cgroups


def test_without_shift_files_of_the_host_are_nobodys(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src")
    assert inside(daemon, container, "stat", "-c", "%u:%g", "/src/hello") == "65534:65534"
    assert fails(daemon, container, "touch", "/src/new")


def test_with_shift_both_sides_see_their_own_ids(daemon: Daemon, container: str, shared: Path) -> None:
    os.chown(shared, 1000, 1000)
    os.chown(shared / "hello", 1000, 1000)
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src", "shift=true")
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "stat", "-c", "%u:%g", "/src/hello") == "1000:1000"
        inside(daemon, container, "sh", "-c", "echo inside > /src/new && chown 1000:1000 /src/new")
        found = (shared / "new").stat()
        assert (found.st_uid, found.st_gid) == (1000, 1000)
        (shared / "new").unlink()
        daemon.lxc("restart", "-f", container)


def test_a_pair_of_ids_is_shifted(daemon: Daemon, container: str, shared: Path) -> None:
    os.chown(shared, 1001, 1001)
    (shared / "other").touch()
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src", "shift=1001:0")
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "stat", "-c", "%u:%g", "/src") == "0:0"
        assert inside(daemon, container, "stat", "-c", "%u:%g", "/src/other") == "65534:65534"
        inside(daemon, container, "touch", "/src/new")
        found = (shared / "new").stat()
        assert (found.st_uid, found.st_gid) == (1001, 1001)
        (shared / "new").unlink()
        daemon.lxc("restart", "-f", container)


def test_an_id_that_the_container_lacks_is_named(daemon: Daemon, container: str, shared: Path) -> None:
    error = daemon.error(
        *("config", "device", "add", container, "src", "disk", f"source={shared}", "path=/src"),
        "shift=1001:4000000000",
    )
    assert 'device "src"' in error and "the container has no uid 4000000000" in error


def test_a_file_system_that_cannot_shift_is_named(daemon: Daemon, container: str) -> None:
    options = ("source=/proc/sys/kernel", "path=/kernel", "shift=true")
    error = daemon.error("config", "device", "add", container, "k", "disk", *options)
    assert "(proc) cannot shift owners" in error and "raw.idmap" in error
    assert daemon.lxc("config", "device", "list", container).strip() == ""
    assert "/proc/sys/kernel" not in Path("/proc/self/mountinfo").read_text()


def test_a_file_is_shown(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "one", "disk", f"source={shared}/hello", "path=/etc/hello", "shift=true")
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "cat", "/etc/hello") == "from the host"
        inside(daemon, container, "sh", "-c", "echo from inside > /etc/hello")
        assert (shared / "hello").read_text() == "from inside\n"
        (shared / "hello").write_text("from the host\n")
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "remove", container, "one")
    assert inside(daemon, container, "cat", "/etc/hello") == ""


def test_readonly_refuses_writes(daemon: Daemon, container: str, shared: Path) -> None:
    add(daemon, container, "src", "disk", f"source={shared}", "path=/src", "shift=true", "readonly=true")
    for _ in ("by hot-plug", "at start"):
        assert fails(daemon, container, "touch", "/src/new")
        assert fails(daemon, container, "mount", "-o", "remount,rw,bind", "/src")
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "set", container, "src", "readonly", "false")
    inside(daemon, container, "touch", "/src/new")


@pytest.fixture
def below(shared: Path) -> Iterator[Path]:
    """A mount below the shared folder."""
    place = shared / "below"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    (place / "deep").touch()
    yield place
    subprocess.run(["umount", place], check=True)


def test_recursive_shows_what_is_mounted_below(
    daemon: Daemon, container: str, shared: Path, below: Path
) -> None:
    add(daemon, container, "plain", "disk", f"source={shared}", "path=/plain")
    add(daemon, container, "deep", "disk", f"source={shared}", "path=/deep", "recursive=true")
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "ls", "/plain/below") == ""
        assert inside(daemon, container, "ls", "/deep/below") == "deep"
        daemon.lxc("restart", "-f", container)


def test_an_optional_source_may_be_missing(daemon: Daemon, container: str, shared: Path) -> None:
    missing = shared / "missing"
    error = daemon.error(
        "config", "device", "add", container, "src", "disk", f"source={missing}", "path=/src"
    )
    assert f"Missing source '{missing}' for disk 'src'" in error
    add(daemon, container, "src", "disk", f"source={missing}", "path=/src", "optional=true")
    daemon.lxc("restart", "-f", container)
    missing.mkdir()
    (missing / "there").touch()
    daemon.lxc("restart", "-f", container)
    inside(daemon, container, "test", "-e", "/src/there")


@pytest.fixture
def block_device(daemon: Daemon, name: str) -> Iterator[Path]:
    """A loop device with an ext4 file system that holds the file `inner`."""
    image = daemon.folder / f"{name}.img"
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    tree = daemon.folder / f"{name}.tree"
    tree.mkdir()
    (tree / "inner").write_text("on a block device\n")
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, image], check=True)
    said = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True)
    device = Path(said.stdout.decode().strip())
    yield device
    subprocess.run(["losetup", "-d", device], check=True)


def test_a_block_device_is_mounted(daemon: Daemon, container: str, block_device: Path) -> None:
    add(daemon, container, "data", "disk", f"source={block_device}", "path=/data", "shift=true")
    for _ in ("by hot-plug", "at start"):
        assert inside(daemon, container, "cat", "/data/inner") == "on a block device"
        inside(daemon, container, "touch", "/data/new")
        daemon.lxc("restart", "-f", container)
    daemon.lxc("config", "device", "remove", container, "data")
    assert str(block_device) not in Path("/proc/self/mountinfo").read_text()


def limit(daemon: Daemon, container: str, device: str, name: str) -> str:
    """A limit of the container on a block device, as the kernel has it; "" for none."""
    group = cgroups.Group(init_pid(daemon, container))
    text = group.read("blkio", f"blkio.throttle.{name}_device", "io.max") or ""
    fields = next((line.split()[1:] for line in text.splitlines() if line.split()[0] == device), [])
    if cgroups.kind_of() == "v1":
        return "".join(fields)
    words = dict(field.split("=") for field in fields)
    short = {"read_bps": "rbps", "read_iops": "riops", "write_bps": "wbps", "write_iops": "wiops"}[name]
    return words.get(short, "max").replace("max", "")


def test_limits_of_disks_change_live(daemon: Daemon, container: str, block_device: Path) -> None:
    device = blockdevs.behind(block_device)[0]

    def read(name: str) -> str:
        return limit(daemon, container, device, name)

    add(daemon, container, "data", "disk", f"source={block_device}", "path=/data", "limits.read=10MB")
    assert read("read_bps") == str(10 << 20)
    daemon.lxc("config", "device", "set", container, "data", "limits.max", "300iops")
    assert (read("read_bps"), read("read_iops"), read("write_iops")) == ("", "300", "300")
    daemon.lxc("restart", "-f", container)
    assert read("write_iops") == "300"
    daemon.lxc("config", "device", "remove", container, "data")
    assert read("write_iops") == ""


def test_the_root_disk_has_limits_too(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "device", "override", container, "root", "limits.write=5MB")
    device = blockdevs.behind(daemon.folder / "lxd/storage-pools/default/containers" / container)[0]
    assert limit(daemon, container, device, "write_bps") == str(5 << 20)


def test_the_size_of_the_root_disk_changes_live(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "device", "override", container, "root", "size=20MB")
    fill = ("dd", "if=/dev/urandom", "of=/fill", "bs=1M", "count=40", "conv=fsync")
    assert fails(daemon, container, *fill)
    daemon.lxc("config", "device", "set", container, "root", "size", "200MB")
    inside(daemon, container, *fill)


def test_readonly_of_a_root_disk_needs_a_stop(daemon: Daemon, container: str) -> None:
    error = daemon.error("config", "device", "override", container, "root", "readonly=true")
    assert "stop it first" in error
