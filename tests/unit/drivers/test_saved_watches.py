"""What CRIU does not find of what programs watch, and what `ip` does not take back of its own routes."""

import os
import struct
from pathlib import Path

from wardian.drivers.runtime import images, render, services, watches
from wardian.model.idmap import IdMap
from wardian.ports.runtime import StartPlan

DEVICE = 8 << 20 | 1


def process(proc: Path, number: int, watched: str) -> None:
    folder = proc / str(number)
    for name in ("ns", "fd", "fdinfo"):
        (folder / name).mkdir(parents=True)
    (folder / "ns/pid").symlink_to("pid:[1]")
    (folder / "status").write_text(f"NSpid:\t{number}\t1\n")
    (folder / "fd/3").symlink_to("anon_inode:inotify")
    (folder / "fdinfo/3").write_text(f"pos:\t0\n{watched}")
    (folder / "mountinfo").write_text("1 0 8:1 /c1/rootfs / rw - btrfs /dev/sda1 rw\n")


def test_watched_files_are_found_by_inode_without_following_links(tmp_path: Path) -> None:
    root, proc = tmp_path / "root", tmp_path / "proc"
    (root / "etc/rules.d").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "etc/out").symlink_to(tmp_path / "outside")
    (root / "etc/localtime").symlink_to("/nowhere")
    inodes = [os.lstat(path).st_ino for path in (root / "etc/localtime", root / "etc/rules.d", root)]
    lines = [f"inotify wd:1 ino:{number:x} sdev:{DEVICE:x} mask:80c \n" for number in inodes]
    lines.append(f"inotify wd:2 ino:{os.lstat(tmp_path / 'outside').st_ino:x} sdev:{DEVICE:x} mask:2 \n")
    lines.append(f"inotify wd:3 ino:{inodes[0]:x} sdev:26 mask:2 \n")  # of another file system
    process(proc, 100, "".join(lines))
    found = watches.find(100, root, proc)
    assert found == {
        (DEVICE, inodes[0]): "/etc/localtime",
        (DEVICE, inodes[1]): "/etc/rules.d",
        (DEVICE, inodes[2]): "/",
    }
    assert watches.options({**found, (1, 1): "/etc/a b", (1, 2): "/x\ny"}) == [
        "irmap-scan-path /etc/localtime",
        "irmap-scan-path /etc/rules.d",
    ]


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + images._varint(value)
    return bytes([number << 3 | 2]) + images._varint(len(value)) + value


def image(*handles: bytes) -> bytes:
    wds = b"".join(
        field(5, field(1, 7) + field(2, 8703 + n) + field(5, DEVICE) + field(7, field(1, 20) + handle))
        for n, handle in enumerate(handles)
    )
    entries = (field(1, 8) + field(13, field(1, 7) + wds), field(1, 1) + field(3, b"/bin/sh"))
    return b"MAGICMAG" + b"".join(struct.pack("<I", len(entry)) + entry for entry in entries)


def test_a_watch_without_a_path_gets_one() -> None:
    found = {(DEVICE, 8703): "/etc/localtime", (DEVICE, 8704): "/etc/other"}
    with_path = field(4, b"/etc/known")
    named = field(4, b"/etc/localtime")
    assert images.with_watches(image(b"", with_path, b""), found) == image(named, with_path, b"")


def test_routes_lose_their_nexthop_objects(tmp_path: Path) -> None:
    def route(*attributes: bytes) -> bytes:
        body = b"r" * 12 + b"".join(attributes)
        return struct.pack("<IHHII", 16 + len(body), 24, 34, 1, 2) + body

    gateway, nexthop = struct.pack("<HH4s", 8, 5, b"gate"), struct.pack("<HHI", 8, 30, 9)
    odd = struct.pack("<HHB", 5, 20, 1)
    before = b"IPRT" + route(nexthop, gateway, odd + b"\0\0\0") + route(gateway)
    after = b"IPRT" + route(gateway, odd + b"\0\0\0") + route(gateway)
    assert images.without_nexthops(before) == after
    (tmp_path / "route6-10.img").write_bytes(before)
    (tmp_path / "route-10.img").write_bytes(b"nonsense")
    images.complete(tmp_path, {})
    assert (tmp_path / "route6-10.img").read_bytes() == after
    assert (tmp_path / "route-10.img").read_bytes() == b"nonsense"


def test_systemd_is_told_where_its_services_lose_their_namespaces(tmp_path: Path) -> None:
    services.write(tmp_path)
    text = (tmp_path / services.DROP_IN).read_text()
    assert text.startswith("[Service]\n") and "PrivateTmp=no\n" in text
    environment = {"SYSTEMD_UNIT_PATH": "/own:"}
    plan = StartPlan("c1", "x86_64", Path("/c1"), IdMap(), environment=environment, stateful=True)
    around = render.Surroundings(Path("/logs"), Path("/seccomp"), "hook", units=Path("/lxd/my units"))
    lines = render.container_config(plan, around).splitlines()
    assert "lxc.environment = SYSTEMD_UNIT_PATH=/dev/.wardian/units:/own:" in lines
    assert any(line.startswith(r"lxc.mount.entry = /lxd/my\040units dev/.wardian/units") for line in lines)
