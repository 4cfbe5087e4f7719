"""The seccomp policy of a container, in liblxc's format 2 (lxc.container.conf(5); behaviour.md 18.3).

Pure text from the merged configuration. liblxc reads it from a file of its own, so that the lines
which users give in `raw.seccomp` and `security.syscalls.*` can only ever be lines of the policy.
"""

import re
from collections.abc import Mapping

from wardian.errors import InvalidInput
from wardian.model import units

REFUSED = ("kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module")
"""Calls that reach the host's kernel or other mounts' files whatever the namespaces."""

FORCED_UMOUNT = "reject_force_umount"
"""liblxc's own word for umount2(2) with MNT_FORCE."""

RAW = "raw.seccomp"
DENY = "security.syscalls.deny"
DENY_DEFAULT = "security.syscalls.deny_default"
ALLOW = "security.syscalls.allow"
OLD_NAMES = {
    DENY: "security.syscalls.blacklist",
    DENY_DEFAULT: "security.syscalls.blacklist_default",
    ALLOW: "security.syscalls.whitelist",
}
"""What earlier releases call these keys; both names are accepted."""

KEYS = (RAW, *OLD_NAMES, *OLD_NAMES.values())
"""Every key that the policy depends on."""

_CALL = re.compile(
    r"[a-z_][a-z0-9_]*(?: +(?:errno +[0-9]{1,4}|kill|trap|allow|log))?(?: +\[[0-9A-Za-z_,]+\])*"
)
_SECTION = re.compile(r"\[[a-z0-9_]+\]")
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")


def parse_calls(text: str) -> list[str]:
    """The lines of `security.syscalls.*`: a call each, perhaps with an action, or a section `[arch]`."""
    lines = [line.strip(" \t") for line in text.split("\n")]
    for line in filter(None, lines):
        if not (_CALL.fullmatch(line) or _SECTION.fullmatch(line)):
            raise InvalidInput(
                f"Invalid value: {line} (lines are `CALL`, `CALL errno N` or `[ARCHITECTURE]`)"
            )
    return [line for line in lines if line]


def parse_raw(text: str) -> str:
    """A whole policy: a version, a kind of list, rules."""
    version, _, rest = text.partition("\n")
    kind = rest.partition("\n")[0].split(" ")[0]
    kinds = ("allowlist", "denylist", "whitelist", "blacklist")
    if not _PLAIN.fullmatch(text) or version.strip() not in ("1", "2") or kind.strip() not in kinds:
        raise InvalidInput(
            'Invalid value: a seccomp policy begins with a line "2" and a line "denylist" or "allowlist"'
        )
    return text


def check(config: Mapping[str, str]) -> None:
    """Refuse a merged configuration whose keys contradict each other."""
    for key, old in OLD_NAMES.items():
        if config.get(key) and config.get(old):
            raise InvalidInput(f'"{old}" is an earlier name of "{key}": set one of them')
    has_raw, has_allow = bool(config.get(RAW)), bool(_of(config, ALLOW))
    if has_raw and (has_allow or _of(config, DENY)):
        raise InvalidInput(f'"{RAW}" is the whole policy: it excludes "security.syscalls.*"')
    if has_allow and _of(config, DENY):
        raise InvalidInput(f'"{ALLOW}" and "{DENY}" exclude each other')


def calls(config: Mapping[str, str]) -> dict[str, list[str]]:
    """The names of system calls in each key of `security.syscalls.*` that is set."""
    found = {}
    for key in (DENY, OLD_NAMES[DENY], ALLOW, OLD_NAMES[ALLOW]):
        names = [line.split(" ")[0] for line in parse_calls(config.get(key, ""))]
        found[key] = [name for name in names if name[0] != "[" and name != FORCED_UMOUNT]
    return {key: names for key, names in found.items() if names}


def policy(config: Mapping[str, str]) -> str:
    """The text for a merged configuration.

    Unless told otherwise a deny list: forced umount (`MNT_FORCE` stalls network file systems) and
    REFUSED get EPERM, as do the calls of `security.syscalls.deny`.
    """
    if raw := config.get(RAW):
        return raw if raw.endswith("\n") else f"{raw}\n"
    if allowed := _of(config, ALLOW):
        return "\n".join(["2", "allowlist", "[all]", *parse_calls(allowed)]) + "\n"
    lines = ["2", "denylist", "[all]"]
    if units.is_true(_of(config, DENY_DEFAULT) or "true"):
        lines += [FORCED_UMOUNT, *(f"{name} errno 1" for name in REFUSED)]
    lines += [call if " " in call or call[0] == "[" else f"{call} errno 1" for call in _denied(config)]
    return "\n".join(lines) + "\n"


def _denied(config: Mapping[str, str]) -> list[str]:
    return parse_calls(_of(config, DENY))


def _of(config: Mapping[str, str], key: str) -> str:
    return config.get(key) or config.get(OLD_NAMES[key], "")
