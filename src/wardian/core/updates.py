"""Changes of a container's configuration, its own or a profile's: checked, followed by what runs, kept."""

from msgspec.structs import replace

from wardian.core import containers, device_plugs, guest_doors, live
from wardian.core.containers import Expanded
from wardian.core.host import Host, Precondition, no_precondition
from wardian.core.undo import Undo
from wardian.errors import HostFailed, InvalidInput
from wardian.model import architectures, effects, expand, keys
from wardian.model.container import Container, Profile
from wardian.model.effects import Effects
from wardian.model.requests import ContainerUpdate
from wardian.model.units import parse_size


def patched(container: Container, request: ContainerUpdate) -> ContainerUpdate:
    """PATCH as the PUT that it stands for: maps are merged, a null removes, what is absent stays."""
    config: dict[str, str | None] = {**container.config, **(request.config or {})}
    merged_devices: dict[str, dict[str, str] | None] = {**container.devices, **(request.devices or {})}
    return replace(
        request,
        config=config,
        devices=merged_devices,
        profiles=container.profiles if request.profiles is None else request.profiles,
        ephemeral=container.ephemeral if request.ephemeral is None else request.ephemeral,
        description=container.description if request.description is None else request.description,
    )


async def update(
    host: Host,
    name: str,
    request: ContainerUpdate,
    *,
    merge: bool = False,
    precondition: Precondition = no_precondition,
) -> Effects:
    """Replace (or with `merge` change) what can be written; what can be live is in force then.

    precondition: called with the present `writable`; what it raises ends the update. Returns what the
    change does.
    """
    async with host.operations.lock(name, "update"):
        before = await containers.get(host, name)
        precondition(containers.writable(before))
        old = await containers.expanded(host, before)
        after = _updated(
            before, patched(before, request) if merge else request, running=name in host.running
        )
        after = await _with_root(host, before, after, old)
        result = await containers.check(host, after, before)
        device_plugs.check_new(host, old.devices, result.devices)
        after, _ = await containers.settled(host, after, result)
        async with Undo() as undo:
            await _follow(host, after, old, result, undo)
            await host.records.containers.replace(after)
            undo.keep()
        await _tell_guest(host, name, old, result)
    host.events.lifecycle("container-updated", containers.url(name))
    return effects_of(host, name, old, result)


async def preview(host: Host, name: str, request: ContainerUpdate, *, merge: bool = False) -> Effects:
    """What `update` would do; nothing is changed."""
    before = await containers.get(host, name)
    old = await containers.expanded(host, before)
    after = _updated(before, patched(before, request) if merge else request, running=name in host.running)
    result = await containers.check(host, await _with_root(host, before, after, old), before)
    device_plugs.check_new(host, old.devices, result.devices)
    return effects_of(host, name, old, result)


def effects_of(host: Host, name: str, old: Expanded, new: Expanded) -> Effects:
    """The effects of a change from one merged configuration of a container to another."""
    return effects.between(
        (old.config, old.devices), (new.config, new.devices), running=name in host.running
    )


def _updated(before: Container, request: ContainerUpdate, *, running: bool) -> Container:
    """What is asked for. Volatile keys that are left out are chosen anew, but where they are facts."""
    facts = {k: v for k, v in before.config.items() if keys.is_fact(k, running=running)}
    return replace(
        before,
        architecture=architectures.canonical(request.architecture or before.architecture),
        config={k: v for k, v in {**facts, **(request.config or {})}.items() if v},
        devices={k: v for k, v in (request.devices or {}).items() if v is not None},
        profiles=before.profiles if request.profiles is None else request.profiles,
        ephemeral=bool(request.ephemeral),
        description=request.description or "",
    )


async def _with_root(host: Host, before: Container, after: Container, old: Expanded) -> Container:
    """The same, with the root disk as its own that a profile gave it until now and no other does."""
    new = containers.merged(after, await containers.profiles_of(host, after)).devices
    if expand.has_root_device(new) or not expand.has_root_device(old.devices):
        return after
    name, root = expand.root_device(old.devices)
    if name in new or name in before.devices:
        return after
    return replace(after, devices={**after.devices, name: {**root, "pool": after.pool}})


async def _tell_guest(host: Host, name: str, old: Expanded, new: Expanded) -> None:
    await guest_doors.config_changed(host, name, old.config, new.config)
    guest_doors.devices_changed(host, name, old.devices, new.devices)


async def _follow(host: Host, after: Container, old: Expanded, new: Expanded, undo: Undo) -> None:
    """Have the host follow a change of configuration: limits, size of the root disk, devices."""
    name = after.name
    await live.change(host, name, old.config, new.config, undo)
    sizes = [expand.root_device(found.devices)[1].get("size", "") for found in (old, new)]
    if sizes[0] != sizes[1]:
        await _resize(host, after, sizes[1])
        undo.on_failure(_resize, host, after, sizes[0])
    started = host.running.get(name)
    if started is not None:
        await device_plugs.follow(host, started, after, new.plugged, undo)


async def _resize(host: Host, container: Container, size: str) -> None:
    storage = host.storage.get(container.pool)
    await storage.set_quota(containers.volume(container.name), parse_size(size) if size else None)


async def replug(host: Host, name: str) -> None:
    """Give a running container the devices of its configuration; the caller holds its lock."""
    container = await containers.get(host, name)
    result = await containers.expanded(host, container)
    async with Undo() as undo:
        await device_plugs.follow(host, host.running[name], container, result.plugged, undo)
        undo.keep()


async def profile_changed(host: Host, before: Profile) -> None:
    """A profile has new content: its containers follow, those that run with their limits."""
    failures = []
    for container in await containers.every(host):
        if before.name in container.profiles:
            try:
                async with host.operations.lock(container.name, "update", wait=True):
                    await _follow_profile(host, container.name, before)
            except (HostFailed, InvalidInput) as error:
                failures.append(f'container "{container.name}": {error}')
    if failures:
        raise HostFailed(f'profile "{before.name}" is saved, but not in force everywhere: {failures[0]}')


async def _follow_profile(host: Host, name: str, before: Profile) -> None:
    container = await host.records.containers.find(name)
    if container is None or before.name not in container.profiles:
        return
    present = await containers.profiles_of(host, container)
    result = containers.merged(container, present)
    old = containers.merged(container, [before if p.name == before.name else p for p in present])
    made, wanted = await containers.settled(host, container, result)
    chosen = {key: value for key, value in made.config.items() if key not in container.config}

    def refreshed(now: Container) -> Container:
        known = replace(now, config={**chosen, **now.config})
        return containers.with_volatile(known, result, wanted)

    container = await host.records.containers.change(name, refreshed)
    async with Undo() as undo:
        await _follow(host, container, old, result, undo)
        undo.keep()
    await _tell_guest(host, name, old, result)
