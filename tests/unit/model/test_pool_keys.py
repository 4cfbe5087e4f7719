"""Keys of storage pools, by driver."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import pool_keys
from wardian.model.container import Pool

GOOD = [
    ("dir", {"source": "/srv/x", "user.a": "b"}),
    ("btrfs", {"source": "/dev/sdb"}),
    ("btrfs", {"size": "1GB"}),
    ("lvm", {"source": "/dev/sdb", "lvm.vg_name": "vg0", "lvm.thinpool_name": "thin"}),
    ("lvm", {"source": "my-vg.1", "volume.size": "20GB", "volume.block.filesystem": "xfs"}),
    ("zfs", {"source": "tank"}),
    ("zfs", {"source": "tank/lxd/one"}),
    ("zfs", {"size": "1GB", "zfs.pool_name": "lxd"}),
]
BAD = [
    ("dir", {"source": "tank"}),
    ("dir", {"size": "1GB"}),
    ("overlay", {"lvm.vg_name": "vg0"}),
    ("lvm", {"source": "-vg"}),
    ("lvm", {"source": ".."}),
    ("lvm", {"source": "vg/x"}),
    ("lvm", {"source": "vg 1"}),
    ("lvm", {"volume.block.filesystem": "ntfs"}),
    ("lvm", {"volume.size": "1MB"}),
    ("zfs", {"source": "tank@now"}),
    ("zfs", {"source": "tank//x"}),
    ("zfs", {"source": "-o"}),
    ("zfs", {"source": "tank/../x"}),
    ("zfs", {"zfs.pool_name": "tank/x"}),
    ("zfs", {"size": "64MB"}),
]


@pytest.mark.parametrize(("driver", "config"), GOOD)
def test_what_a_driver_takes(driver: str, config: dict[str, str]) -> None:
    pool_keys.check(driver, config)


@pytest.mark.parametrize(("driver", "config"), BAD)
def test_what_a_driver_refuses_names_the_key(driver: str, config: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(config))):
        pool_keys.check(driver, config)


def test_where_a_pool_is_cannot_change_but_what_new_volumes_get_can() -> None:
    before = {"source": "vg0", "volume.size": "10GB"}
    pool_keys.check_change("lvm", before, {"source": "vg0", "volume.size": "20GB"})
    with pytest.raises(InvalidInput, match="source"):
        pool_keys.check_change("lvm", before, {"source": "vg1"})


def test_what_is_not_configured_has_a_default() -> None:
    value = pool_keys.reader(Pool(name="p", driver="lvm", config={"volume.size": "1GB"}))
    assert (value("volume.size"), value("volume.block.filesystem")) == ("1GB", "ext4")
