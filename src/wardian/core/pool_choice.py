"""The server's keys `storage.lvm_vg_name` and `storage.zfs_pool_name`: one place for all containers.

Setting one makes a storage pool there, called `lvm` or `zfs`, on which new containers are made unless
they, or a profile other than `default`, name another; the first of the two that is set counts. What
exists stays where it is. Unsetting it deletes that pool, which nothing must need any more.
"""

from wardian.core import pools
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import InvalidInput
from wardian.model import server_keys
from wardian.model.container import Config

PLACES = {"lvm": "storage.lvm_vg_name", "zfs": "storage.zfs_pool_name"}
"""Driver, and name of the pool -> the key that says where."""
REFUSALS = {
    "lvm": "Can not change LVM config. Images or containers are still using LVs: [{}]",
    "zfs": "Can not change ZFS config. Images or containers are still using the ZFS pool: [{}]",
}
THINPOOL, FILE_SYSTEM, SIZE = "storage.lvm_thinpool_name", "storage.lvm_fstype", "storage.lvm_volume_size"


async def follow(host: Host, before: Config, after: Config, undo: Undo) -> None:
    """Make and delete pools as the server's configuration changes; InvalidInput if that cannot be."""
    if after.get(THINPOOL) and not after.get(PLACES["lvm"]):
        raise InvalidInput("Can not set lvm_thinpool_name without lvm_vg_name set.")
    for driver in PLACES:
        old, new = _config(driver, before), _config(driver, after)
        if old.get("source") and _place(old) != _place(new):
            await _remove(host, driver)
            undo.on_failure(_make, host, driver, old)
            old = {}
        if new.get("source") and not old.get("source"):
            await _make(host, driver, new)
            undo.on_failure(pools.delete, host, driver)
        elif new.get("source") and new != old:
            await _tell(host, driver, new)
            undo.on_failure(_tell, host, driver, old)


async def chosen(host: Host) -> str:
    """The pool that the server's configuration names for new containers, or an empty text."""
    config = await host.records.server.get()
    return next((driver for driver, key in PLACES.items() if config.get(key)), "")


def _config(driver: str, server: Config) -> Config:
    """What the pool is made with."""
    found = {"source": server.get(PLACES[driver], "")}
    if driver == "lvm":
        found |= {
            "lvm.thinpool_name": server.get(THINPOOL, ""),
            "volume.size": server_keys.value(server, SIZE),
            "volume.block.filesystem": server_keys.value(server, FILE_SYSTEM),
        }
    return {key: value for key, value in found.items() if value}


def _place(config: Config) -> tuple[str, str]:
    return config.get("source", ""), config.get("lvm.thinpool_name", "")


async def _make(host: Host, driver: str, config: Config) -> None:
    description = f"of the server's key {PLACES[driver]}"
    wanted = pools.PoolWrite(name=driver, driver=driver, description=description, config={**config})
    await pools.create(host, wanted)


async def _tell(host: Host, driver: str, config: Config) -> None:
    await pools.update(host, driver, pools.PoolWrite(config={**config}), merge=True)


async def _remove(host: Host, driver: str) -> None:
    users = [user for user in await pools.used_by(host, driver) if "/images/" not in user]
    if users:
        raise InvalidInput(REFUSALS[driver].format(", ".join(users)))
    await pools.delete(host, driver)
