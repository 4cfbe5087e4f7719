"""What runs in a container, saved with its files: stateful stop and start, stateful snapshots.

The state is the folder `state` in the container's volume, which only root of the host can read: it is
copied, renamed, counted and deleted with the volume. `stateful` in the record says that the state
belongs to the files as they are; a state without it is of no use, and removed at the next start.
"""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from wardian.core import containers, start_plan
from wardian.core.containers import volume
from wardian.core.host import Host
from wardian.errors import HostFailed, InvalidInput
from wardian.model.container import Container, Pending
from wardian.ports.runtime import Started, StartPlan

log = logging.getLogger(__name__)

STATE = "state"
ARRIVING: Pending = "arrive"
"""`pending` of a container that is here whole, and has yet to go on here."""
LISTED = 3
"""Obstacles that an error names; `lxc info --criu` names them all."""


def folder(host: Host, container: Container) -> Path:
    """Where the state of a container is, if it has one."""
    return host.storage.get(container.pool).path(volume(container.name)) / STATE


def resumes(host: Host, container: Container, wanted: bool) -> bool:
    """Whether a start goes on from the state; InvalidInput if that is wanted and there is none."""
    if wanted and not container.stateful:
        raise InvalidInput("Container has no existing state to restore.")
    if wanted and not host.runtime.is_saved(folder(host, container)):
        # The daemon died before CRIU had it: the container ran on, and has ended since.
        log.warning('container "%s" boots anew: saving its memory was interrupted', container.name)
        return False
    return wanted


async def note(host: Host, name: str, stateful: bool) -> None:
    """Remember whether the container's state belongs to its files."""
    await host.records.containers.change(name, lambda now: replace(now, stateful=stateful))


async def save(host: Host, container: Container, *, stop: bool, ahead: int = 0) -> None:
    """Save the memory of a running container beside its files; on failure it goes on, and has no state.

    ahead: how often that was saved before by `save_ahead`, each the base of the next. InvalidInput saying
    what is in the way.
    """
    await refuse_obstacles(host, container)
    await host.runtime.save(await _plan(host, container), folder(host, container), stop=stop, ahead=ahead)


async def save_ahead(host: Host, container: Container, number: int) -> None:
    """Save the memory of a container that runs on, or what has changed since the last number, from 1 on.

    It belongs to a `save` that follows; without one the caller removes it.
    """
    await host.runtime.save_ahead(await _plan(host, container), folder(host, container), number)


async def _plan(host: Host, container: Container) -> StartPlan:
    """Of what runs, with the devices that it has now."""
    plugs = await host.records.plugs.get(container.name)
    merged = await containers.expanded(host, container)
    return start_plan.of(host, container, merged, plugs.idmap, plugs.now)


async def refuse_obstacles(host: Host, container: Container) -> None:
    """InvalidInput saying why the memory of a running container cannot be saved, if that is known now."""
    if found := await obstacles(host, container, host.running[container.name]):
        more = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise InvalidInput(
            f'cannot save the state of container "{container.name}": {"; ".join(found[:LISTED])}{more}'
        )


async def remove(host: Host, container: Container) -> None:
    """Remove the state, if there is one."""
    place = folder(host, container)
    if place.is_dir():
        try:
            await asyncio.to_thread(shutil.rmtree, place)
        except OSError as error:
            raise HostFailed(f'cannot remove the state of "{container.name}": {error.strerror}') from error


# --- what is in the way ------------------------------------------------------------------------


async def obstacles(host: Host, container: Container, started: Started | None) -> list[str]:
    """Why the memory of the container cannot be saved, a phrase for each reason; empty if it can."""
    try:
        await host.runtime.criu()
    except HostFailed as error:
        return [str(error)]
    found = []
    merged = await containers.expanded(host, container)
    plugs = await host.records.plugs.find(container.name)
    devices = {name: plug.options for name, plug in plugs.now.items()} if plugs else merged.devices
    for name, options in sorted(devices.items()):
        if options["type"] == "nic" and options.get("nictype") == "physical":
            found.append(f'device "{name}" is an interface of the host itself, whose state cannot be saved')
        if options["type"] in ("gpu", "usb"):
            found.append(f'device "{name}" is hardware, whose state cannot be saved')
    if started is not None:
        found += await asyncio.to_thread(host.runtime.obstacles, started)
    return found


async def describe(host: Host, container: Container) -> dict[str, Any]:
    """What GET /1.0/containers/NAME/criu tells."""
    started = host.running.get(container.name)
    try:
        version = await host.runtime.criu()
    except HostFailed:
        version = ""
    found = await obstacles(host, container, started)
    return {"criu": version, "running": started is not None, "obstacles": found}
