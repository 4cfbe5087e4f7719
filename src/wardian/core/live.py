"""What a running container follows at once when its merged configuration changes, devices apart.

Each part either succeeds or leaves the container as it was; a later failure takes back the earlier ones.
"""

import logging

from wardian.core import limits
from wardian.core.host import Host
from wardian.core.undo import Undo
from wardian.errors import WardianError
from wardian.model import confinement, kernel_limits, keys, units
from wardian.model.container import Config

log = logging.getLogger(__name__)


async def change(host: Host, name: str, old: Config, new: Config, undo: Undo) -> None:
    """Have a running container follow; harmless if it does not run. HostFailed naming what fails.

    undo: of the caller, who goes on; it puts the former configuration in force again.
    """
    if name not in host.running:
        return
    await host.runtime.load_modules(_modules(new, besides=_modules(old)))
    limits.change(host, name, old, new)
    undo.on_failure(limits.change, host, name, new, old)
    _limit_kernel(host, name, old, new)
    undo.on_failure(_limit_kernel, host, name, new, old)
    await _set_sysctls(host, name, old, new)
    undo.on_failure(_set_sysctls, host, name, new, old)
    if set(keys.changes(old, new)) & set(confinement.APPARMOR_KEYS):
        await _confine(host, name, new)
        undo.on_failure(_confine, host, name, old)


async def again(host: Host, name: str, config: Config) -> None:
    """Put all of it in force after a reboot: liblxc started init with what counted at the first start."""
    limits.again(host, name, config)
    wanted = dict.fromkeys(kernel_limits.LIMITS) | kernel_limits.limits_of(config)
    try:
        host.runtime.limit_kernel(host.running[name], wanted)
        await _set_sysctls(host, name, {}, config)
    except WardianError as error:
        log.error('container "%s" lacks some of its configuration after the reboot: %s', name, error)


def _modules(config: Config, besides: tuple[str, ...] = ()) -> tuple[str, ...]:
    wanted = units.split_list(config.get("linux.kernel_modules", ""))
    return tuple(module for module in wanted if module not in besides)


def _limit_kernel(host: Host, name: str, old: Config, new: Config) -> None:
    before, after = kernel_limits.limits_of(old), kernel_limits.limits_of(new)
    wanted = {limit: after.get(limit) for limit in before | after if before.get(limit) != after.get(limit)}
    if wanted:
        host.runtime.limit_kernel(host.running[name], wanted)


async def _set_sysctls(host: Host, name: str, old: Config, new: Config) -> None:
    before, after = kernel_limits.sysctls_of(old), kernel_limits.sysctls_of(new)
    wanted = {parameter: value for parameter, value in after.items() if before.get(parameter) != value}
    if wanted:
        await host.runtime.set_sysctls(host.running[name], wanted)


async def _confine(host: Host, name: str, config: Config) -> None:
    await host.runtime.confine(host.running[name], confinement.of(config))
