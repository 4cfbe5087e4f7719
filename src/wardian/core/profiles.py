"""Profiles: configuration that containers share (spec/configuration.md section 8)."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from wardian.core import containers, device_plugs, updates
from wardian.core.host import Host
from wardian.errors import AlreadyExists, InvalidInput, StaleRevision, WardianError
from wardian.model import devices, keys, names
from wardian.model.container import Config, Container, Devices, Profile, Snapshot
from wardian.model.effects import Effects

DEFAULT = Profile(name="default", description="Default LXD profile")
DOCKER = Profile(
    name="docker",
    description="Profile supporting docker in containers",
    config={"security.nesting": "true", "linux.kernel_modules": "overlay, nf_nat"},
    devices={
        "aadisable": {
            "type": "disk",
            "path": "/sys/module/apparmor/parameters/enabled",
            "source": "/dev/null",
        }
    },
)


class ProfileWrite(Struct, forbid_unknown_fields=True):
    """The body of POST, PUT and PATCH. None: left out."""

    name: str | None = None
    description: str | None = None
    config: dict[str, str | None] | None = None
    devices: dict[str, dict[str, str] | None] | None = None
    used_by: list[str] | None = None


async def ensure_builtin(host: Host) -> None:
    """Make the profiles that every server has: `default` at the very first start, `docker` at each."""
    is_fresh = not await host.records.profiles.all()
    for profile in (DEFAULT, DOCKER) if is_fresh else (DOCKER,):
        if await host.records.profiles.find(profile.name) is None:
            await host.records.profiles.insert(profile)


def url(name: str) -> str:
    """The address of a profile in the API."""
    return f"/1.0/profiles/{quote(name)}"


async def get(host: Host, name: str) -> Profile:
    """The profile; NotFound if there is none."""
    return await host.records.profiles.get(name)


async def every(host: Host) -> list[Profile]:
    """All profiles, by name."""
    return await host.records.profiles.all()


async def users(host: Host, name: str) -> list[Container]:
    """The containers that have the profile, also those that are only half created."""
    return [c for c in await host.records.containers.all() if name in c.profiles]


async def _snapshots_with(host: Host, name: str) -> list[Snapshot]:
    return [s for s in await host.records.snapshots.all() if name in s.profiles]


async def render(host: Host, profile: Profile) -> dict[str, Any]:
    """The object of the API."""
    return writable(profile) | {
        "name": profile.name,
        "used_by": [containers.url(c.name) for c in await users(host, profile.name)],
    }


def writable(profile: Profile) -> dict[str, Any]:
    """The part that PUT replaces; the ETag is made from it."""
    return {"config": profile.config, "description": profile.description, "devices": profile.devices}


def _set(values: dict[str, str | None]) -> Config:
    return {key: value for key, value in values.items() if value}


def _present(found: dict[str, dict[str, str] | None]) -> Devices:
    return {name: device for name, device in found.items() if device is not None}


def _check(host: Host, profile: Profile, before: Devices) -> None:
    keys.check_config(profile.config, where="profile")
    containers.check_calls(profile.config)
    devices.check(profile.devices, expanded=False)
    device_plugs.check_new(host, before, profile.devices)


async def create(host: Host, request: ProfileWrite) -> Profile:
    """Add a profile."""
    name = request.name or ""
    if not name:
        raise InvalidInput("No name provided")
    names.check_profile(name)
    if await host.records.profiles.find(name) is not None:
        raise InvalidInput("The profile already exists")
    profile = Profile(
        name=name,
        description=request.description or "",
        config=_set(request.config or {}),
        devices=_present(request.devices or {}),
    )
    _check(host, profile, {})
    await host.records.profiles.insert(profile)
    host.events.lifecycle("profile-created", url(name))
    return profile


async def update(
    host: Host, name: str, request: ProfileWrite, *, merge: bool, precondition: Callable[[Any], None]
) -> dict[str, Effects]:
    """Replace (or with `merge` change) a profile, if all its containers stay valid with it.

    precondition: called with the present `writable`; what it raises ends the update. Returns what the
    change does to each container.
    """
    while True:
        revision = await host.records.profiles.revision(name)
        before = await get(host, name)
        precondition(writable(before))
        after = _changed(before, request, merge=merge)
        _check(host, after, before.devices)
        found = {c.name: await _effects_on(host, c, after) for c in await users(host, name)}
        try:
            await host.records.profiles.replace(after, revision=revision)
            break
        except StaleRevision:
            continue
    await updates.profile_changed(host, before)
    host.events.lifecycle("profile-updated", url(name))
    return found


async def preview(host: Host, name: str, request: ProfileWrite, *, merge: bool) -> dict[str, Effects]:
    """What `update` would do to each container, if it were possible; nothing is changed."""
    before = await get(host, name)
    after = _changed(before, request, merge=merge)
    _check(host, after, before.devices)
    return {c.name: await _effects_on(host, c, after) for c in await users(host, name)}


async def _effects_on(host: Host, container: Container, after: Profile) -> Effects:
    """What the changed profile does to a container; InvalidInput if it breaks it."""
    await _check_user(host, container, after)
    try:
        present = await containers.profiles_of(host, container)
    except InvalidInput:  # it lacks a profile, and cannot start anyway
        return Effects(running=container.name in host.running)
    wanted = [after if profile.name == after.name else profile for profile in present]
    old, new = (containers.merged(container, found) for found in (present, wanted))
    return updates.effects_of(host, container.name, old, new)


def _changed(before: Profile, request: ProfileWrite, *, merge: bool) -> Profile:
    config, found = dict(request.config or {}), dict(request.devices or {})
    description = request.description
    if merge:
        config = {**before.config, **config}
        found = {**before.devices, **found}
        description = before.description if description is None else description
    return Profile(
        name=before.name, description=description or "", config=_set(config), devices=_present(found)
    )


async def _check_user(host: Host, container: Container, after: Profile) -> None:
    """Refuse a profile that breaks the container; one that is broken anyway is no reason."""
    try:
        present = await containers.profiles_of(host, container)
        wanted = [after if profile.name == after.name else profile for profile in present]
        await containers.check(host, container, profiles=wanted)
    except WardianError as error:
        if not await _is_broken(host, container):
            text = f'profile "{after.name}" would break container "{container.name}": {error}'
            raise InvalidInput(text) from error


async def _is_broken(host: Host, container: Container) -> bool:
    try:
        await containers.check(host, container)
    except WardianError:
        return True
    return False


async def rename(host: Host, name: str, new: str) -> None:
    """Give the profile another name; its containers follow, all at once."""
    names.check_profile(new)
    if name == DEFAULT.name:
        raise InvalidInput('profile "default" cannot be renamed')
    await get(host, name)
    async with AsyncExitStack() as held:
        for container in await users(host, name):
            await held.enter_async_context(host.operations.lock(container.name, "update"))
        while not await _try_rename(host, name, new):
            pass
    host.events.lifecycle("profile-renamed", url(new), old_name=name)


async def _try_rename(host: Host, name: str, new: str) -> bool:
    """False if a record changed in between."""
    if await host.records.profiles.find(new) is not None:
        raise AlreadyExists(f'profile "{new}" already exists')
    revision = await host.records.profiles.revision(name)
    profile = await get(host, name)
    batch = host.records.batch()
    batch.insert(host.records.profiles, replace(profile, name=new))
    batch.delete(host.records.profiles, name, revision=revision)
    for container in await users(host, name):
        revision = await host.records.containers.revision(container.name)
        listed = [new if known == name else known for known in container.profiles]
        batch.replace(host.records.containers, replace(container, profiles=listed), revision=revision)
    for snapshot in await _snapshots_with(host, name):
        revision = await host.records.snapshots.revision(snapshot.name)
        listed = [new if known == name else known for known in snapshot.profiles]
        batch.replace(host.records.snapshots, replace(snapshot, profiles=listed), revision=revision)
    try:
        await batch.commit()
    except StaleRevision:
        return False
    return True


async def delete(host: Host, name: str) -> None:
    """Remove a profile that no container has."""
    await get(host, name)
    if name == DEFAULT.name:
        raise InvalidInput('profile "default" cannot be deleted; new containers get it')
    if await users(host, name) or await _snapshots_with(host, name):
        raise InvalidInput("Profile is currently in use")
    await host.records.profiles.delete(name)
    host.events.lifecycle("profile-deleted", url(name))
