"""What a container of plain liblxc becomes here: pure but for looking at the host's device nodes.

A setting is taken over, is what the daemon sees to itself, or is refused with the reason: nothing that
matters is lost in silence.
"""

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wardian.errors import InvalidInput
from wardian.model import architectures, raw_lxc
from wardian.model.idmap import IdMap, IdRange
from wardian.tools.lxc_settings import DISTRIBUTED, Setting

OWN = (
    "lxc.apparmor.allow_incomplete",
    "lxc.autodev",
    "lxc.cgroup.dir",
    "lxc.cgroup.relative",
    "lxc.console",
    "lxc.hook.clone",
    "lxc.hook.version",
    "lxc.kmsg",
    "lxc.log",
    "lxc.monitor",
    "lxc.mount.auto",
    "lxc.pivotdir",
    "lxc.pty",
    "lxc.rootfs.managed",
    "lxc.rootfs.mount",
    "lxc.tty",
    "lxc.uts.name",
)
"""Beginnings of keys that the daemon sees to."""
PASSED = (
    "lxc.cgroup",
    "lxc.cgroup2",
    "lxc.execute.cmd",
    "lxc.init",
    "lxc.keyring.session",
    "lxc.no_new_privs",
    "lxc.proc",
    "lxc.sched",
    "lxc.signal",
    "lxc.time",
)
"""Beginnings of keys that become lines of raw.lxc, as far as it takes them."""
RENAMED = {
    "lxc.start.delay": "boot.autostart.delay",
    "lxc.start.order": "boot.autostart.priority",
    "lxc.apparmor.raw": "raw.apparmor",
}
RENAMED_STARTS = {"lxc.prlimit.": "limits.kernel.", "lxc.sysctl.": "linux.sysctl."}
DROPPED = frozenset(("mac_admin", "mac_override", "sys_time", "sys_module", "sys_rawio"))
"""Capabilities that containers do not have anyway."""
PROFILES = ("", "generated", "lxc-container-default", "lxc-container-default-cgns", "unchanged")
NESTING = "lxc-container-default-with-nesting"
USUAL_MOUNTS = (
    *("proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"),
    *("debugfs", "securityfs", "pstore", "fusectl", "binfmt_misc", "tracefs"),
)
"""Kinds of file systems that the daemon mounts where they may be."""
USUAL_SOURCES = ("/proc", "/sys")
USUAL_HOOKS = "/usr/share/lxcfs/"
USUAL_NODES = re.compile(
    r"[bc] \*:\* m|c (?:1:[35789]|5:[012]|4:[01]|136:\*|254:0|10:(?:200|228|229|232)) rwm?"
)
"""Device rules of liblxc's own configuration files, old and new."""
NODE = re.compile(r"([bc]) ([0-9]+):([0-9]+) [rwm]+")
PERSONALITIES = {"x86": "i686", "linux32": "i686", "linux64": ""}
"""What liblxc also takes for an architecture; empty: the host's."""
NIC_TYPES = {"veth": "bridged", "macvlan": "macvlan", "phys": "physical"}
NIC_KEYS = {"name": "name", "link": "parent", "hwaddr": "hwaddr", "mtu": "mtu", "veth.pair": "host_name"}


@dataclass
class Conversion:
    """The container as it will be here."""

    name: str
    read: Callable[[str], str]
    """Text of a file that a setting names."""
    rootfs: str = ""
    architecture: str = ""
    """Empty: the host's."""
    ephemeral: bool = False
    config: dict[str, str] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    ranges: list[IdRange] = field(default_factory=list)
    """Its id map, which says whose the files are; empty: privileged."""
    notes: list[str] = field(default_factory=list)
    """What will be different."""
    refused: list[str] = field(default_factory=list)
    """Why it cannot be."""
    raw: list[str] = field(default_factory=list)
    nics: dict[str, dict[str, str]] = field(default_factory=dict)
    addresses: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def convert(name: str, settings: Sequence[Setting], read: Callable[[str], str]) -> Conversion:
    """The conversion of a container. read: text of a file that a setting names."""
    made = Conversion(name, read)
    for key, value in settings:
        try:
            _handler(key)(made, key, value)
        except InvalidInput as error:
            made.refused.append(f"{key} = {value}: {error}")
        except OSError as error:
            made.refused.append(f"{key} = {value}: {error.strerror}")
    _finish(made)
    return made


