"""The configuration keys of containers and profiles: one row each, many readers.

Read by the API (what is accepted), the runtime (defaults, `render`), live updates (`live`, `changes`),
the client's help and completion, and the reference manual. A key has a row once it has an effect.
Rows of limits.* are in `keys_limits`, of volatile.* in `keys_volatile`; the others are here.
The texts of errors are those of spec/configuration.md section 12, after the name of the key.
"""

import difflib
import fnmatch
from collections.abc import Mapping

from wardian.errors import InvalidInput
from wardian.model import (
    kernel_limits,
    keys_limits,
    keys_snapshots,
    keys_volatile,
    seccomp,
    units,
    values,
)
from wardian.model.key import Key, Where

CLOUD_INIT = ("network-config", "user-data", "vendor-data")
"""Seeds of cloud-init: keys `cloud-init.X`, and `user.X` as images of the 2.0 series ask for them."""

_OWN = (
    Key(
        "boot.autostart",
        values.BOOL,
        "Start the container with the daemon. Unset: start it if it ran when the daemon last stopped.",
        live="n/a",
    ),
    Key(
        "boot.autostart.delay",
        values.COUNT,
        "Seconds to wait after this container's start before the next one.",
        default="0",
        live="n/a",
    ),
    Key(
        "boot.autostart.priority",
        values.INTEGER,
        "Containers with a higher number start first; equal ones by name.",
        default="0",
        live="n/a",
    ),
    Key(
        "boot.host_shutdown_timeout",
        values.COUNT,
        "Seconds that the container gets to stop when the host shuts down, before it is killed.",
        default="30",
        live="n/a",
    ),
    Key(
        "boot.stop.priority",
        values.INTEGER,
        "Containers with a higher number stop first when the host shuts down, and the next ones after them.",
        default="0",
        live="n/a",
    ),
    *(
        Key(
            f"cloud-init.{part}",
            values.BLOB,
            f"The {part} of cloud-init; images that ask for `user.{part}` get it, too.",
            live="n/a",
        )
        for part in CLOUD_INIT
    ),
    Key(
        "environment.*",
        values.LINE,
        "Environment variable of the container's init and of commands run in the container.",
        live="exec",
        check_own=values.check_variable,
    ),
    Key(
        "linux.kernel_modules",
        values.MODULES,
        "Kernel modules that the host loads for the container, separated by commas.",
        live="yes",
    ),
    Key(
        "linux.sysctl.*",
        values.LINE,
        "Kernel parameter of the container's own: `net.*`, `fs.mqueue.*`, `kernel.msg*`, `kernel.sem`, "
        "`kernel.shm*`. Once unset, it keeps its value until the container starts again.",
        live="yes",
        check_own=kernel_limits.check_sysctl,
    ),
    Key(
        "migration.stateful",
        values.BOOL,
        "Have systemd in the container start its services without namespaces of their own, so that the "
        "memory of all that runs can be saved: by `stop --stateful`, `snapshot --stateful`, `move`.",
        default="false",
    ),
    Key(
        "raw.apparmor",
        values.RAW_APPARMOR,
        "Lines to append inside the container's AppArmor profile.",
        live="yes",
    ),
    Key(
        "raw.idmap",
        values.RAW_IDMAP,
        "Ids to map one by one: lines `both|uid|gid HOST CONTAINER`, each a number or a range `from-to`.",
    ),
    Key(
        "raw.lxc",
        values.RAW_LXC,
        "Lines to append to the container's liblxc configuration, as far as they leave its confinement "
        "alone.",
    ),
    Key(
        seccomp.RAW,
        values.RAW_SECCOMP,
        "The whole seccomp policy, in liblxc's format, in place of the usual one.",
    ),
    Key(
        "security.devlxd",
        values.BOOL,
        "Let the container ask about itself at /dev/lxd/sock: its `user.*` keys and their changes.",
        default="true",
        live="yes",
    ),
    Key(
        "security.idmap.base",
        values.ID_BASE,
        "First host id of an isolated container's map. Unset: the first free range.",
    ),
    Key(
        "security.idmap.isolated",
        values.BOOL,
        "Give the container host ids that no other isolated container has.",
        default="false",
    ),
    Key(
        "security.idmap.size",
        values.ID_COUNT,
        "Number of ids of an isolated container.",
        default="65536",
    ),
    Key(
        "security.nesting",
        values.BOOL,
        "Allow containers inside the container. The AppArmor profile follows at once; the mounts that "
        "unprivileged containers inside need are made at the next start.",
        default="false",
    ),
    Key(
        "security.privileged",
        values.BOOL,
        "Run without a user namespace: root in the container is root on the host.",
        default="false",
    ),
    Key(
        "security.protection.delete",
        values.BOOL,
        "Refuse to delete the container.",
        default="false",
        live="n/a",
    ),
    Key(
        "security.protection.shift",
        values.BOOL,
        "Refuse to rewrite the owners of the container's files, where its id map changes and the file "
        "system cannot show them mapped: it then does not start.",
        default="false",
    ),
    Key(
        seccomp.ALLOW,
        values.CALLS,
        "System calls to allow, a line each; any other one kills its caller.",
    ),
    Key(
        seccomp.OLD_NAMES[seccomp.ALLOW],
        values.CALLS,
        "Earlier name of `security.syscalls.allow`.",
    ),
    Key(
        seccomp.DENY,
        values.CALLS,
        "System calls to refuse besides the usual ones, a line each: `CALL` or `CALL errno N`.",
    ),
    Key(
        seccomp.OLD_NAMES[seccomp.DENY],
        values.CALLS,
        "Earlier name of `security.syscalls.deny`.",
    ),
    Key(
        seccomp.DENY_DEFAULT,
        values.BOOL,
        "Refuse forced umount, kexec, kernel modules and opening by handle.",
        default="true",
    ),
    Key(
        seccomp.OLD_NAMES[seccomp.DENY_DEFAULT],
        values.BOOL,
        "Earlier name of `security.syscalls.deny_default`.",
    ),
    Key(
        "user.*",
        values.BLOB,
        "Free to use; templates of images read some, such as `user.user-data`.",
        live="n/a",
        check_own=values.check_user_key,
    ),
)

