"""Which block devices files are on (sysfs-block; "dev" files of /sys/dev/block)."""

import os
from pathlib import Path

from wardian.linux import mounts

SYSFS = Path("/sys/dev/block")


def behind(path: Path) -> list[str]:
    """MAJOR:MINOR of the whole block devices that hold the path; empty if there is none to be found.

    A path that is a block device stands for itself. btrfs has device numbers of its own: what it is
    mounted from counts, with all of its devices.
    """
    found = path.stat()
    if path.is_block_device():
        return [whole(os.major(found.st_rdev), os.minor(found.st_rdev))]
    if os.major(found.st_dev):
        return [whole(os.major(found.st_dev), os.minor(found.st_dev))]
    source = mounts.holding(path)
    if source is None or not source.source.startswith("/dev/"):
        return []
    device = Path(source.source).stat().st_rdev
    first = f"{os.major(device)}:{os.minor(device)}"
    members = btrfs_members(first) if source.kind == "btrfs" else []
    pairs = [member.split(":") for member in members or [first]]
    return [whole(int(major), int(minor)) for major, minor in pairs]


def btrfs_members(device: str, filesystems: Path = Path("/sys/fs/btrfs")) -> list[str]:
    """All devices of the btrfs file system that has this one among them."""
    for folder in filesystems.glob("*/devices"):
        members = sorted(path.read_text().strip() for path in folder.glob("*/dev"))
        if device in members:
            return members
    return []


def whole(major: int, minor: int, sysfs: Path = SYSFS) -> str:
    """The device of which this one is a partition, or itself: limits exist for whole devices only."""
    folder = (sysfs / f"{major}:{minor}").resolve()
    if (folder / "partition").exists():
        return (folder.parent / "dev").read_text().strip()
    return f"{major}:{minor}"
