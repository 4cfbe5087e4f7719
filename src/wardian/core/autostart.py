"""Which containers start with the daemon, and how all of them stop with the host.

Spec: behaviour.md sections 4 and 6.
"""

import asyncio
import logging

from wardian.core import containers, lifecycle
from wardian.core.host import Host
from wardian.errors import WardianError
from wardian.model import keys
from wardian.model.container import Container
from wardian.model.requests import StateChange
from wardian.model.units import is_true

log = logging.getLogger(__name__)


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
        config = (await containers.expanded(host, container)).config
        if container.name not in host.running and wants_start(config):
            due.append((container, config))
    for container, config in in_start_order(due):
        try:
            async with host.operations.lock(container.name, "start"):
                await lifecycle.start(host, container.name)
        except WardianError as error:
            log.error('container "%s" does not start with the daemon: %s', container.name, error)
        await asyncio.sleep(int(config.get("boot.autostart.delay") or 0))


async def stop_all(host: Host) -> None:
    """Stop all containers, cleanly if they do; they start again with the next daemon.

    Those with the highest boot.stop.priority go first, equal ones at once.
    """
    host.going_down = True
    configs = {name: await _config(host, name) for name in list(host.running)}
    priorities = {name: keys.number(config, "boot.stop.priority") for name, config in configs.items()}
    for priority in sorted(set(priorities.values()), reverse=True):
        async with asyncio.TaskGroup() as stops:
            for name in [name for name in configs if priorities[name] == priority]:
                within_s = keys.number(configs[name], "boot.host_shutdown_timeout")
                stops.create_task(_stop(host, name, within_s), name=f"shutdown of {name}")


async def _config(host: Host, name: str) -> dict[str, str]:
    try:
        return (await containers.expanded(host, await containers.get(host, name))).config
    except WardianError:
        return {}


async def _stop(host: Host, name: str, within_s: int) -> None:
    try:
        await lifecycle.stop(host, name, StateChange(action="stop", timeout=within_s))
    except WardianError as error:
        log.warning('container "%s": %s; killing it', name, error)
        try:
            await lifecycle.force_stop(host, name)
        except WardianError as failure:
            log.error('container "%s": %s', name, failure)
