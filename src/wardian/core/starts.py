"""How a container starts: check and decide, then make what it needs; on failure it is as it was."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from wardian.core import (
    containers,
    device_plugs,
    guest_doors,
    limits,
    memory,
    owners,
    places,
    reservations,
    start_plan,
    templates,
)
from wardian.core.containers import url, volume
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import Busy, HostFailed, InvalidInput
from wardian.model import keys, units
from wardian.model.container import Container
from wardian.model.idmap import IdMap
from wardian.model.plans import Plug
from wardian.model.requests import StateChange
from wardian.ports.runtime import Started, StartPlan


async def start(host: Host, name: str, request: StateChange | None = None) -> None:
    """Start a stopped container; the caller holds its lock. On failure it is as it was."""
    if name in host.running:
        raise InvalidInput("The container is already running")
    if host.going_down:
        raise Busy("the daemon is shutting down; containers start again with the next one")
    container = await containers.get(host, name)
    if container.stateful:
        await host.storage.get(container.pool).mount(volume(name))
    resumes = memory.resumes(host, container, request.stateful if request else container.stateful)
    if container.pending not in ("", memory.ARRIVING):
        raise HostFailed(
            f'container "{name}": {container.pending} was interrupted; restart the daemon, which finishes it'
        )
    boot = await _prepared(host, container, resumes=resumes)
    started = await _boot(host, boot)
    await host.watcher.follow(started)
    if resumes:  # with the limits of then
        limits.again(host, name, boot.merged.config)
    else:
        limits.runs(host, name, boot.merged.config)
    await memory.remove(host, boot.container)
    host.events.lifecycle("container-started", url(name))


@dataclass(frozen=True)
class _Boot:
    """What a start has decided, before anything is made for it. resumes: it goes on with its memory."""

    container: Container
    merged: containers.Expanded
    wanted: IdMap
    plugs: dict[str, Plug]
    plan: StartPlan
    resumes: bool

    def begun(self, now: Container) -> Container:
        """The record of a container that runs."""
        known = replace(now, config={**self.container.config, **now.config})
        config = containers.with_volatile(known, self.merged, self.wanted).config
        config.pop("volatile.apply_template", None)
        config["volatile.last_state.power"] = "RUNNING"
        config["volatile.idmap.current"] = config["volatile.idmap.next"]
        return replace(now, config=config, last_used_at=datetime.now(UTC), stateful=False)

    def not_begun(self, now: Container) -> Container:
        """The record as it was before."""
        was = self.container
        return replace(now, config=was.config, last_used_at=was.last_used_at, stateful=was.stateful)


async def _prepared(host: Host, container: Container, *, resumes: bool) -> _Boot:
    """Check and decide; the files are in place, with the owners that they must have."""
    merged = await containers.check(host, container)
    container, wanted = await containers.settled(host, container, merged)
    merged = await containers.expanded(host, container)
    await host.storage.get(container.pool).mount(volume(container.name))
    container = await owners.settle(
        host, container, wanted, keep=keys.is_on(merged.config, "security.protection.shift")
    )
    plugs = device_plugs.plan_all(host, container, merged.plugged, wanted)
    plan = start_plan.of(host, container, merged, wanted, plugs)
    await host.runtime.load_modules(units.split_list(merged.config.get("linux.kernel_modules", "")))
    return _Boot(container, merged, wanted, plugs, plan, resumes)


async def _boot(host: Host, boot: _Boot) -> Started:
    """Make what the container needs, and start it; all or nothing."""
    container, name = boot.container, boot.container.name
    storage, table = host.storage.get(container.pool), host.records.containers
    async with Undo() as undo:
        undo.on_failure(storage.unmount, volume(name))
        if not boot.resumes:  # the programs in its memory know the files as they are
            await templates.apply(host, container, boot.merged)
        await table.change(name, boot.begun)
        undo.on_failure(table.change, name, boot.not_begun)
        await places.settle(host, name)
        shifted = await storage.mount(volume(name), boot.wanted)
        await reservations.settle(host, container, boot.merged.devices)
        await device_plugs.prepare(host, name, boot.plugs, boot.wanted)
        undo.on_failure(device_plugs.release, host, name)
        await guest_doors.open_door(host, name, boot.merged.config, group=boot.wanted.host_id("gid", 0))
        undo.on_failure(guest_doors.ended, host, name)
        plan = dataclasses.replace(boot.plan, shifted=shifted or boot.plan.shifted)
        if boot.resumes:
            started = await host.runtime.restore(plan, memory.folder(host, container))
        else:
            started = await host.runtime.start(plan)
        undo.on_failure(_kill_and_wait, host, started)
        await device_plugs.connected(host, started, boot.plugs)
        undo.keep()
    return started


async def _kill_and_wait(host: Host, started: Started) -> None:
    host.runtime.kill(started)
    await host.runtime.wait_stopped(started)
