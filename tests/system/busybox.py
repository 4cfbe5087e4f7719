"""A tiny system image made of the machine's own static busybox, for tests and benchmarks."""

import shutil
import subprocess
import time
from pathlib import Path

APPLETS = (
    *(
        "sh",
        "ash",
        "cat",
        "ls",
        "cp",
        "mv",
        "rm",
        "mkdir",
        "ln",
        "echo",
        "true",
        "false",
        "sleep",
        "id",
        "env",
    ),
    *("mount", "ps", "kill", "poweroff", "halt", "reboot", "hostname", "ip", "udhcpc", "wget"),
    *("ping", "nslookup", "stat", "md5sum", "sha256sum", "head", "tail", "wc", "tr", "grep", "sed", "touch"),
    *(
        "chmod",
        "mkfifo",
        "chown",
        "pwd",
        "test",
        "seq",
        "yes",
        "dd",
        "tar",
        "df",
        "du",
        "date",
        "uname",
        "stty",
        "tty",
    ),
)
INITTAB = """::sysinit:/etc/rcS
::ctrlaltdel:/bin/poweroff
null::respawn:/bin/sleep 1000000
"""
RCS = """#!/bin/sh
hostname -F /etc/hostname 2>/dev/null
ip link set lo up
ip link show eth0 >/dev/null 2>&1 || exit 0
ip link set eth0 up
udhcpc -b -t 20 -T 1 -i eth0 -F "$(cat /etc/hostname)" -s /etc/udhcpc.sh >/dev/null 2>&1 &
"""
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
echo "search ${search:-$domain}" > /etc/resolv.conf
for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
"""
METADATA = """architecture: {architecture}
creation_date: {created}
properties:
  os: busybox
  description: busybox {label}
  architecture: {architecture}
templates:
  /etc/hostname:
    when: [create, copy]
    template: hostname.tpl
  /template:
    when: [create, start]
    template: template.tpl
"""
TEMPLATE = """name: {{ container.name }}
trigger: {{ trigger }}
user.foo: {{ config_get("user.foo", "_unset_") }}
user.user-data: {{ config_get("user.user-data", "_unset_") }}
"""


def make_tree(folder: Path, label: str = "test", architecture: str = "x86_64") -> None:
    """Fill the folder with metadata.yaml, templates/ and rootfs/."""
    rootfs = folder / "rootfs"
    for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "run", "var", "usr/bin"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", rootfs / "bin/busybox")
    for applet in APPLETS:
        (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "sbin/init").symlink_to("../bin/busybox")
    for name, text, mode in (
        ("etc/inittab", INITTAB, 0o644),
        ("etc/rcS", RCS, 0o755),
        ("etc/udhcpc.sh", UDHCPC, 0o755),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n", 0o644),
        ("etc/group", "root:x:0:\nuser:x:1000:\n", 0o644),
    ):
        (rootfs / name).write_text(text)
        (rootfs / name).chmod(mode)
    (rootfs / "bin/busybox").chmod(0o755)
    (rootfs / "tmp").chmod(0o1777)
    (folder / "metadata.yaml").write_text(
        METADATA.format(created=int(time.time()), label=label, architecture=architecture)
    )
    (folder / "templates").mkdir()
    (folder / "templates/hostname.tpl").write_text("{{ container.name }}\n")
    (folder / "templates/template.tpl").write_text(TEMPLATE)


def _tar(folder: Path, target: Path, flag: str, *names: str) -> None:
    argv = [
        "tar",
        "-c",
        flag,
        "-f",
        str(target),
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        "-C",
        str(folder),
    ]
    subprocess.run([*argv, *names], check=True)


def unified(folder: Path, target: Path, flag: str = "-J") -> Path:
    """One tarball of the tree."""
    _tar(folder, target, flag, "metadata.yaml", "templates", "rootfs")
    return target


def split(folder: Path, target: Path, *, squashfs: bool = False) -> tuple[Path, Path]:
    """A metadata tarball and a root file system (tarball or squashfs) in the folder `target`."""
    metadata, rootfs = target / "meta.tar.gz", target / ("rootfs.squashfs" if squashfs else "rootfs.tar.zst")
    _tar(folder, metadata, "-z", "metadata.yaml", "templates")
    if squashfs:
        argv = [
            "mksquashfs",
            str(folder / "rootfs"),
            str(rootfs),
            "-all-root",
            "-noappend",
            "-quiet",
            "-no-progress",
        ]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    else:
        _tar(folder / "rootfs", rootfs, "--zstd", ".")
    return metadata, rootfs
