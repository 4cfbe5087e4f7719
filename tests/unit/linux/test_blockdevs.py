"""Which block devices are behind a path, in a tree like that of sysfs."""

from pathlib import Path

from wardian.linux import blockdevs


def test_a_partition_counts_for_its_disk(tmp_path: Path) -> None:
    disk = tmp_path / "devices/sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/partition").write_text("1\n")
    (tmp_path / "8:0").symlink_to(disk)
    (tmp_path / "8:1").symlink_to(disk / "sda1")
    assert blockdevs.whole(8, 1, tmp_path) == "8:0"
    assert blockdevs.whole(8, 0, tmp_path) == "8:0"


def test_a_btrfs_has_all_its_devices(tmp_path: Path) -> None:
    for name, device in (("loop0", "7:0"), ("loop1", "7:1")):
        (tmp_path / "uuid/devices" / name).mkdir(parents=True)
        (tmp_path / "uuid/devices" / name / "dev").write_text(f"{device}\n")
    assert blockdevs.btrfs_members("7:1", tmp_path) == ["7:0", "7:1"]
    assert blockdevs.btrfs_members("7:9", tmp_path) == []
