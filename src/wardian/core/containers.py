"""Containers as things that are configured: create and delete. See also core/updates and core/lifecycle.

Invariant: a container's record exists before its volume and goes after it. A record whose `pending`
is set belongs to an action that has not finished; `sweep` rolls it back or finishes it at start-up.
Every restriction is checked on the final merged object, in `check`, whoever asks.
"""

import json
import logging
import random
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from wardian.core import (
    device_plugs,
    image_sources,
    images,
    owners,
    places,
    pool_choice,
    pools,
    reservations,
    volumes,
)
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo
from wardian.errors import AlreadyExists, InvalidInput, NotFound, WardianError
from wardian.linux import calls
from wardian.model import (
    architectures,
    devices,
    expand,
    forwards,
    idmap,
    instance_types,
    keys,
    names,
    nics,
    petnames,
    seccomp,
)
from wardian.model.container import PARTIAL, Config, Container, Devices, Image, Profile
from wardian.model.requests import ContainerCreate
from wardian.model.units import is_true, parse_size
from wardian.ports.storage import Volume

log = logging.getLogger(__name__)

NAME_TRIES = 100
HIDDEN = ("create", "receive", PARTIAL, "rename")
"""What is under way with a record that callers do not see yet."""


@dataclass(frozen=True)
class Expanded:
    """A container's configuration after the merge with its profiles."""

    config: Config
    devices: Devices

    @property
    def plugged(self) -> Devices:
        """The devices as they are given to the container, with what its keys ask of them."""
        return nics.with_config(self.devices, self.config)


def url(name: str) -> str:
    """The address of a container in the API."""
    return f"/1.0/containers/{name}"


def resources(name: str) -> dict[str, list[str]]:
    """What an operation on the container acts on, under the names old and new clients know."""
    return {"containers": [url(name)], "instances": [f"/1.0/instances/{name}"]}


def volume(name: str) -> Volume:
    """The volume of a container."""
    return Volume("container", name)


async def get(host: Host, name: str) -> Container:
    """The container; NotFound also while it is only half created, or known by its old name."""
    container = await host.records.containers.find(name)
    if container is None or container.pending in HIDDEN:
        raise NotFound(f'container "{name}" not found')
    return container


async def every(host: Host) -> list[Container]:
    """All containers that are not half created, by name."""
    return [c for c in await host.records.containers.all() if c.pending not in HIDDEN]


async def profiles_of(host: Host, container: Container) -> list[Profile]:
    """The profiles of a container in their order."""
    found = []
    for name in container.profiles:
        profile = await host.records.profiles.find(name)
        if profile is None:
            raise InvalidInput(f"Requested profile '{name}' doesn't exist")
        found.append(profile)
    return found


def merged(container: Container, profiles: list[Profile]) -> Expanded:
    """The configuration that applies to the container."""
    return Expanded(
        expand.expand_config(profiles, container.config),
        expand.expand_devices(profiles, container.devices),
    )


async def sources(host: Host, container: Container) -> dict[str, dict[str, str]]:
    """Of what is merged: for each key of `config` and `devices` the profile it comes from, "": its own."""
    profiles = await profiles_of(host, container)
    counts = merged(container, profiles).config
    found = expand.config_sources(profiles, container.config)
    return {
        "config": {key: found[key] for key in sorted(counts)},
        "devices": expand.device_sources(profiles, container.devices),
    }


async def expanded(host: Host, container: Container) -> Expanded:
    """The configuration that applies to the container, with its profiles from the store."""
    return merged(container, await profiles_of(host, container))


# --- checks ------------------------------------------------------------------------------------


async def check(
    host: Host,
    container: Container,
    before: Container | None = None,
    *,
    profiles: list[Profile] | None = None,
) -> Expanded:
    """Refuse a container that must not exist as given; returns its merged configuration.

    This is the one place where restrictions are checked, on the merged object.
    profiles: in place of those in the store, to see what a change of theirs would do.
    """
    names.check_container(container.name)
    keys.check_config(container.config, where="container")
    devices.check(container.devices, expanded=False)
    if len(set(container.profiles)) != len(container.profiles):
        raise InvalidInput(f'profile listed twice for container "{container.name}"')
    if container.architecture not in host.machine.architectures:
        raise InvalidInput("Requested architecture isn't supported by this host")
    result = merged(container, await profiles_of(host, container) if profiles is None else profiles)
    seccomp.check(result.config)
    check_calls(result.config)
    devices.check(result.devices, expanded=True)
    _, root = expand.root_device(result.devices)
    pool = root.get("pool") or container.pool
    if await host.records.pools.find(pool) is None:
        raise InvalidInput(f'storage pool "{pool}" of the root disk does not exist')
    forwards.check_targets(result.devices, container.config)
    await volumes.check_disks(host, result.devices)
    await reservations.check(host, result.devices)
    if before is not None and pool != before.pool:
        raise InvalidInput(f'the root disk of "{container.name}" cannot move to another pool')
    if root.get("size") and not host.storage.get(pool).traits.quotas:
        raise InvalidInput(
            f'storage pool "{pool}" does not support quotas; remove "size" from the root disk'
        )
    wanted = await wanted_idmap(host, container.name, result)
    if before is None or wanted != idmap.from_json(before.config.get("volatile.idmap.next", "[]")):
        host.runtime.check_idmap(wanted)
    return result