KEYS: tuple[Key, ...] = (
    *sorted((*_OWN, *keys_limits.KEYS, *keys_snapshots.KEYS), key=lambda key: key.name),
    *keys_volatile.KEYS,
)
"""Sorted by name, those that the daemon keeps last."""

_EXACT = {key.name: key for key in KEYS if "*" not in key.name}
_FAMILIES = tuple(key for key in KEYS if "*" in key.name)


def find(name: str) -> Key:
    """The row of a key; InvalidInput if there is no such key."""
    key = _EXACT.get(name) or next((family for family in _FAMILIES if family.covers(name)), None)
    if key is None:
        near = difflib.get_close_matches(name, _EXACT, n=1, cutoff=0.8)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise InvalidInput(f"Unknown configuration key: {values.quoted(name)}{hint}")
    return key


def check_config(config: Mapping[str, str], *, where: Where) -> None:
    """Accept a container's or a profile's own configuration, or raise InvalidInput naming the key.

    An empty value is always accepted and means "unset".
    """
    for name, value in config.items():
        if where == "profile" and name.startswith("volatile."):
            raise InvalidInput(f"{values.quoted(name)}: Volatile keys can only be set on containers.")
        key = find(name)
        if key.check_own:
            key.check_own(key.own_part(name))
        if value == "":
            continue
        try:
            key.type.check(value)
        except InvalidInput as e:
            raise InvalidInput(f"{name}: {values.quoted(str(e))}") from None


def get(config: Mapping[str, str], name: str) -> str:
    """The value that counts: the one that is set, else the default."""
    return config.get(name, "") or find(name).default


def is_on(config: Mapping[str, str], name: str) -> bool:
    """The boolean value that counts; False for one that is unset without a default."""
    return units.is_true(get(config, name))


def number(config: Mapping[str, str], name: str) -> int:
    """The whole number that counts; for keys that have a default."""
    return int(get(config, name))


def is_fact(name: str, *, running: bool) -> bool:
    """Whether the key tells how something is, which no request can change by leaving it out."""
    facts = keys_volatile.OF_FILES + (keys_volatile.OF_RUN if running else ())
    return any(fnmatch.fnmatchcase(name, fact) for fact in facts)


def under(config: Mapping[str, str], prefix: str) -> list[tuple[str, str]]:
    """The (key, value) pairs whose key begins with the prefix, sorted, those with a value."""
    return sorted((name, value) for name, value in config.items() if value and name.startswith(prefix))


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the keys whose value differs, sorted; an empty value is the same as none."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name, "") != new.get(name, ""))


def seen_inside(expanded: Mapping[str, str]) -> dict[str, str]:
    """The configuration as templates see it: a seed that is set under one of its names has both."""
    pairs = [(f"cloud-init.{part}", f"user.{part}") for part in CLOUD_INIT]
    found = {new: expanded[old] for new, old in pairs if old in expanded}
    return {**found, **{old: expanded[new] for new, old in pairs if new in expanded}, **expanded}
