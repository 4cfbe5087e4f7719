"""The server itself: what it is, where it runs, and its configuration."""

import os
from typing import Any

from wardian import __version__
from wardian.core.host import Host
from wardian.model import server_keys
from wardian.model.container import Config

EXTENSIONS = (
    "etag",
    "patch",
    "container_last_used_at",
    "container_cpu_time",
    "entity_description",
    "profile_usedby",
    "network",
    "network_leases",
    "storage",
    "id_map",
    "id_map_base",
    "image_create_aliases",
    "container_exec_signal_handling",
    "container_exec_user_group_cwd",
    "container_full",
    "instance_get_full",
    "instances",
    "event_lifecycle",
    "operation_description",
)
"""Later parts of the API that are here; clients ask for them by these names."""


def guest_view(*, trusted: bool) -> dict[str, Any]:
    """What anybody may know."""
    return {
        "api_extensions": list(EXTENSIONS),
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "trusted" if trusted else "untrusted",
        "public": False,
        "auth_methods": ["tls"],
    }


async def view(host: Host) -> dict[str, Any]:
    """The whole object of GET /1.0."""
    pools = await host.records.pools.all()
    drivers = {pool.driver: host.storage.get(pool.name).version for pool in pools}
    return guest_view(trusted=True) | {
        "config": server_keys.shown(await host.records.server.get()),
        "environment": {
            "addresses": [],
            "architectures": list(host.machine.architectures),
            "certificate": "",
            "certificate_fingerprint": "",
            "driver": "lxc",
            "driver_version": host.runtime.version,
            "kernel": host.machine.kernel,
            "kernel_architecture": host.machine.architectures[0],
            "kernel_version": host.machine.kernel_version,
            "server": "lxd",
            "server_pid": os.getpid(),
            "server_version": __version__,
            "storage": " | ".join(drivers),
            "storage_version": " | ".join(drivers.values()),
        },
    }


async def writable(host: Host) -> Config:
    """The part that PUT replaces, as callers see it."""
    return server_keys.shown(await host.records.server.get())


async def update(host: Host, wanted: dict[str, str | None], *, merge: bool) -> None:
    """Replace (or with `merge` change) the configuration: all keys or, if one is wrong, none."""
    present = await host.records.server.get() if merge else {}
    config = {**present, **wanted}
    final = {name: value for name, value in config.items() if value}
    server_keys.check(final)
    await host.records.server.replace(final)
    host.events.lifecycle("config-updated", "/1.0")