def _finish(made: Conversion) -> None:
    if not made.rootfs:
        made.refused.append("lxc.rootfs.path is not set")
    try:
        IdMap.checked(made.ranges)
    except InvalidInput as error:
        made.refused.append(f"lxc.idmap: {error}")
    if not made.ranges:
        made.config["security.privileged"] = "true"
    if more := sorted(set(made.dropped) - DROPPED):
        made.raw.append(f"lxc.cap.drop = {' '.join(more)}")
    _finish_nics(made)
    for line in made.raw:
        try:
            raw_lxc.parse(line)
        except InvalidInput as error:
            made.refused.append(f"{line}: {error}")
    if made.raw:
        made.config["raw.lxc"] = "\n".join(made.raw)


def _finish_nics(made: Conversion) -> None:
    """Interfaces in their order; `none` where a profile's eth0 would come in though there was none."""
    number = 0
    for key in sorted(made.nics, key=int):
        nic = made.nics[key]
        kind = nic.pop("type", "")
        if kind in ("empty", ""):
            continue
        if kind not in NIC_TYPES:
            what = "the network of the host" if kind == "none" else "interfaces of this kind"
            made.refused.append(f"lxc.net.{key}.type = {kind}: containers cannot have {what}")
            continue
        nictype = "p2p" if kind == "veth" and "parent" not in nic else NIC_TYPES[kind]
        made.devices[f"eth{number}"] = {"type": "nic", "nictype": nictype, **nic}
        made.raw += [f"lxc.net.{number}.{rest} = {value}" for rest, value in made.addresses.get(key, [])]
        number += 1
    if not number:
        made.devices["eth0"] = {"type": "none"}


# --- one kind of setting each ------------------------------------------------------------------

Handler = Callable[[Conversion, str, str], None]


def _handler(key: str) -> Handler:
    if key in HANDLERS:
        return HANDLERS[key]
    for start, handler in STARTS:
        if key == start or key.startswith(f"{start.rstrip('.')}."):
            return handler
    return _unknown


def _unknown(made: Conversion, key: str, value: str) -> None:
    raise InvalidInput("there is nothing like it here")


def _own(made: Conversion, key: str, value: str) -> None:
    pass


def _pass(made: Conversion, key: str, value: str) -> None:
    if value:
        made.raw.append(f"{key} = {value}")


def _rename(made: Conversion, key: str, value: str) -> None:
    if key in RENAMED:
        new = RENAMED[key]
    else:
        start = next(start for start in RENAMED_STARTS if key.startswith(start))
        new = RENAMED_STARTS[start] + key.removeprefix(start)
    lines = [made.config[new]] if new == "raw.apparmor" and new in made.config else []
    if value:
        made.config[new] = "\n".join([*lines, value])


def _rootfs(made: Conversion, key: str, value: str) -> None:
    backend, colon, path = value.partition(":")
    if not colon or "/" in backend:
        backend, path = "dir", value
    made.rootfs = path
    if backend not in ("dir", "btrfs"):
        raise InvalidInput("only root file systems that are folders can be imported")


def _rootfs_options(made: Conversion, key: str, value: str) -> None:
    if set(value.split(",")) - {"", "rw", "defaults", "idmap=container"}:
        raise InvalidInput("mount options of the root file system have no counterpart")


def _architecture(made: Conversion, key: str, value: str) -> None:
    name = PERSONALITIES.get(value, value)
    made.architecture = architectures.canonical(name) if name else ""


def _idmap(made: Conversion, key: str, value: str) -> None:
    if not value:
        made.ranges.clear()
        return
    fields = value.split()
    kinds = {"u": ("uid",), "g": ("gid",), "b": ("uid", "gid")}
    if (
        len(fields) != 4
        or fields[0] not in kinds
        or not all(f.isascii() and f.isdigit() for f in fields[1:])
    ):
        raise InvalidInput("it is written as in `u 0 100000 65536`")
    inside, outside, count = (int(text[:20]) for text in fields[1:])
    made.ranges += [
        IdRange("uid" if kind == "uid" else "gid", inside, outside, count) for kind in kinds[fields[0]]
    ]


