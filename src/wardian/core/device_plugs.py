"""Devices of containers: planned, made ready, attached and detached while a container runs.

What is plugged is noted in the store (`records.plugs`) before the host is touched: after a crash
everything that was made is known, and can be taken away or completed. The difference between what
is plugged and what is configured is a value (`model.device_steps`), applied in its order with `Undo`.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Mapping
from pathlib import Path

from msgspec.structs import replace

from wardian.core import reservations, volumes
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import HostFailed, WardianError
from wardian.model import device_steps, devices, forwards, throttle
from wardian.model.container import Container, Devices
from wardian.model.idmap import IdMap
from wardian.model.plans import Node, Plug, Plugs
from wardian.ports.runtime import DeviceContext, DeviceDriver, Started
from wardian.ports.storage import Volume

log = logging.getLogger(__name__)


def plan(host: Host, container: Container, wanted: Devices, idmap: IdMap, name: str) -> Plug:
    """What one device of the container needs; InvalidInput naming it if it cannot be had.

    container: with its volatile keys filled in; wanted: its expanded devices; idmap: of its start.
    """
    options = wanted[name]
    custom = volumes.named_by(options)
    prefix = f"volatile.{name}."
    volume = host.storage.get(container.pool).path(Volume("container", container.name))
    around = DeviceContext(
        container=container.name,
        folder=host.paths.devices / container.name,
        own_volume=volume,
        idmap=idmap,
        volatile={k.removeprefix(prefix): v for k, v in container.config.items() if k.startswith(prefix)},
        volume=host.storage.get(custom.pool).path(custom.volume) if custom else None,
    )
    return Plug(options=options, plan=host.devices[options["type"]].plan(name, options, around))


def plan_all(host: Host, container: Container, wanted: Devices, idmap: IdMap) -> dict[str, Plug]:
    """All devices of a container that is about to start, in the order to set them up."""
    wanted = forwards.with_targets(wanted, container.config)
    return {name: plan(host, container, wanted, idmap, name) for name, _ in devices.sorted_devices(wanted)}


def check_new(host: Host, old: Devices, new: Devices) -> None:
    """InvalidInput naming the first of the new or changed devices that this host cannot give."""
    for name, options in sorted(new.items()):
        if old.get(name) != options:
            host.devices[options["type"]].check(name, options)


# --- start and end -----------------------------------------------------------------------------


async def prepare(host: Host, name: str, plugs: Mapping[str, Plug], idmap: IdMap) -> None:
    """Make the host ready for a start; on failure it is as it was."""
    async with Undo() as undo:
        await host.records.plugs.put(Plugs(name=name, idmap=idmap, at_start=dict(plugs), now=dict(plugs)))
        undo.on_failure(release, host, name)
        for plug in plugs.values():
            await _driver(host, plug).prepare(plug.plan)
        undo.keep()


async def connected(host: Host, started: Started, plugs: Mapping[str, Plug]) -> None:
    """The container has its devices: do what needs them."""
    for plug in plugs.values():
        await _driver(host, plug).connected(plug.plan, started)


async def cut_off(host: Host, name: str) -> None:
    """Take from a container that has been killed what its end would wait for. Failures are logged."""
    plugs = await host.records.plugs.find(name)
    for device, plug in plugs.now.items() if plugs else ():
        try:
            await _driver(host, plug).cut_off(plug.plan)
        except WardianError as error:
            log.warning('container "%s": cannot cut off device "%s": %s', name, device, error)


async def release(host: Host, name: str) -> None:
    """Take back all that was made for the devices of a container that has ended. Failures are logged."""
    plugs = await host.records.plugs.find(name)
    if plugs is None:
        return
    for device, plug in reversed({**plugs.at_start, **plugs.now}.items()):
        try:
            await _driver(host, plug).release(plug.plan)
        except WardianError as error:
            log.error('container "%s": cannot release device "%s": %s', name, device, error)
    _remove_folder(host.paths.devices / name)
    await host.records.plugs.delete(name)


def _remove_folder(folder: Path) -> None:
    """Remove the empty files and folders that things were mounted on; never what is still mounted."""
    with contextlib.suppress(FileNotFoundError):
        for place in folder.iterdir():
            with contextlib.suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


# --- a running container -----------------------------------------------------------------------


async def follow(host: Host, started: Started, container: Container, wanted: Devices, undo: Undo) -> None:
    """Give a running container the devices that it is configured to have.

    Raises what the device says that cannot be had; `undo` then takes back what was done.
    """
    plugs = await host.records.plugs.find(started.name)
    if plugs is None:
        raise HostFailed(
            f'container "{started.name}" was started by an older daemon; restart it to change its devices'
        )
    had = {name: plug.options for name, plug in plugs.now.items()}
    wanted = forwards.with_targets(wanted, container.config)
    steps = device_steps.between(had, wanted)
    planned = {
        name: plan(host, container, wanted, plugs.idmap, name) for name in (*steps.attach, *steps.change)
    }
    await reservations.settle(host, container, wanted, had)
    undo.on_failure(reservations.settle, host, container, had, wanted)
    for name in steps.detach:
        await _detach(host, started, name, plugs.now[name])
        undo.on_failure(_attach, host, started, name, plugs.now[name])
    for name in steps.change:
        await _change(host, started, name, plugs.now[name], planned[name])
        undo.on_failure(_change, host, started, name, planned[name], plugs.now[name])
    for name in steps.attach:
        await _attach(host, started, name, planned[name])
        undo.on_failure(_detach, host, started, name, planned[name])
    after = await host.records.plugs.get(started.name)
    await _enforce(host, started, plugs, plugs.now, after.now)
    undo.on_failure(_enforce, host, started, plugs, after.now, plugs.now)


async def any_follows_host(host: Host, name: str) -> bool:
    """Whether a running container has devices that come and go with those of the host."""
    plugs = await host.records.plugs.find(name)
    return plugs is not None and any(devices.follows_host(plug.options) for plug in plugs.now.values())


async def refresh(host: Host, started: Started, container: Container, wanted: Devices) -> None:
    """Give a running container the devices that the host has by now, and take away those that are gone.

    One that cannot be replaced stays as it was, and is logged; the others follow.
    """
    plugs = await host.records.plugs.get(started.name)
    for name, plug in plugs.now.items():
        if not devices.follows_host(plug.options) or name not in wanted:
            continue
        lenient = {**wanted, name: {**plug.options, "required": "false"}}
        found = plan(host, container, lenient, plugs.idmap, name)
        if found.plan != plug.plan:
            new = replace(found, options=plug.options)
            await _logged(started, name, _replace(host, started, name, plug, new))
    after = await host.records.plugs.get(started.name)
    await _enforce(host, started, plugs, plugs.now, after.now)


async def settle(host: Host, started: Started) -> None:
    """Take away what the end of a daemon cut short while it was attached or detached; `follow` completes.

    What is whole is connected again: its limits, filters and forwarding may have been lost meanwhile.
    """
    plugs = await host.records.plugs.find(started.name) or Plugs(name=started.name)
    for name, plug in reversed(plugs.now.items()):
        if not plug.settled:
            await _logged(started, name, _detach(host, started, name, plug))
        else:
            await _logged(started, name, _driver(host, plug).connected(plug.plan, started))
    plugs = await host.records.plugs.find(started.name) or plugs
    await _logged(started, "all", _enforce(host, started, plugs, {}, plugs.now))


async def rebooted(host: Host, started: Started) -> None:
    """A container was booted anew, with the devices of its start: give it the present ones."""
    plugs = await host.records.plugs.find(started.name)
    if plugs is None:
        return
    before = {name: plug.options for name, plug in plugs.at_start.items()}
    steps = device_steps.between(before, {name: plug.options for name, plug in plugs.now.items()})
    for name in steps.detach:
        driver = _driver(host, plugs.at_start[name])
        await _logged(started, name, driver.detach(plugs.at_start[name].plan, started))
    for name, plug in plugs.now.items():
        if name not in steps.attach:
            await _logged(started, name, _driver(host, plug).connected(plug.plan, started))
    for name in steps.attach:
        await _logged(started, name, _attach(host, started, name, plugs.now[name]))
    await _logged(started, "all", _enforce(host, started, plugs, plugs.at_start, plugs.now))


async def _logged(started: Started, name: str, step: Awaitable[None]) -> None:
    try:
        await step
    except WardianError as error:
        log.error('container "%s", device "%s": %s', started.name, name, error)


async def _attach(host: Host, started: Started, name: str, plug: Plug) -> None:
    driver = _driver(host, plug)
    async with Undo() as undo:
        await _note(host, started, name, replace(plug, settled=False))
        undo.on_failure(_note, host, started, name, None)
        await driver.prepare(plug.plan)
        undo.on_failure(driver.release, plug.plan)
        await driver.attach(plug.plan, started)
        undo.on_failure(driver.detach, plug.plan, started)
        await driver.connected(plug.plan, started)
        await _note(host, started, name, plug)
        undo.keep()


async def _detach(host: Host, started: Started, name: str, plug: Plug) -> None:
    driver = _driver(host, plug)
    async with Undo() as undo:
        await _note(host, started, name, replace(plug, settled=False))
        undo.on_failure(_note, host, started, name, plug)
        await driver.detach(plug.plan, started)
        undo.on_failure(driver.attach, plug.plan, started)
        await driver.release(plug.plan)
        undo.on_failure(driver.prepare, plug.plan)
        await _note(host, started, name, None)
        undo.keep()


async def _replace(host: Host, started: Started, name: str, old: Plug, new: Plug) -> None:
    async with Undo() as undo:
        await _detach(host, started, name, old)
        undo.on_failure(_attach, host, started, name, old)
        await _attach(host, started, name, new)
        undo.keep()


async def _change(host: Host, started: Started, name: str, old: Plug, new: Plug) -> None:
    await _driver(host, new).change(old.plan, new.plan, started)
    await _note(host, started, name, new)


async def _note(host: Host, started: Started, name: str, plug: Plug | None) -> None:
    """Remember what is plugged under a name now; None: nothing."""

    def noted(plugs: Plugs) -> Plugs:
        rest = {device: known for device, known in plugs.now.items() if device != name}
        return replace(plugs, now=rest if plug is None else {**rest, name: plug})

    await host.records.plugs.change(started.name, noted)


def _driver(host: Host, plug: Plug) -> DeviceDriver:
    return host.devices[plug.options["type"]]


async def _enforce(
    host: Host, started: Started, plugs: Plugs, old: Mapping[str, Plug], new: Mapping[str, Plug]
) -> None:
    """Have what counts for all devices together follow a change: limits, and which nodes may be used.

    HostFailed with the former limits in force.
    """
    before, after = _throttles(old), _throttles(new)
    version = host.runtime.cgroups
    try:
        host.runtime.limit(started, throttle.change(before, after, version))
    except HostFailed:
        host.runtime.limit(started, throttle.change(after, before, version))
        raise
    if host.runtime.guards_devices:
        nodes = [_nodes(found) for found in (old, new)]
        await host.runtime.permit(started, nodes[1] - nodes[0], allowed=True)
        await host.runtime.permit(started, nodes[0] - nodes[1], allowed=False)


def _nodes(plugs: Mapping[str, Plug]) -> set[Node]:
    """What may be used, whoever owns it."""
    mounts = (mount for plug in plugs.values() for mount in plug.plan.mounts)
    return {dataclasses.replace(mount.node, uid=0, gid=0, mode=0) for mount in mounts if mount.node}


def _throttles(plugs: Mapping[str, Plug]) -> list[throttle.Throttle]:
    return [found for plug in plugs.values() for found in plug.plan.throttles]


def settings(host: Host, plugs: Mapping[str, Plug]) -> list[tuple[str, str]]:
    """The liblxc lines of a container that starts with these devices."""
    version = host.runtime.cgroups
    prefix = "lxc.cgroup2." if version == "v2" else "lxc.cgroup."
    lines = [(prefix + name, value) for name, value in throttle.knobs(_throttles(plugs), version)]
    rules = sorted(node.rule for node in _nodes(plugs)) if host.runtime.guards_devices else []
    return lines + [
        (f"{name}.devices.allow", rule) for rule in rules for name in ("lxc.cgroup", "lxc.cgroup2")
    ]
