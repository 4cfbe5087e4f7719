"""Containers that come from elsewhere, in a file or from another host: what of them does not fit here."""

from wardian.core.host import Host
from wardian.model import expand
from wardian.model.container import Config, Devices

DROPPED_VOLATILE = ("volatile.idmap.", "volatile.last_state.")


async def config(host: Host, name: str, found: Config) -> Config:
    """Without what belonged to the other host, and without addresses that others have here."""
    taken = {
        value
        for container in await host.records.containers.all()
        if container.name != name
        for key, value in container.config.items()
        if key.endswith(".hwaddr")
    }
    return {
        key: value
        for key, value in found.items()
        if value
        and not key.startswith(DROPPED_VOLATILE)
        and not (key.startswith("volatile.") and key.endswith((".host_name", ".uuid")))
        and not (key.startswith("volatile.") and key.endswith(".hwaddr") and value in taken)
    }


def in_pool(own: Devices, merged: Devices, pool: str) -> Devices:
    """The container's own devices, with a root disk in the pool."""
    if not expand.has_root_device(merged):
        return {**own, "root": {"type": "disk", "path": "/", "pool": pool}}
    device, root = expand.root_device(merged)
    return own if root.get("pool") == pool else {**own, device: {**root, "pool": pool}}


def pool_of(merged: Devices) -> str:
    """The pool that the root disk names; "" for none."""
    return expand.root_device(merged)[1].get("pool", "") if expand.has_root_device(merged) else ""
