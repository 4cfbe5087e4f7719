"""The server itself: what it is, where it runs, and its configuration."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from wardian import __version__
from wardian.core import pool_choice, trust
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import InvalidInput, NotFound, WardianError
from wardian.linux import hardware
from wardian.model import certificates, server_keys
from wardian.model.container import Config

log = logging.getLogger(__name__)

Wanted = Mapping[str, Any]
"""What a caller sets: None or "" unsets, True leaves a hidden key as it is; else texts."""

EXTENSIONS = (
    "etag",
    "patch",
    "container_last_used_at",
    "container_cpu_time",
    "entity_description",
    "profile_usedby",
    "network",
    "network_leases",
    "network_state",
    "storage",
    "resources",
    "resources_v2",
    "storage_api_volume_rename",
    "storage_volume_state",
    "storage_api_volume_snapshots",
    "storage_api_local_volume_handling",
    "id_map",
    "id_map_base",
    "image_create_aliases",
    "image_compression_algorithm",
    "container_exec_recording",
    "container_exec_signal_handling",
    "container_exec_user_group_cwd",
    "console",
    "container_edit_metadata",
    "container_full",
    "instance_get_full",
    "instances",
    "event_lifecycle",
    "api_filtering",
    "image_force_refresh",
    "operation_description",
    "resource_limits",
    "instance_pool_move",
    "container_local_cross_pool_handling",
    "container_stateless_copy",
    "container_only_migration",
    "container_push",
    "container_push_target",
    "container_incremental_copy",
    "migration_progress",
    "container_backup",
    "backup_compression_algorithm",
    "container_backup_override_pool",
    "backup_override_name",
    "snapshot_scheduling",
    "snapshot_schedule_aliases",
    "snapshot_expiry",
    "snapshot_expiry_creation",
    "auth_pki",
    "certificate_update",
    "certificate_token",
    "certificate_rights",
    "explicit_trust_token",
    "directory_manipulation",
    "file_symlinks",
    "file_append",
    "file_delete",
    "file_get_symlink",
    "file_trees",
    "restrict_devlxd",
    "devlxd_events",
    "expanded_sources",
    "dry_run",
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
    drivers = await _storage_versions(host)
    return guest_view(trusted=True) | {
        "config": server_keys.shown(await host.records.server.get()),
        "environment": {
            "addresses": host.listener.addresses(),
            "architectures": list(host.machine.architectures),
            **_certificate(host),
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


def _certificate(host: Host) -> dict[str, str]:
    pem = host.listener.certificate
    return {
        "certificate": pem,
        "certificate_fingerprint": certificates.fingerprint(certificates.to_der(pem)) if pem else "",
    }


async def resources(host: Host) -> dict[str, Any]:
    """The hardware of this host, for GET /1.0/resources."""
    return await asyncio.to_thread(hardware.describe, host.machine.architectures[0])


async def _storage_versions(host: Host) -> dict[str, str]:
    """Driver -> version, of the pools that can be used."""
    versions = {}
    for pool in await host.records.pools.all():
        try:
            versions[pool.driver] = host.storage.get(pool.name).version
        except NotFound:
            continue  # not opened yet, or it cannot be: the log has said so
    return versions


async def writable(host: Host) -> dict[str, str | bool]:
    """The part that PUT replaces, as callers see it."""
    return server_keys.shown(await host.records.server.get())


async def update(host: Host, wanted: Wanted, *, merge: bool, precondition: Callable[[Any], None]) -> None:
    """Replace (or with `merge` change) the configuration: all keys or, if one is wrong, none.

    precondition: called with the present `writable`; what it raises ends the update.
    """
    accepted = await _sealed(_checked(wanted))
    async with host.once("server configuration"), Undo() as undo:
        present = await host.records.server.get()
        precondition(server_keys.shown(present))
        changed = _changed(present, accepted, merge=merge)
        before, after = (config.get(server_keys.HTTPS_ADDRESS, "") for config in (present, changed))
        if after != before:
            undo.on_failure(host.listener.move, before)
            await host.listener.move(after)
        await pool_choice.follow(host, present, changed, undo)
        await host.records.server.replace(changed)
        undo.keep()
    host.events.lifecycle("config-updated", "/1.0")


def _checked(wanted: Wanted) -> Wanted:
    for name, value in wanted.items():
        key = server_keys.find(name)
        if value is None or value == "" or (key.hidden and value is True):
            continue
        if not isinstance(value, str):
            raise InvalidInput(f"Invalid value type for '{name}'")
        server_keys.check(name, value)
        if not key.used:
            log.warning('key "%s" is kept, but has no effect in this version', name)
    return wanted


async def _sealed(wanted: Wanted) -> Wanted:
    """The same, with the password as its hash."""
    password = wanted.get(server_keys.TRUST_PASSWORD)
    if not isinstance(password, str) or not password:
        return wanted
    return {**wanted, server_keys.TRUST_PASSWORD: await asyncio.to_thread(trust.password_hash, password)}


def _changed(present: Config, accepted: Wanted, *, merge: bool) -> Config:
    config = dict(present) if merge else {}
    for name, value in accepted.items():
        if isinstance(value, str) and value:
            config[name] = value
        elif value is True:
            config |= {name: present[name]} if name in present else {}
        else:
            config.pop(name, None)
    return config


async def allowed_origins(host: Host) -> dict[str, str]:
    """The headers that let web pages of other origins use the API, as far as they are configured."""
    config = await host.records.server.get()
    return {h: config[key] for key, h in server_keys.ALLOWED_ORIGINS.items() if config.get(key)}


async def is_allowed_origin(host: Host, origin: str) -> bool:
    """Whether web pages of this origin may use the API with their reader's certificate; `*` names none."""
    return origin == (await host.records.server.get()).get(server_keys.ALLOWED_ORIGIN)


async def listen(host: Host) -> None:
    """Listen where the configuration says; a failure is logged, and the Unix socket works on."""
    async with host.once("server configuration"):
        address = (await host.records.server.get()).get(server_keys.HTTPS_ADDRESS, "")
        try:
            await host.listener.move(address)
        except WardianError as error:
            log.error("start-up: %s", error)
