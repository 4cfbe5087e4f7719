"""The configuration file of a container of plain liblxc (lxc.container.conf(5)), old and new names."""

import re
from pathlib import Path

from wardian.errors import InvalidInput

Setting = tuple[str, str]
"""A key, by its present name, and its value; "" takes back what came before."""

DISTRIBUTED = Path("/usr/share/lxc/config")
"""What liblxc itself brings, which says how containers are confined: here the daemon does that."""
DEEPEST = 10
CONFIG_BYTES = 1024 * 1024

RENAMED = {
    "lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete",
    "lxc.aa_profile": "lxc.apparmor.profile",
    "lxc.console": "lxc.console.path",
    "lxc.devttydir": "lxc.tty.dir",
    "lxc.haltsignal": "lxc.signal.halt",
    "lxc.id_map": "lxc.idmap",
    "lxc.init_cmd": "lxc.init.cmd",
    "lxc.init_gid": "lxc.init.gid",
    "lxc.init_uid": "lxc.init.uid",
    "lxc.logfile": "lxc.log.file",
    "lxc.loglevel": "lxc.log.level",
    "lxc.mount": "lxc.mount.fstab",
    "lxc.pts": "lxc.pty.max",
    "lxc.rebootsignal": "lxc.signal.reboot",
    "lxc.rootfs": "lxc.rootfs.path",
    "lxc.se_context": "lxc.selinux.context",
    "lxc.seccomp": "lxc.seccomp.profile",
    "lxc.stopsignal": "lxc.signal.stop",
    "lxc.syslog": "lxc.log.syslog",
    "lxc.tty": "lxc.tty.max",
    "lxc.utsname": "lxc.uts.name",
}
"""Names of liblxc 1 and 2.0 -> present ones."""
RENAMED_STARTS = {"lxc.limit.": "lxc.prlimit.", "lxc.network.": "lxc.net."}
_INDEXED = re.compile(r"lxc\.net\.[0-9]+\..*")


def read(path: Path) -> list[Setting]:
    """The settings of a file and of what it includes, in order. InvalidInput naming a line, OSError.

    Of what liblxc brings, only that nesting is wanted is told: as `lxc.include` of that file.
    """
    found: list[Setting] = []
    _read(path, found, 0)
    return _numbered(found)


def _read(path: Path, found: list[Setting], depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidInput(f'"{path}" is included too deeply')
    with open(path, errors="surrogateescape") as file:
        text = file.read(CONFIG_BYTES + 1)
    if len(text) > CONFIG_BYTES:
        raise InvalidInput(f'"{path}" is larger than 1 MiB')
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not key.startswith("lxc."):
            raise InvalidInput(f'"{path}" line {number} is no setting of liblxc')
        value = _unquoted(value)
        if key == "lxc.include":
            _include(Path(value), found, depth)
        else:
            found.append((key, value))


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _include(place: Path, found: list[Setting], depth: int) -> None:
    if place.is_relative_to(DISTRIBUTED):
        if place.name == "nesting.conf":
            found.append(("lxc.include", str(place)))
        return
    files = sorted(place.glob("*.conf")) if place.is_dir() else [place]
    for file in files:
        _read(file, found, depth + 1)


def _numbered(found: list[Setting]) -> list[Setting]:
    """By present names; an old interface begins with its type, and has no number."""
    backend, number, settings = "", -1, []
    for key, value in found:
        key = RENAMED.get(key, key)
        for start, present in RENAMED_STARTS.items():
            if key.startswith(start):
                key = present + key.removeprefix(start)
        if key.startswith("lxc.net.") and not _INDEXED.fullmatch(key):
            number += key == "lxc.net.type"
            key = f"lxc.net.{number}.{key.removeprefix('lxc.net.')}"
        if key.endswith((".ipv4", ".ipv6")) and key.startswith("lxc.net."):
            key += ".address"
        if key == "lxc.rootfs.backend":
            backend = value
        else:
            settings.append((key, value))
    if backend:
        return [(k, f"{backend}:{v}" if k == "lxc.rootfs.path" else v) for k, v in settings]
    return settings
