"""`raw.lxc`: which liblxc settings a user may add, and which ones the daemon keeps to itself.

The daemon relies on its own confinement (id map, root file system, seccomp, AppArmor, capabilities,
device rules, namespaces), on its hooks and on where logs and control groups are. Settings that change
these are refused, with the key that does the same under its control; the rest of what
lxc.container.conf(5) offers is accepted. Mounts of host paths are accepted: a disk device can do the
same. A setting that is neither is unknown to liblxc and would only fail at the next start.
"""

import re

from wardian.errors import InvalidInput
from wardian.model import kernel_limits

_NET = re.compile(
    r"lxc\.network\.[0-9]+\.ipv[46](?:\.gateway)?|lxc\.net\.[0-9]+\.ipv[46]\.(?:address|gateway)"
)
_OLD_NET = re.compile(
    r"(?im)^[ \t]*lxc\.network\.([0-9]+)\.ipv([46])(\.gateway)?(?=[ \t]*=)",
)
_CGROUP = re.compile(r"lxc\.cgroup2?\.[a-z0-9_]+(?:\.[A-Za-z0-9_]+)+")
_AUTO = re.compile(r"proc:mixed|sys:(?:ro|mixed)|cgroup(?::(?:ro|rw|mixed))?(?::force)?")

_AS_SPECIFIED = {
    "lxc.logfile": "lxc.logfile",
    "lxc.log.file": "lxc.logfile",
    "lxc.syslog": "lxc.syslog",
    "lxc.log.syslog": "lxc.syslog",
    "lxc.ephemeral": "lxc.ephemeral",
}
"""Refusals whose text spec/configuration.md section 12 gives."""

_OURS = {
    "lxc.apparmor": 'use "raw.apparmor" or "security.nesting"',
    "lxc.cap.keep": 'use "security.privileged"',
    "lxc.cgroup.devices": 'add a device of type "unix-char" or "unix-block"',
    "lxc.cgroup2.devices": 'add a device of type "unix-char" or "unix-block"',
    "lxc.cgroup.dir": "the daemon finds the container there",
    "lxc.cgroup.relative": "the daemon finds the container there",
    "lxc.console": "the daemon keeps the console",
    "lxc.hook": "hooks are run as root of the host",
    "lxc.idmap": 'use "raw.idmap" or "security.idmap.*"',
    "lxc.include": "write the lines themselves",
    "lxc.log": "the daemon reads the log",
    "lxc.monitor": "the daemon follows the monitor",
    "lxc.mount.fstab": 'use "lxc.mount.entry" or a disk device',
    "lxc.namespace": "the container has its own namespaces",
    "lxc.rootfs": "use the root disk device",
    "lxc.seccomp": 'use "raw.seccomp" or "security.syscalls.*"',
    "lxc.selinux": "the daemon confines the container itself",
}
"""Beginnings of names -> what to do instead."""

_COPYING = "lxc.hook.clone"
"""A hook that nothing runs but lxc-copy, which never copies our containers: it does no harm."""

_ACCEPTED = (
    "lxc.arch",
    "lxc.autodev.tmpfs.size",
    "lxc.cap.drop",
    "lxc.environment",
    "lxc.execute.cmd",
    "lxc.group",
    "lxc.init",
    "lxc.keyring.session",
    "lxc.mount.auto",
    "lxc.mount.entry",
    "lxc.no_new_privs",
    "lxc.prlimit",
    "lxc.proc",
    "lxc.pty.max",
    "lxc.sched.core",
    "lxc.signal",
    "lxc.start",
    "lxc.sysctl",
    "lxc.time",
    "lxc.tty.max",
    "lxc.tty.min",
    "lxc.uts.name",
)
"""Beginnings of names that are passed on."""


def parse(text: str) -> list[tuple[str, str]]:
    """The (key, value) lines; InvalidInput for one that is no setting, or not for users."""
    settings = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            raise InvalidInput(f"Invalid raw.lxc line: {line}")
        if any(ord(c) < 32 and c != "\t" for c in line.rstrip("\r")) or "\x7f" in line:
            raise InvalidInput(f"Invalid raw.lxc line: {line} (it has a control character)")
        _check(name.lower(), value)
        settings.append((name, value))
    return settings


def with_present_names(text: str) -> str:
    """The text with the addresses of nics named as liblxc has named them since 2.1; it reads no others."""
    return _OLD_NET.sub(lambda m: f"lxc.net.{m[1]}.ipv{m[2]}.{'gateway' if m[3] else 'address'}", text)


def _check(name: str, value: str) -> None:
    if name in _AS_SPECIFIED:
        raise InvalidInput(f"Setting {_AS_SPECIFIED[name]} is not allowed")
    if name in ("lxc.network", "lxc.net") or name.startswith(("lxc.network.", "lxc.net.")):
        if not _NET.fullmatch(name):
            raise InvalidInput("Only interface-specific ipv4/ipv6 lxc.network. keys are allowed")
        return
    if name == _COPYING:
        return
    for ours, advice in _OURS.items():
        if _begins(name, ours):
            raise InvalidInput(f"Setting {name} is not allowed: {advice}")
    if not (_CGROUP.fullmatch(name) or any(_begins(name, accepted) for accepted in _ACCEPTED)):
        raise InvalidInput(f"Setting {name} is not allowed: liblxc has no such key for containers")
    if name == "lxc.cap.drop" and value in ("", "none"):
        raise InvalidInput('Setting lxc.cap.drop to nothing is not allowed: use "security.privileged"')
    if name == "lxc.mount.auto" and not all(map(_AUTO.fullmatch, value.split())):
        raise InvalidInput(
            "Setting lxc.mount.auto is only allowed to proc:mixed, sys:ro, sys:mixed, cgroup[:ro|rw|mixed]"
        )
    if name.startswith("lxc.sysctl."):
        kernel_limits.check_sysctl(name.removeprefix("lxc.sysctl."))


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")
