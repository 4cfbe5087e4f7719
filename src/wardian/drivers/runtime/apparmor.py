"""The AppArmor profile of a container: its text, and how the kernel gets it (behaviour.md 18.2).

The text is a pure function. Rules that deny writes to a tree except for some of its parts are made
from a table (`_all_but`), since AppArmor's patterns have no "except".
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from wardian.errors import HostFailed
from wardian.linux import process
from wardian.linux.files import write_private
from wardian.model.confinement import Confinement, parse_raw_apparmor

log = logging.getLogger(__name__)

ENABLED = Path("/sys/module/apparmor/parameters/enabled")
SECURITY = Path("/sys/kernel/security")
"""Where securityfs is mounted, by which the kernel takes profiles."""
CURRENT = Path("/proc/self/attr/current")
UNCONFINED = ("aa-exec", "--profile=unconfined", "--")
"""The profile that the distribution ships for lxc-start lets it change to profiles named `lxc-...` only."""

_PLAIN_FOLDER = re.compile(r"[A-Za-z0-9_./-]{1,150}")
"""Another name of the daemon's folder is hashed: a profile's name has at most 255 plain characters."""

_FILE_SYSTEMS = ("tmpfs", "hugetlbfs", "mqueue", "fuse", "fuse.*")
_MOUNTED_AT = {
    "binfmt_misc": "/proc/sys/fs/binfmt_misc/",
    "efivarfs": "/sys/firmware/efi/efivars/",
    "fusectl": "/sys/fs/fuse/connections/",
    "securityfs": "/sys/kernel/security/",
    "debugfs": "/sys/kernel/debug/",
    "proc": "/proc/",
    "sysfs": "/sys/",
    "cgroup": "/sys/fs/cgroup/**",
    "cgroup2": "/sys/fs/cgroup/**",
}
_NEVER = (
    "/proc/kcore",
    "/proc/sysrq-trigger",
    "/sys/firmware/efi/efivars/**",
    "/sys/kernel/debug/**",
    "/sys/kernel/security/**",
)
_PROPAGATIONS = ("slave", "rslave", "shared", "rshared", "private", "rprivate", "unbindable", "runbindable")

_WRITABLE_SYSCTLS = (
    "kernel/domainname",
    "kernel/hostname",
    "kernel/msg*",
    "kernel/sem*",
    "kernel/shm*",
    "net/**",
)
_WRITABLE_SYS = ("class/net/**", "devices/virtual/net/**", "fs/cgroup/**")


def profile_name(container: str, folder: str) -> str:
    """The name of the profile in the kernel: `lxd-NAME_<LXD_DIR>`."""
    if not _PLAIN_FOLDER.fullmatch(folder):
        folder = hashlib.sha256(folder.encode()).hexdigest()
    return f"lxd-{container}_<{folder}>"


def profile_text(name: str, confinement: Confinement) -> str:
    """The whole profile, as apparmor_parser(8) reads it."""
    lines = list(_rules(name, confinement))
    if confinement.apparmor:
        raw = parse_raw_apparmor(confinement.apparmor).rstrip("\n")
        lines += ["", "### raw.apparmor", *raw.split("\n")]
    body = "".join(f"  {line}\n" if line else "\n" for line in lines)
    head = "#include <tunables/global>\n"
    return f'{head}profile "{name}" flags=(attach_disconnected,mediate_deleted) {{\n{body}}}\n'


def _rules(name: str, confinement: Confinement) -> Iterator[str]:
    yield "### What every program may do"
    yield from ("capability,", "dbus,", "file,", "network,", "umount,", "unix,")
    yield "signal (receive),"
    yield f'signal peer="{name}",'
    yield "ptrace (readby),"
    yield "ptrace (tracedby),"
    yield f'ptrace peer="{name}",'
    yield ""
    yield "### Mounts"
    yield from (f"mount fstype={kind}," for kind in _FILE_SYSTEMS)
    yield from (f"mount fstype={kind} -> {place}," for kind, place in _MOUNTED_AT.items())
    yield "mount options=(rw,nosuid,nodev,noexec,remount) -> /sys/,"
    yield "mount options=(ro,nosuid,nodev,noexec,remount,strictatime) -> /sys/fs/cgroup/,"
    yield "deny mount options=(ro,remount) -> /,"
    yield from (f"mount options=(rw,{kind})," for kind in _PROPAGATIONS)
    if confinement.privileged and not confinement.nesting:
        yield from (
            f"mount options=(rw,{kind}) {tree}**," for kind in ("bind", "move") for tree in _bindable()
        )
    else:
        # What a user namespace lets its root mount does no harm, and systemd confines its own
        # services with such mounts; a nesting container needs all of them.
        yield from ("pivot_root,", "mount,")
    if confinement.nesting:
        yield ""
        yield "### Containers inside"
        yield from ("ptrace,", "signal,")
        yield from ("deny /dev/.lxc/proc/** rw,", "deny /dev/.lxc/sys/** rw,")
        yield f'change_profile -> "{name}",'
    yield ""
    yield "### What belongs to the host"
    yield from (f"deny {path} rwklx," for path in _NEVER)
    yield "deny /proc/bus/** wklx,"
    yield from (f"deny {path} wklx," for path in _all_but("/proc/sys/", _WRITABLE_SYSCTLS))
    yield from (f"deny {path} wklx," for path in _all_but("/sys/", _WRITABLE_SYS))


def _bindable() -> Iterator[str]:
    """Every folder at the top but /proc, /sys and /dev."""
    yield from ("/" + name for name in _others(("proc", "sys", "dev")))


def _all_but(root: str, kept: Iterable[str]) -> list[str]:
    """Patterns that match all files below a folder but those that the patterns of `kept` match.

    kept: relative; a `*` or `**` ends one.
    """
    tree: dict[str, list[str]] = {}
    for pattern in kept:
        head, _, rest = pattern.partition("/")
        tree.setdefault(head, []).append(rest)
    whole = {head for head, rests in tree.items() if rests == ["**"] or rests == [""]}
    exact = [head for head in tree if not head.endswith("*")]
    others = [*_others(head.rstrip("*") for head in tree), *(f"{head}?*" for head in sorted(exact))]
    patterns = [f"{root}{other}{{,/**}}" for other in others]
    for head in sorted(tree.keys() - whole):
        patterns += _all_but(f"{root}{head}/", tree[head])
    return patterns


def _others(names: Iterable[str]) -> list[str]:
    """Patterns of all names but these and what begins with one of them."""
    present = sorted(set(names))
    patterns = []
    prefixes = sorted({name[:length] for name in present for length in range(len(name))})
    for prefix in prefixes:
        following = sorted(
            {name[len(prefix)] for name in present if name.startswith(prefix) and name != prefix}
        )
        patterns.append(f"{prefix}[^{''.join(following)}/]*")
        if prefix and prefix not in present:
            patterns.append(prefix)
    return patterns


class AppArmor:
    """Profiles of one daemon's containers in the kernel, if it takes any.

    A kernel without AppArmor takes none, nor does one that confines this daemon itself (as in a
    container). LXD_SECURITY_APPARMOR=false leaves it out.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """folder: `security/apparmor` below the daemon's folder, which is `root`."""
        self._profiles = folder / "profiles"
        self._cache = folder / "cache"
        self._root = root
        self._is_on = is_usable()
        self.launcher = UNCONFINED if self._is_on else ()
        """Begins the command line of what starts a container."""

    def name_for(self, container: str) -> str:
        """What `lxc.apparmor.profile` is to be."""
        return profile_name(container, str(self._root)) if self._is_on else "unchanged"

    async def load(self, container: str, confinement: Confinement) -> None:
        """Have the kernel know the profile; what runs under it follows at once. HostFailed if it is wrong.

        The text stays as it was if the parser refuses the new one.
        """
        if not self._is_on:
            return
        if not (SECURITY / "apparmor").is_dir():
            raise HostFailed(
                f'cannot load the AppArmor profile of container "{container}": securityfs is not mounted; '
                f"type: mount -t securityfs none {SECURITY}"
            )
        self._profiles.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, new = self._file(container), self._profiles / f".tmp-{container}"
        write_private(new, profile_text(self.name_for(container), confinement))
        try:
            what = f'load the AppArmor profile of container "{container}"'
            await process.check(what, self._parser("--replace", new))
            new.rename(path)
        finally:
            new.unlink(missing_ok=True)

    async def unload(self, container: str) -> None:
        """Have the kernel forget it; harmless if it does not know it."""
        path = self._file(container)
        if self._is_on and path.exists():
            completed = await process.run(self._parser("--remove", path))
            if completed.status:
                log.warning('AppArmor profile of "%s": %s', container, process.last_words(completed))

    def forget(self, container: str) -> None:
        """Remove the text of a container that is deleted."""
        self._file(container).unlink(missing_ok=True)

    def _file(self, container: str) -> Path:
        return self._profiles / f"lxd-{container}"

    def _parser(self, action: str, path: Path) -> list[str]:
        return ["apparmor_parser", action, "--write-cache", "--cache-loc", str(self._cache), str(path)]


def is_usable() -> bool:
    """Whether the kernel takes profiles from us."""
    if os.environ.get("LXD_SECURITY_APPARMOR", "").lower() in ("false", "0", "no", "off"):
        return False
    try:
        enabled = ENABLED.read_text().strip() == "Y"
        ours = CURRENT.read_text().rstrip("\0\n ") if enabled else ""
    except OSError:
        return False
    if enabled and shutil.which("apparmor_parser") is None:
        log.warning(
            "AppArmor does not confine containers: apparmor_parser is not installed (package apparmor)"
        )
        return False
    return enabled and ours == "unconfined"