def check_calls(config: Config) -> None:
    """InvalidInput for a system call that is none: liblxc passes it over, and nothing would be refused."""
    for key, names_in in seccomp.calls(config).items():
        if missing := calls.unknown(names_in):
            raise InvalidInput(
                f'{key}: there is no system call "{missing[0][:64]}" on this host; correct the name'
            )


async def wanted_idmap(host: Host, name: str, merged_config: Expanded) -> idmap.IdMap:
    """The id map that the configuration asks for; empty for a privileged container."""
    if is_true(merged_config.config.get("security.privileged", "")):
        return idmap.IdMap()
    if host.idmap is None:
        raise InvalidInput(
            "LXD doesn't have a uid/gid allocation. In this mode, only privileged containers are supported."
        )
    others = [other for other in await host.records.containers.all() if other.name != name]
    taken = [
        idmap.from_json(other.config["volatile.idmap.next"])
        for other in others
        if other.config.get("volatile.idmap.base", "0") != "0"
    ]
    running = (o.config.get("volatile.idmap.current", "[]") for o in others if o.name in host.running)
    taken += [found for found in map(idmap.from_json, running) if not found.is_made_from(host.idmap)]
    return idmap.plan(merged_config.config, host.idmap, taken)


def with_volatile(
    container: Container,
    merged_config: Expanded,
    wanted: idmap.IdMap,
    *,
    taken: Collection[str] = (),
) -> Container:
    """The container with its generated MACs, interface names and id map recorded in volatile keys.

    Keys of interfaces that are gone, or whose property is now set explicitly, are dropped.
    taken: MAC addresses of others.
    """
    own = {n: d for n, d in merged_config.devices.items() if d.get("type") == "nic"}
    config = {k: v for k, v in container.config.items() if not _is_stale(k, own)}
    used = {d["name"] for d in own.values() if d.get("name")}
    used |= {v for k, v in config.items() if k.startswith("volatile.") and k.endswith(".name")}
    for name, options in sorted(own.items()):
        if not options.get("hwaddr") and options.get("nictype") != "physical":
            config.setdefault(f"volatile.{name}.hwaddr", random_hwaddr(taken))
        if not options.get("host_name") and nics.is_paired(options):
            config.setdefault(
                f"volatile.{name}.host_name", f"veth{random.SystemRandom().randbytes(4).hex()}"
            )
        if not options.get("name") and f"volatile.{name}.name" not in config:
            free = next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
            used.add(free)
            config[f"volatile.{name}.name"] = free
    is_isolated = is_true(merged_config.config.get("security.idmap.isolated", ""))
    base = wanted.host_id("uid", 0) if is_isolated else 0
    config["volatile.idmap.base"] = str(base or 0)
    config["volatile.idmap.next"] = json.dumps(wanted.to_json_objects(), separators=(",", ":"))
    config.setdefault("volatile.last_state.idmap", "[]")
    return replace(container, config=config)


async def settled(
    host: Host, container: Container, merged_config: Expanded
) -> tuple[Container, idmap.IdMap]:
    """The container with its volatile keys, and its id map, which nobody else gets from now on.

    An isolated map and addresses are reserved in the container's record, so that one who asks at the
    same time, or while the caller still works, finds them taken.
    """
    async with host.once("id maps"):
        wanted = await wanted_idmap(host, container.name, merged_config)
        taken = await _hwaddrs_of_others(host, container, merged_config)
        made = with_volatile(container, merged_config, wanted, taken=taken)
        chosen = await reservations.choose(host, made, merged_config.devices)
        result = replace(made, config={**made.config, **chosen})
        maps = {key: result.config[key] for key in ("volatile.idmap.base", "volatile.idmap.next")}
        reserved = maps | chosen
        present = (await host.records.containers.get(container.name)).config
        if any(present.get(key) != value for key, value in reserved.items()):

            def reserve(now: Container) -> Container:
                return replace(now, config={**now.config, **reserved})

            await host.records.containers.change(container.name, reserve)
    return result, wanted