def _environment(made: Conversion, key: str, value: str) -> None:
    name, equals, content = value.partition("=")
    if not equals:
        raise InvalidInput("a variable needs a value; that of the host's is not taken over")
    made.config[f"environment.{name}"] = content


def _autostart(made: Conversion, key: str, value: str) -> None:
    if value == "1":
        made.config["boot.autostart"] = "true"


def _group(made: Conversion, key: str, value: str) -> None:
    if value:
        made.notes.append(f"{key} = {value}: there are no groups; boot.autostart.priority orders the start")


def _ephemeral(made: Conversion, key: str, value: str) -> None:
    made.ephemeral = value == "1"


def _apparmor(made: Conversion, key: str, value: str) -> None:
    if value == NESTING:
        made.config["security.nesting"] = "true"
    elif value == "unconfined":
        made.notes.append(f"{key} = {value}: the daemon confines it")
    elif value not in PROFILES:
        raise InvalidInput("the daemon makes the profile; put the rules into raw.apparmor afterwards")


def _nesting(made: Conversion, key: str, value: str) -> None:
    if key == "lxc.include" or value == "1":
        made.config["security.nesting"] = "true"


def _seccomp(made: Conversion, key: str, value: str) -> None:
    """Instead of liblxc's own policy, or none, there is the daemon's."""
    if value and not value.startswith(f"{DISTRIBUTED}/"):
        made.config["raw.seccomp"] = made.read(value)


def _selinux(made: Conversion, key: str, value: str) -> None:
    if value:
        raise InvalidInput("the daemon does not use SELinux")


def _drop(made: Conversion, key: str, value: str) -> None:
    if not value:
        made.dropped.clear()
    made.dropped += value.split()


def _keep(made: Conversion, key: str, value: str) -> None:
    if value:
        raise InvalidInput("only lxc.cap.drop can be taken over")


def _hook(made: Conversion, key: str, value: str) -> None:
    if value and not value.startswith(USUAL_HOOKS):
        raise InvalidInput("programs that run as root of the host have no counterpart")


def _node_rule(made: Conversion, key: str, value: str) -> None:
    if not value or USUAL_NODES.fullmatch(value) or (key.endswith(".deny") and value == "a"):
        return
    match = NODE.fullmatch(value)
    if match is None or key.endswith("deny"):
        raise InvalidInput("only single device nodes can be taken over")
    is_kind, kind = (stat.S_ISCHR, "char") if match[1] == "c" else (stat.S_ISBLK, "block")
    path = _node(is_kind, os.makedev(int(match[2]), int(match[3])))
    made.devices[_free(made, os.path.basename(path))] = {"type": f"unix-{kind}", "path": path}


def _node(is_kind: Callable[[int], bool], number: int) -> str:
    for folder, _, files in os.walk("/dev"):
        for file in files:
            found = os.lstat(path := os.path.join(folder, file))
            if is_kind(found.st_mode) and found.st_rdev == number:
                return path
    raise InvalidInput("the host has no such device")


def _memory(made: Conversion, key: str, value: str) -> None:
    if value in ("", "-1", "max"):
        return
    match = re.fullmatch("([0-9]{1,18})([KMGT]?)", value.upper())
    if match is None:
        raise InvalidInput("it is no size")
    made.config["limits.memory"] = f"{match[1]}{match[2]}B" if match[2] else match[1]


def _cpus(made: Conversion, key: str, value: str) -> None:
    made.config["limits.cpu"] = f"{value}-{value}" if value.isdigit() else value


def _processes(made: Conversion, key: str, value: str) -> None:
    if value != "max":
        made.config["limits.processes"] = value


def _nic(made: Conversion, key: str, value: str) -> None:
    _, _, number, rest = key.split(".", 3)
    nic = made.nics.setdefault(number, {})
    if rest == "type":
        nic["type"] = value
    elif rest in NIC_KEYS:
        if value and not (rest == "hwaddr" and "x" in value.lower()):  # x: chosen at each start
            nic[NIC_KEYS[rest]] = value
    elif rest in ("ipv4.address", "ipv6.address", "ipv4.gateway", "ipv6.gateway"):
        made.addresses.setdefault(number, []).append((rest, value))
    elif rest == "macvlan.mode":
        if value != "bridge":
            raise InvalidInput("macvlan has the mode bridge here")
    elif rest == "veth.mode":
        if value != "bridge":
            raise InvalidInput('use a device with "nictype: routed" afterwards')
    elif rest == "flags":
        if value != "up":
            made.notes.append(f"{key} = {value}: interfaces are always up")
    else:
        raise InvalidInput("there is nothing like it here")


