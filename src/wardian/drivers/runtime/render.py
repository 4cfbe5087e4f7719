"""The text of a container's liblxc configuration, from a StartPlan. Pure; golden tests.

Source of the keys: lxc.container.conf(5) and spec/behaviour.md section 9. The whole configuration
is written here; the distribution's common.conf is not included: the lxcfs reboot hook that it
pulls in sleeps half a second at every stop.

Rule: no value can add a line. Everything goes through `_line`, which refuses control characters.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wardian.drivers.runtime import services
from wardian.errors import InvalidInput
from wardian.model import architectures, kernel_limits, raw_lxc
from wardian.model.nics import GATEWAYS, family, whole
from wardian.model.plans import Mount, Nic
from wardian.ports.runtime import StartPlan

PRIVILEGED_DROPPED = "sys_time sys_module sys_rawio mac_admin mac_override"
"""Capabilities (capabilities(7)) that a privileged container never gets. An unprivileged one keeps
all: they hold only inside its user namespace."""

DEVICES = (
    "b *:* m",
    "c *:* m",
    "c 136:* rwm",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 10:229 rwm",
    "c 10:200 rwm",
)

HOST_FILES = ("/dev/fuse", "/dev/net/tun")
MQUEUE = "/dev/mqueue"
HOST_FOLDERS = (
    "/proc/sys/fs/binfmt_misc",
    "/sys/firmware/efi/efivars",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/kernel/debug",
    "/sys/kernel/security",
)

HOST_SOURCES = (MQUEUE, *HOST_FILES, *HOST_FOLDERS)
"""What is shown to containers where the host has it."""

CONSOLE_LOG_SIZE = "1MB"

READ_BY_LIBRARIES = re.compile(
    r"(LD|MALLOC|GCONV|GLIBC|OPENSSL|SSL|LXC|DBUS|SYSTEMD|LISTEN)_.*|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN"
    r"|LOCPATH|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS|TMPDIR|TZ|TZDIR|LANG|LANGUAGE|LC_.*"
)
"""Variables that the loader, the C library (what they ignore in set-user-ID programs, ld.so(8)) and the
libraries of liblxc's programs read themselves: meant for a container, they must not reach those."""


@dataclass(frozen=True)
class Surroundings:
    """What the text depends on besides the plan: this host and this daemon."""

    log_folder: Path
    seccomp_profile: Path
    start_hook: str
    """Command that liblxc runs when init is about to start."""
    end_hook: str = ""
    """Command that liblxc runs when a container that was restored has ended."""
    apparmor_profile: str = "unchanged"
    present: frozenset[str] = frozenset()
    """Which of HOST_SOURCES exist."""
    units: Path = Path()
    """What systemd reads in containers whose memory is to be saved (services.write)."""
    lxcfs: tuple[str, ...] = ()
    """Files below /var/lib/lxcfs to lay over the container's /proc and /sys, relative paths."""
    guards_devices: bool = True
    """False in a container, whose root may not say which devices are used."""


def container_config(plan: StartPlan, around: Surroundings, *, restored: bool = False) -> str:
    """The whole configuration file.

    restored: for a container that is restored from its state, to which its console and its interfaces
    are given by others than liblxc.
    """
    return "".join(_lines(plan, around, restored=restored)) + _raw(plan.raw)


def _line(key: str, value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in key + value):
        raise InvalidInput(f'the value of "{key}" contains a control character')
    return f"{key} = {value}\n"


def _raw(text: str) -> str:
    text = raw_lxc.with_present_names(text)
    return text if not text or text.endswith("\n") else text + "\n"


def _lines(plan: StartPlan, around: Surroundings, *, restored: bool) -> Iterator[str]:
    privileged = not plan.idmap.ranges
    if restored:
        yield _line("lxc.console.path", "none")
    else:
        yield _line("lxc.console.logfile", str(around.log_folder / "console.log"))
        yield _line("lxc.console.size", CONSOLE_LOG_SIZE)
        yield _line("lxc.console.rotate", "1")
    yield _line("lxc.uts.name", plan.name)
    yield _line("lxc.arch", architectures.find(plan.architecture).personality)
    yield _line("lxc.autodev", "1")
    yield _line("lxc.pty.max", "1024")
    yield _line("lxc.tty.max", "0")
    yield _line("lxc.hook.version", "1")
    if restored:
        yield _line("lxc.hook.post-stop", around.end_hook)
    else:
        yield _line("lxc.hook.start-host", around.start_hook)
    yield from _rootfs(plan)
    # liblxc would tell CRIU of a profile even where the kernel has none.
    if not restored or around.apparmor_profile != "unchanged":
        yield _line("lxc.apparmor.profile", around.apparmor_profile)
    yield from _confinement(plan, around, privileged=privileged)
    yield from _mounts(plan, around, privileged=privileged)
    yield from _network([] if restored else (nic for device in plan.devices for nic in device.nics))
    for name, value in sorted(_environment(plan).items()):
        yield _line("lxc.environment", f"{name}={value}")
    for name, bounds in sorted(plan.kernel_limits.items()):
        yield _line(f"lxc.prlimit.{name}", kernel_limits.render_limit(bounds))
    for name, value in sorted(plan.sysctls.items()):
        yield _line(f"lxc.sysctl.{name}", value)
    for key, value in plan.settings:
        yield _line(key, value)


def _environment(plan: StartPlan) -> Mapping[str, str]:
    """The variables of init."""
    given = plan.environment
    if not plan.stateful:
        return given
    units = f"/{services.PLACE}:{given.get(services.PATH, '')}"
    return {**given, services.PATH: units, services.PRESSURE: "/dev/null"}


