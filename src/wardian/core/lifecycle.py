"""Containers as things that run: start, stop, restart, freeze; and who notices that they ended.

The kernel is the truth for what runs. `host.running` mirrors it: filled when a container starts
and, after a restart of the daemon, from the monitors that are alive; emptied by the event of a
monitor's end. Each running container has one task that waits for that event.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from msgspec.structs import replace

from wardian.core import containers, device_plugs, guest_doors, limits, live, memory, starts, updates
from wardian.core.containers import resources, url, volume
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo
from wardian.errors import HostFailed, InvalidInput, WardianError
from wardian.model.container import Container
from wardian.model.requests import StateChange
from wardian.ports.runtime import Started

log = logging.getLogger(__name__)

LISTENS_AGAIN_S = 0.05
"""How often an init is asked to halt that is not known to listen to signals."""

KILLED_WITHIN_S = 60.0
"""How long the kernel may take to take a killed container apart before we say so."""


class Watcher:
    """Owns the tasks that wait for containers to end, and the one that hears of reboots."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped: dict[str, asyncio.Event] = {}
        self._reboots: asyncio.Task[None] | None = None
        self._reconnecting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Find what runs already and follow it."""
        for started in await self._host.runtime.find_all():
            container = await self._host.records.containers.find(started.name)
            if container is not None:
                await self.follow(started)
                await guest_doors.open_door(self._host, started.name, await self._config(container))
                limits.runs(self._host, started.name, await self._config(container))
        self._reboots = asyncio.create_task(self._follow_reboots(), name="follow reboots")

    async def close(self) -> None:
        """Stop following; the containers go on."""
        tasks = [*self._tasks.values(), *self._reconnecting, *([self._reboots] if self._reboots else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in list(self._host.running):
            self._host.addresses.forget(name)

    async def follow(self, started: Started) -> None:
        """Note that a container runs, until it ends."""
        self._host.running[started.name] = started
        if self._host.runtime.is_frozen(started):
            self._host.frozen.add(started.name)
        self._stopped[started.name] = asyncio.Event()
        await self._watch_addresses(started)
        name = f"wait for the end of {started.name}"
        self._tasks[started.name] = asyncio.create_task(self._wait(started), name=name)

    async def _config(self, container: Container) -> dict[str, str]:
        """Its merged configuration; its own if a profile of it is missing."""
        try:
            return (await containers.expanded(self._host, container)).config
        except WardianError:
            return container.config

    async def wait_stopped(self, name: str) -> None:
        """Return once the container has ended and that is recorded; at once if it does not run."""
        if name in self._stopped:
            await self._stopped[name].wait()

    async def _watch_addresses(self, started: Started) -> None:
        try:
            await self._host.addresses.watch(started.name, started.init_pid)
        except (OSError, HostFailed) as error:
            log.warning('cannot follow the addresses of container "%s": %s', started.name, error)

    async def _wait(self, started: Started) -> None:
        await self._host.runtime.wait_stopped(started)
        await self._host.files.leave(started.name)
        try:
            await device_plugs.release(self._host, started.name)
        except WardianError as error:
            log.error('container "%s": cannot release its devices: %s', started.name, error)
        self._host.running.pop(started.name, None)
        self._host.frozen.discard(started.name)
        self._host.addresses.forget(started.name)
        limits.ended(self._host, started.name)
        guest_doors.ended(self._host, started.name)
        await _unmount(self._host, started.name)
        try:
            await _record_stopped(self._host, started.name)
        except WardianError as error:
            log.error('container "%s": cannot record that it stopped: %s', started.name, error)
        finally:
            self._tasks.pop(started.name, None)
            self._stopped.pop(started.name).set()

    async def _follow_reboots(self) -> None:
        while True:
            started = await self._host.runtime.next_reboot()
            if not started.init_pid:
                self._host.kept_ephemeral.add(started.name)
                self._later(self._boot_again(started.name))
            elif started.name in self._host.running:
                log.info('container "%s" rebooted', started.name)
                self._host.running[started.name] = started
                container = await self._host.records.containers.find(started.name)
                if container is not None:
                    await live.again(self._host, started.name, await self._config(container))
                await self._watch_addresses(started)
                self._later(self._reconnect(started))
                self._host.events.lifecycle("container-restarted", url(started.name))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="after a reboot")
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    async def _boot_again(self, name: str) -> None:
        """Boot a container whose monitor cannot: it had been restored from its state."""
        try:
            await self.wait_stopped(name)
            async with self._host.operations.lock(name, "reboot", wait=True):
                if name not in self._host.running:
                    await starts.start(self._host, name)
        except WardianError as error:
            log.error('container "%s" wanted to reboot, and cannot start: %s', name, error)
        finally:
            self._host.kept_ephemeral.discard(name)

    async def _reconnect(self, started: Started) -> None:
        """Give a container that rebooted its present devices, after what acts on it now."""
        try:
            async with self._host.operations.lock(started.name, "reboot", wait=True):
                if self._host.running.get(started.name) == started:
                    await device_plugs.rebooted(self._host, started)
        except WardianError as error:
            log.error('container "%s": cannot restore its devices: %s', started.name, error)


async def settle_devices(host: Host) -> None:
    """At start-up: release devices that ended containers left, and complete what was cut short."""
    for plugs in await host.records.plugs.all():
        started = host.running.get(plugs.name)
        if started is None:
            await device_plugs.release(host, plugs.name)
            continue
        try:
            async with host.operations.lock(plugs.name, "update"):
                await device_plugs.settle(host, started)
                await updates.replug(host, plugs.name)
        except WardianError as error:
            log.error('container "%s": cannot restore its devices: %s', plugs.name, error)


async def _unmount(host: Host, name: str) -> None:
    container = await host.records.containers.find(name)
    if container is None:
        return
    try:
        await host.storage.get(container.pool).unmount(volume(name))
    except WardianError as error:
        log.warning('container "%s": its files stay mounted: %s', name, error)


async def settle(host: Host) -> None:
    """Take what is left: mounts of containers that do not run, memory of those that do, half saved.

    Called once, when pools are open.
    """
    for container in await containers.every(host):
        if container.name not in host.running:
            await _unmount(host, container.name)
        elif not container.stateful:
            try:
                await memory.remove(host, container)
            except WardianError as error:
                log.warning('container "%s": %s', container.name, error)


async def _record_stopped(host: Host, name: str) -> None:
    container = await host.records.containers.find(name)
    if container is None:
        return
    host.events.lifecycle("container-stopped", url(name))
    ends = container.ephemeral and name not in host.kept_ephemeral
    if ends and not await containers.is_protected(host, container):
        await containers.remove(host, container)
    elif not host.going_down and name not in host.leaving:
        await note_stopped(host, name)


async def note_stopped(host: Host, name: str) -> None:
    """Remember that a container does not run: it does not start with the daemon of its own accord."""

    def stopped(now: Container) -> Container:
        return replace(now, config={**now.config, "volatile.last_state.power": "STOPPED"})

    await host.records.containers.change(name, stopped)


# --- requests ----------------------------------------------------------------------------------


async def change_state(host: Host, name: str, request: StateChange) -> Operation:
    """Begin the action of PUT /1.0/containers/NAME/state."""
    actions = {
        "start": starts.start,
        "stop": stop,
        "restart": restart,
        "freeze": freeze,
        "unfreeze": unfreeze,
    }
    action = actions.get(request.action)
    if action is None:
        raise InvalidInput(f"unknown action {request.action}")
    if request.stateful and request.action not in ("start", "stop"):
        raise InvalidInput(f'"stateful" is of no use for the action {request.action}')
    await containers.get(host, name)

    async def work(_: Operation) -> None:
        if request.action == "stop" and _is_forced(request) and not request.stateful:
            await force_stop(host, name)
            return
        async with host.operations.lock(name, request.action):
            await action(host, name, request)

    labels = {"stop": "Stopping", "freeze": "Freezing", "unfreeze": "Unfreezing", "start": "Starting"}
    description = f"{labels.get(request.action, 'Restarting')} container"
    return host.operations.start(description, work, resources=resources(name))


def _is_forced(request: StateChange) -> bool:
    return request.force or request.timeout == 0


def _running(host: Host, name: str) -> Started:
    try:
        return host.running[name]
    except KeyError:
        raise InvalidInput("The container is already stopped") from None


async def stop(host: Host, name: str, request: StateChange) -> None:
    """Ask init to halt and wait until it has; after the timeout the container goes on."""
    started = _running(host, name)
    if request.stateful:
        await stop_with_memory(host, name)
        return
    if name in host.frozen:
        await _thaw(host, started)
    timeout_s = request.timeout if request.timeout >= 0 else None
    try:
        await asyncio.wait_for(_halt(host, started), timeout_s)
    except TimeoutError:
        raise HostFailed(
            f'container "{name}" did not stop within {timeout_s} s; give it more time, or use --force'
        ) from None


async def with_memory(host: Host, name: str) -> Container:
    """A running container, of which nothing is in the way of saving its memory; else InvalidInput."""
    _running(host, name)
    container = await containers.get(host, name)
    if container.ephemeral:
        raise InvalidInput(f'container "{name}" is ephemeral: it would be deleted, with its state')
    await memory.refuse_obstacles(host, container)
    return container


async def stop_with_memory(host: Host, name: str, *, ahead: int = 0) -> None:
    """Save the memory and end the container in the same moment; on failure it goes on.

    ahead: how often its memory was saved before (`memory.save_ahead`). The caller holds its lock.
    InvalidInput saying what is in the way.
    """
    container = await with_memory(host, name)
    if name in host.frozen:
        await _thaw(host, host.running[name])
    async with Undo() as undo:
        # First: should the daemon die meanwhile, what CRIU completes without it counts.
        undo.on_failure(memory.note, host, name, False)
        await memory.note(host, name, True)
        await memory.save(host, container, stop=True, ahead=ahead)
        undo.keep()
    await host.watcher.wait_stopped(name)


async def _halt(host: Host, started: Started) -> None:
    """Ask init to halt until it surely listens, and wait until the container has ended.

    Nothing tells when an init that has just begun to boot starts to listen: it is asked again.
    """
    while not host.runtime.request_halt(host.running.get(started.name, started)):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(host.watcher.wait_stopped(started.name), LISTENS_AGAIN_S)
            return
    await host.watcher.wait_stopped(started.name)


async def force_stop(host: Host, name: str) -> None:
    """Kill the container, taking over from a clean stop that is under way."""
    started = _running(host, name)
    host.runtime.kill(started)
    if name in host.frozen:  # a frozen process dies only once thawed (cgroup v1 freezer)
        await _thaw(host, started)
    await device_plugs.cut_off(host, name)
    try:
        await asyncio.wait_for(host.watcher.wait_stopped(name), KILLED_WITHIN_S)
    except TimeoutError:
        raise HostFailed(
            f'container "{name}" was killed but the kernel has not finished with it; '
            "a process may hang on a device or network file system"
        ) from None


async def restart(host: Host, name: str, request: StateChange) -> None:
    """Stop and start; an ephemeral container survives it."""
    if name not in host.running:
        raise InvalidInput("The container isn't running")
    if name in host.frozen and not _is_forced(request):
        raise InvalidInput("container is not running")
    host.kept_ephemeral.add(name)
    try:
        await (force_stop(host, name) if _is_forced(request) else stop(host, name, request))
        await starts.start(host, name, request)
    finally:
        host.kept_ephemeral.discard(name)


async def freeze(host: Host, name: str, request: StateChange) -> None:
    """Stop all processes of the container where they are."""
    if name not in host.running:
        raise InvalidInput("The container isn't running")
    if name in host.frozen:
        raise InvalidInput("The container is already frozen")
    await host.runtime.freeze(host.running[name])
    host.frozen.add(name)
    host.events.lifecycle("container-paused", url(name))


async def unfreeze(host: Host, name: str, request: StateChange) -> None:
    """Let them go on."""
    if name not in host.running:
        raise InvalidInput("The container isn't running")
    if name not in host.frozen:
        raise InvalidInput("The container is already running")
    await _thaw(host, host.running[name])
    host.events.lifecycle("container-resumed", url(name))


async def _thaw(host: Host, started: Started) -> None:
    await host.runtime.unfreeze(started)
    host.frozen.discard(started.name)


async def go_on(host: Host, name: str) -> None:
    """Start a container where its memory was saved; the caller holds its lock."""
    await starts.start(host, name, StateChange(action="start", stateful=True))