def _mount(made: Conversion, key: str, value: str) -> None:
    if not value:
        made.devices = {k: d for k, d in made.devices.items() if d["type"] != "disk"}
        return
    fields = [field.replace(r"\040", " ").replace(r"\011", "\t") for field in value.split()]
    if len(fields) < 4:
        raise InvalidInput("it has fewer than four fields")
    source, target, kind, options = fields[0], fields[1], fields[2], set(fields[3].split(","))
    if kind in USUAL_MOUNTS or any(source == s or source.startswith(f"{s}/") for s in USUAL_SOURCES):
        return
    if made.rootfs and target.startswith(f"{made.rootfs}/"):
        target = target.removeprefix(made.rootfs)
    path = os.path.normpath("/" + target.lstrip("/"))
    if path == "/dev/shm" and kind == "tmpfs":
        return
    if kind == "tmpfs" or not source.startswith("/"):
        made.raw.append(f"{key} = {value}")
        return
    disk = {"type": "disk", "source": source, "path": path}
    disk |= {"readonly": "true"} if "ro" in options else {}
    disk |= {"optional": "true"} if "optional" in options else {}
    disk |= {"recursive": "true"} if "rbind" in options else {}
    made.devices[_free(made, path.strip("/").replace("/", "-"))] = disk
    if made.ranges and not {"ro"} & options:
        made.notes.append(f"{source} on {path}: its files keep their owners; see `shift` of disk devices")


def _mounts(made: Conversion, key: str, value: str) -> None:
    lines = (line.strip() for line in made.read(value).splitlines()) if value else ()
    for line in lines:
        if line and not line.startswith("#"):
            _mount(made, "lxc.mount.entry", line)


def _free(made: Conversion, wanted: str) -> str:
    plain = re.sub("[^A-Za-z0-9._-]", "-", wanted)[:50] or "device"
    numbered = (f"{plain}-{number}" for number in range(2, 10_000))
    return next(name for name in (plain, *numbered) if name not in made.devices)


HANDLERS: dict[str, Handler] = {
    "lxc.arch": _architecture,
    "lxc.rootfs.path": _rootfs,
    "lxc.rootfs.options": _rootfs_options,
    "lxc.idmap": _idmap,
    "lxc.environment": _environment,
    "lxc.ephemeral": _ephemeral,
    "lxc.start.auto": _autostart,
    "lxc.start.unshare": _own,
    "lxc.group": _group,
    "lxc.apparmor.profile": _apparmor,
    "lxc.apparmor.allow_nesting": _nesting,
    "lxc.include": _nesting,
    "lxc.seccomp.profile": _seccomp,
    "lxc.seccomp.allow_nesting": _own,
    "lxc.cap.drop": _drop,
    "lxc.cap.keep": _keep,
    "lxc.mount.entry": _mount,
    "lxc.mount.fstab": _mounts,
    "lxc.cgroup.memory.limit_in_bytes": _memory,
    "lxc.cgroup2.memory.max": _memory,
    "lxc.cgroup.cpuset.cpus": _cpus,
    "lxc.cgroup2.cpuset.cpus": _cpus,
    "lxc.cgroup.pids.max": _processes,
    "lxc.cgroup2.pids.max": _processes,
    **dict.fromkeys(RENAMED, _rename),
}
STARTS: tuple[tuple[str, Handler], ...] = (
    ("lxc.cgroup.devices", _node_rule),
    ("lxc.cgroup2.devices", _node_rule),
    ("lxc.net", _nic),
    ("lxc.selinux", _selinux),
    *((start, _own) for start in OWN),
    ("lxc.hook", _hook),
    *((start, _rename) for start in RENAMED_STARTS),
    *((start, _pass) for start in PASSED),
)
"""Beginnings of keys; the first that fits counts."""