def _rootfs(plan: StartPlan) -> Iterator[str]:
    yield _line("lxc.rootfs.path", f"dir:{plan.rootfs}")
    options = [] if plan.shifted or not plan.idmap.ranges else ["idmap=container"]
    # Nobody could make one inside; files that came from elsewhere, or from a privileged time, may have some.
    options += ["nodev"] if plan.idmap.ranges else []
    options += ["ro"] if plan.read_only else []

    if options:
        yield _line("lxc.rootfs.options", ",".join(options))
    for entry in plan.idmap.ranges:
        yield _line("lxc.idmap", f"{entry.kind[0]} {entry.container_id} {entry.host_id} {entry.count}")


def _confinement(plan: StartPlan, around: Surroundings, *, privileged: bool) -> Iterator[str]:
    yield _line("lxc.seccomp.profile", str(around.seccomp_profile))
    # On top of the policy that we run under ourselves, if we are in a container.
    yield _line("lxc.seccomp.allow_nesting", "1")
    if privileged:
        yield _line("lxc.cap.drop", PRIVILEGED_DROPPED)
    # Also for unprivileged containers: their root cannot make device nodes, but can use those that came
    # with a copy, an image or a snapshot of a time when the container was privileged.
    if around.guards_devices:
        for prefix in ("lxc.cgroup.devices", "lxc.cgroup2.devices"):
            yield _line(f"{prefix}.deny", "a")
            for rule in DEVICES:
                yield _line(f"{prefix}.allow", rule)


def _mounts(plan: StartPlan, around: Surroundings, *, privileged: bool) -> Iterator[str]:
    yield _line("lxc.mount.auto", "proc:mixed sys:mixed" if privileged else "proc:rw sys:rw")
    for path in HOST_FILES:
        if path in around.present:
            yield _line("lxc.mount.entry", f"{path} {path[1:]} none bind,create=file,optional 0 0")
    for path in HOST_FOLDERS:
        if path in around.present:
            yield _line("lxc.mount.entry", f"{path} {path[1:]} none rbind,create=dir,optional 0 0")
    if privileged:
        yield _line("lxc.mount.entry", "mqueue dev/mqueue mqueue rw,relatime,create=dir,optional 0 0")
    elif MQUEUE in around.present:  # liblxc logs an error even for an optional source that is missing
        yield _line("lxc.mount.entry", f"{MQUEUE} {MQUEUE[1:]} none rbind,create=dir,optional 0 0")
    if plan.confinement.nesting:
        yield _line("lxc.mount.entry", "proc dev/.lxc/proc proc create=dir,optional 0 0")
        yield _line("lxc.mount.entry", "sys dev/.lxc/sys sysfs create=dir,optional 0 0")
    if plan.stateful:
        options = "bind,ro,nosuid,nodev,noexec,create=dir"
        yield _line("lxc.mount.entry", f"{_escape(str(around.units))} {services.PLACE} none {options} 0 0")
    for path in around.lxcfs:
        yield _line("lxc.mount.entry", f"/var/lib/lxcfs/{path} {path} none bind,optional 0 0")
    mounts = [mount for device in plan.devices for mount in device.mounts]
    for mount in sorted(mounts, key=lambda m: m.target):  # parents before children
        yield _line("lxc.mount.entry", mount_entry(mount))


def split_environment(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(those that a program of liblxc may have itself, those it must only pass on)."""
    given = {n: v for n, v in variables.items() if READ_BY_LIBRARIES.fullmatch(n)}
    return {n: v for n, v in variables.items() if n not in given}, given


def mount_entry(mount: Mount) -> str:
    """The fstab(5)-like line that binds what is ready at the mount's place; escaped as there.

    Nothing can be created in the kernel's own file systems: what the container's kernel lacks there,
    like the settings of AppArmor that the profile "docker" covers, has nothing to be covered.
    """
    create = "create=dir" if mount.is_folder else "create=file"
    is_kernels = mount.target.startswith(("proc/", "sys/"))
    options = ["rbind" if mount.recursive else "bind", "optional" if is_kernels else create]
    return f"{_escape(mount.place)} {_escape(mount.target)} none {','.join(options)} 0 0"


def _escape(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("#", "\\043")


def _addresses(key: str, nic: Nic) -> Iterator[str]:
    for address in nic.addresses:
        yield _line(f"{key}.ipv{family(address)}.address", whole(address))
    for version in sorted({family(address) for address in nic.addresses}):
        yield _line(f"{key}.ipv{version}.gateway", GATEWAYS[version])


def _network(nics: Iterable[Nic]) -> Iterator[str]:
    number = -1
    for number, nic in enumerate(nics):
        key = f"lxc.net.{number}"
        yield _line(f"{key}.type", {"physical": "phys", "macvlan": "macvlan"}.get(nic.kind, "veth"))
        yield _line(f"{key}.flags", "up")
        yield _line(f"{key}.name", nic.name)
        if nic.parent and nic.kind not in ("p2p", "routed"):
            yield _line(f"{key}.link", nic.parent)
        if nic.kind == "macvlan":
            yield _line(f"{key}.macvlan.mode", "bridge")
        if nic.host_name and nic.kind in ("bridged", "p2p", "routed"):
            yield _line(f"{key}.veth.pair", nic.host_name)
        if nic.hwaddr and nic.kind != "physical":
            yield _line(f"{key}.hwaddr", nic.hwaddr)
        if nic.mtu:
            yield _line(f"{key}.mtu", nic.mtu)
        yield from _addresses(key, nic)
    if number < 0:
        yield _line("lxc.net.0.type", "empty")
