"""Which containers start with the daemon, and how all of them stop with the host.

Spec: behaviour.md sections 4 and 6.
"""

import asyncio
import logging

from wardian.core import containers, lifecycle, starts
from wardian.core.host import Host
from wardian.errors import NotFound, WardianError
from wardian.model import keys
from wardian.model.container import Container
from wardian.model.requests import StateChange
from wardian.model.units import is_true

log = logging.getLogger(__name__)

STARTS = ("start", "restart", "reboot")
"""Actions on a container after which it runs."""


def wants_start(config: dict[str, str]) -> bool:
    """Whether a container with this merged configuration starts with the daemon."""
    wish = config.get("boot.autostart", "")
    return is_true(wish) if wish else config.get("volatile.last_state.power") == "RUNNING"


def in_start_order(merged: list[tuple[Container, dict[str, str]]]) -> list[tuple[Container, dict[str, str]]]:
    """Highest boot.autostart.priority first, then by name."""
    return sorted(merged, key=lambda pair: (-int(pair[1].get("boot.autostart.priority") or 0), pair[0].name))


async def start_all(host: Host) -> None:
    """Start, one after the other, the containers that are due; failures are logged."""
    due = []
    for container in await containers.every(host):
        config = await _config(host, container.name)
        if container.name not in host.running and wants_start(config):
            due.append((container, config))
    for container, config in in_start_order(due):
        if host.going_down:
            return
        if container.name in host.running:  # somebody was faster
            continue
        await _start(host, container.name)
        await asyncio.sleep(int(config.get("boot.autostart.delay") or 0))


async def _start(host: Host, name: str) -> None:
    try:
        async with host.operations.lock(name, "start"):
            await starts.start(host, name)
    except NotFound:
        log.info('container "%s" was deleted before it was its turn to start', name)
    except WardianError as error:
        log.error('container "%s" does not start with the daemon: %s', name, error)
    except Exception:  # the others are still to be started
        log.exception('container "%s" does not start with the daemon', name)


async def stop_all(host: Host) -> None:
    """Stop all containers, cleanly if they do; they start again with the next daemon.

    Those with the highest boot.stop.priority go first, equal ones at once.
    """
    host.going_down = True
    async with host.once("shutdown"):
        await _starts_done(host)
        await _stop_each(host)


async def _starts_done(host: Host) -> None:
    """Wait for the starts that are under way: no other begins any more."""
    for container in await containers.every(host):
        name = container.name
        if name not in host.running and host.operations.holding(name) in STARTS:
            async with host.operations.lock(name, "stop", wait=True):
                pass


async def _stop_each(host: Host) -> None:
    configs = {name: await _config(host, name) for name in list(host.running)}
    priorities = {name: keys.number(config, "boot.stop.priority") for name, config in configs.items()}
    for priority in sorted(set(priorities.values()), reverse=True):
        async with asyncio.TaskGroup() as stops:
            for name in [name for name in configs if priorities[name] == priority]:
                within_s = keys.number(configs[name], "boot.host_shutdown_timeout")
                stops.create_task(_stop(host, name, within_s), name=f"shutdown of {name}")


async def _config(host: Host, name: str) -> dict[str, str]:
    """Its merged configuration; its own if a profile of it is missing."""
    own: dict[str, str] = {}
    try:
        container = await containers.get(host, name)
        own = container.config
        return (await containers.expanded(host, container)).config
    except WardianError as error:
        log.warning('container "%s": %s', name, error)
        return own


async def _stop(host: Host, name: str, within_s: int) -> None:
    try:
        await lifecycle.stop(host, name, StateChange(action="stop", timeout=within_s))
    except WardianError as error:
        log.warning('container "%s": %s; killing it', name, error)
        try:
            await lifecycle.force_stop(host, name)
        except WardianError as failure:
            log.error('container "%s": %s', name, failure)