def is_of_interface(key: str) -> bool:
    """Whether the key is one of those that are chosen for an interface."""
    return bool(nics.chosen_for(key)[0])


def _is_stale(key: str, own: Mapping[str, Mapping[str, str]]) -> bool:
    name, option = nics.chosen_for(key)
    if not name:
        return False
    options = own.get(name)
    return options is None or bool(options.get(option))


async def _hwaddrs_of_others(host: Host, container: Container, merged_config: Expanded) -> set[str]:
    """MAC addresses that were chosen for other containers; none if this one needs no new one."""
    own = merged_config.devices
    if all(f"volatile.{name}.hwaddr" in container.config for name in own if own[name].get("type") == "nic"):
        return set()
    others = [other for other in await host.records.containers.all() if other.name != container.name]
    return {value for other in others for key, value in other.config.items() if key.endswith(".hwaddr")}


def random_hwaddr(taken: Collection[str]) -> str:
    """A MAC address from the range that containers use (00:16:3e), none of those taken."""
    while True:
        made = "00:16:3e:" + random.SystemRandom().randbytes(3).hex(":")
        if made not in taken:
            return made


# --- create ------------------------------------------------------------------------------------


async def create(host: Host, request: ContainerCreate) -> Operation:
    """Begin to create a container; the operation's resources name it.

    What can be checked before any work is: the error is then raised here, not in the operation.
    """
    if request.source.type not in ("image", "none"):
        raise InvalidInput(f"unknown source type {request.source.type}")
    if "/" in request.name:
        raise InvalidInput(f"Invalid container name: '{request.name}': '/' is reserved for snapshots")
    name = request.name or await random_name(host)
    names.check_container(name)
    await ensure_free(host, name)
    await pools.ensure_default(host)
    draft = await _draft(host, name, request)
    result = await check(host, draft)
    device_plugs.check_new(host, {}, result.devices)
    if request.source.type == "image":
        await image_sources.check(host, request.source)

    async def work(operation: Operation) -> None:
        async with host.operations.lock(name, "create"):
            await _create(host, draft, request, operation)

    return host.operations.start("Creating container", work, resources=resources(name), may_cancel=True)


async def ensure_free(host: Host, name: str) -> None:
    """AlreadyExists if there is a container of this name; what is kept for the next try of a copy goes."""
    present = await host.records.containers.find(name)
    if present is not None and present.pending == PARTIAL:
        await forget_partial(host, name)
    elif present is not None:
        raise AlreadyExists(f"Container '{name}' already exists")


async def forget_partial(host: Host, name: str) -> None:
    """Remove what is kept for the next try of a copy, if there still is any."""
    async with host.operations.lock(name, "delete"):
        present = await host.records.containers.find(name)
        if present is not None and present.pending == PARTIAL:
            await discard(host, present)


async def random_name(host: Host) -> str:
    """A free two-word name."""
    for _ in range(NAME_TRIES):
        name = petnames.random_name(random.Random(random.SystemRandom().random()))
        if await host.records.containers.find(name) is None:
            return name
    raise WardianError(f"no free random name after {NAME_TRIES} tries; give the container a name")


async def _draft(host: Host, name: str, request: ContainerCreate) -> Container:
    """The container as asked for, with the root disk that it needs."""
    wanted = request.profiles if request.profiles is not None else ["default"]
    size = instance_types.limits(request.instance_type) if request.instance_type else {}
    draft = Container(
        name=name,
        architecture=architectures.canonical(request.architecture or host.machine.architectures[0]),
        created_at=datetime.now(UTC),
        pool="",
        config=size | {k: v for k, v in (request.config or {}).items() if v != ""},
        devices=request.devices or {},
        profiles=wanted,
        ephemeral=request.ephemeral,
        description=request.description,
        pending="create",
    )
    draft = await _with_root(host, draft)
    result = await expanded(host, draft)
    devices.check(result.devices, expanded=True)
    _, root = expand.root_device(result.devices)
    return replace(draft, pool=root.get("pool") or await pools.default_name(host))


async def _with_root(host: Host, draft: Container) -> Container:
    """The same with a root disk, on the pool that the server's configuration names unless told otherwise."""
    profiles, chosen = await profiles_of(host, draft), await pool_choice.chosen(host)
    present = merged(draft, profiles).devices
    if not expand.has_root_device(present):
        name = "root"
        while name in present:
            name += "_"
        root = {"type": "disk", "path": "/", "pool": chosen or await pools.default_name(host)}
    else:
        tellers = [draft.devices, *(p.devices for p in profiles if p.name != "default")]
        if not chosen or any(expand.has_root_device(devices) for devices in tellers):
            return draft
        name, root = expand.root_device(present)
    return replace(draft, devices={**draft.devices, name: {**root, "pool": chosen or root["pool"]}})


