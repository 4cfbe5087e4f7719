"""The limits of what runs: in force from the start, changed at once, CPUs shared out anew as it changes.

Sharing out is computed and written without waiting in between, so that no two of them can mix.
"""

import logging

from wardian.core.host import Host
from wardian.errors import HostFailed, WardianError
from wardian.model import cpus, limits
from wardian.model.container import Config
from wardian.model.limits import CgroupHost

log = logging.getLogger(__name__)

CPUS = "limits.cpu"
CPU_SET = "cpuset.cpus"


def surroundings(host: Host) -> CgroupHost:
    """What limits are rendered for: this host as it is now."""
    return CgroupHost(
        version=host.runtime.cgroups,
        memory_total=host.machine.memory_total,
        cpus=host.runtime.cpus(),
        usage=cpus.usage(host.cpu_sets.values()),
        files=host.machine.control_files,
    )


def settings(host: Host, config: Config) -> list[tuple[str, str]]:
    """The liblxc lines with which a container of this merged configuration starts.

    InvalidInput if it is pinned to a CPU that this host does not have.
    """
    return limits.cgroup_settings(config, surroundings(host))


def runs(host: Host, name: str, config: Config) -> None:
    """A container with this merged configuration runs now: it counts when CPUs are shared out."""
    _wish(host, name, config)
    balance(host)


def ended(host: Host, name: str) -> None:
    """A container does not run any more: its CPUs are free for others."""
    host.cpu_sets.pop(name, None)
    if host.cpu_wishes.pop(name, None):
        balance(host)


def change(host: Host, name: str, old: Config, new: Config) -> None:
    """Have a running container follow a change; HostFailed with the former limits in force."""
    if name not in host.running:
        return
    try:
        _write(host, name, old, new)
    except HostFailed:
        _write(host, name, new, old)
        raise


def _write(host: Host, name: str, old: Config, new: Config) -> None:
    around = surroundings(host)
    if old.get(CPUS, "") != new.get(CPUS, "") and around.has(CPU_SET):
        # First, and by itself: a CPU that is not there is refused before anything is written.
        chosen = cpus.choose(new[CPUS], around.cpus, around.usage) if new.get(CPUS) else around.cpus
        host.runtime.limit(host.running[name], [(CPU_SET, cpus.render(chosen))])
        host.cpu_sets[name] = list(chosen)
        _wish(host, name, new)
        balance(host)
    host.runtime.limit(host.running[name], limits.change(old, new, around))


def again(host: Host, name: str, config: Config) -> None:
    """Write all limits of a container that rebooted: liblxc gave it those it was started with."""
    around = surroundings(host)
    host.cpu_sets.pop(name, None)
    try:
        host.runtime.limit(host.running[name], limits.everything(config, around))
        runs(host, name, config)
    except WardianError as error:
        log.error('container "%s": its limits are not in force after the reboot: %s', name, error)


def _wish(host: Host, name: str, config: Config) -> None:
    if config.get(CPUS):
        host.cpu_wishes[name] = config[CPUS]
    else:
        host.cpu_wishes.pop(name, None)
        host.cpu_sets.pop(name, None)


def host_changed(host: Host) -> None:
    """CPUs of the host came or went: share out anew, and write it whatever we wrote before.

    The kernel took a CPU that went from all sets. On cgroup v1 it does not give it back
    (cgroup-v1/cpusets.rst, section 1.8), so containers that may use all of them are told, too.
    """
    host.cpu_sets.clear()
    balance(host)
    if host.runtime.cgroups == "v1" and CPU_SET in host.machine.control_files:
        everything = cpus.render(host.runtime.cpus())
        for name in host.running.keys() - host.cpu_wishes.keys():
            _set_cpus(host, name, everything)


def balance(host: Host) -> None:
    """Share out the CPUs among the containers that run and say how many they want."""
    if CPU_SET not in host.machine.control_files or not host.cpu_wishes:
        return
    for name, chosen in cpus.balance(host.cpu_wishes, host.runtime.cpus()).items():
        if host.cpu_sets.get(name) == chosen or name not in host.running:
            continue
        if _set_cpus(host, name, cpus.render(chosen)):
            host.cpu_sets[name] = chosen


def _set_cpus(host: Host, name: str, text: str) -> bool:
    try:
        host.runtime.limit(host.running[name], [(CPU_SET, text)])
    except HostFailed as error:
        log.warning('container "%s" keeps its CPUs: %s', name, error)
        return False
    return True