async def _create(host: Host, draft: Container, request: ContainerCreate, operation: Operation) -> None:
    async with Undo() as undo, AsyncExitStack() as held:
        await host.records.containers.insert(draft)
        undo.on_failure(discard, host, draft)
        host.runtime.forget_logs(draft.name)
        container = draft
        image = None
        if request.source.type == "image":
            image = await image_sources.ensure(host, request.source, operation)
            held.enter_context(images.in_use(host, image))
            container = replace(
                draft,
                architecture=image.architecture,
                config={
                    **draft.config,
                    "volatile.base_image": image.fingerprint,
                    "volatile.apply_template": "create",
                },
            )
        result = await check(host, container)
        container, wanted = await settled(host, container, result)
        await _fill(host, container, image, result, operation)
        container = await owners.fill(host, container, wanted)
        await host.records.containers.replace(replace(container, pending=""))
        await places.settle(host, container.name)
        undo.keep()
    host.events.lifecycle("container-created", url(draft.name))


async def _fill(
    host: Host, container: Container, image: Image | None, merged_config: Expanded, operation: Operation
) -> None:
    storage = host.storage.get(container.pool)
    target = volume(container.name)
    if image is None:
        await storage.create(target)
        (storage.path(target) / "rootfs").mkdir(mode=0o755)
    else:
        source = await images.ensure_volume(host, storage, image, operation)
        await storage.copy(source, target)
    await apply_quota(host, container, merged_config)


async def apply_quota(host: Host, container: Container, merged_config: Expanded) -> None:
    """Bound the volume of a container as its root disk says."""
    if size := root_size(merged_config):
        await host.storage.get(container.pool).set_quota(volume(container.name), size)


def root_size(merged_config: Expanded) -> int | None:
    """What the root disk is bounded to, in bytes."""
    _, root = expand.root_device(merged_config.devices)
    return parse_size(root["size"]) if root.get("size") else None


# --- delete ------------------------------------------------------------------------------------


async def delete(host: Host, name: str) -> Operation:
    """Begin to delete a stopped container with all that belongs to it.

    Also what is kept of a copy that broke off, although no list shows it.
    """
    present = await host.records.containers.find(name)
    if present is not None and present.pending == PARTIAL:

        async def forget(_: Operation) -> None:
            await forget_partial(host, name)

        return host.operations.start("Deleting container", forget, resources=resources(name))
    if await is_protected(host, await get(host, name)):
        raise InvalidInput(
            f'container "{name}" is protected; set "security.protection.delete" to false to delete it'
        )
    if name in host.running:
        raise InvalidInput("container is running")

    async def work(_: Operation) -> None:
        async with host.operations.lock(name, "delete"):
            if name in host.running:
                raise InvalidInput("container is running")
            container = await get(host, name)
            if await is_protected(host, container):
                raise InvalidInput(f'container "{name}" is protected by "security.protection.delete"')
            await remove(host, container)

    return host.operations.start("Deleting container", work, resources=resources(name))


async def is_protected(host: Host, container: Container) -> bool:
    """Whether the container must not be deleted."""
    return is_true((await expanded(host, container)).config.get("security.protection.delete", ""))


async def remove(host: Host, container: Container) -> None:
    """Take a stopped container away with its snapshots; the caller holds its lock."""
    await discard(host, container)
    await reservations.release(host, container)
    host.events.lifecycle("container-deleted", url(container.name))


async def discard(host: Host, container: Container) -> None:
    """The same, and nobody is told. Records go last: what is left after a crash is still known."""
    async with AsyncExitStack() as held:
        for snapshot in await host.records.snapshots.all(container.name):
            await held.enter_async_context(host.operations.lock(snapshot.name, "delete"))
        await host.records.containers.replace(replace(container, pending="delete"))
        await host.files.leave(container.name)
        storage = host.storage.get(container.pool)
        for snapshot in await host.records.snapshots.all(container.name):
            await storage.delete(Volume("snapshot", snapshot.name))
            await host.records.snapshots.delete(snapshot.name)
        await storage.delete(volume(container.name))
        host.runtime.forget(container.name)
        for packed in await host.records.backups.all(container.name):
            (host.paths.backups / packed.file).unlink(missing_ok=True)
            await host.records.backups.delete(packed.name)
        await host.records.containers.delete(container.name)
        await places.settle(host, container.name)


def writable(container: Container) -> dict[str, Any]:
    """The part of a container that PUT replaces; the ETag is made from it."""
    return {
        "architecture": container.architecture,
        "config": container.config,
        "devices": container.devices,
        "ephemeral": container.ephemeral,
        "profiles": container.profiles,
        "description": container.description,
    }
