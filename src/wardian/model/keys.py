"""The configuration keys of containers and profiles: one row each, many readers.

Read by the API (what is accepted), the runtime (defaults, `render`), live updates (`live`, `changes`),
the client's help and completion, and the reference manual. A key has a row once it has an effect.
The texts of errors are those of spec/configuration.md section 12, after the name of the key.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model import limits, names, units, values
from wardian.model.limits import CgroupHost, Knob

Where = Literal["container", "profile"]


@dataclass(frozen=True)
class Key:
    """One key, or a family of keys with one `*` in the name."""

    name: str
    type: values.Type
    help: str
    default: str = ""
    """What counts when the key is unset; "" when that is no value of its own."""
    live: Literal["yes", "start", "exec", "n/a"] = "start"
    """When a change reaches a running container: at once, at its next start, with the next exec."""
    scope: tuple[Where, ...] = ("container", "profile")
    render: Callable[[Mapping[str, str], CgroupHost], list[Knob]] | None = None
    """The group of cgroup settings that this key changes."""
    check_own: Callable[[str], None] | None = None
    """For a family: what the part in place of the `*` must be."""

    def covers(self, name: str) -> bool:
        """Whether this row is about the key of that name."""
        head, star, tail = self.name.partition("*")
        if not star:
            return name == self.name
        return len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail)

    def own_part(self, name: str) -> str:
        """What stands in place of the `*` in a name that this family covers."""
        head, _, tail = self.name.partition("*")
        return name[len(head) : len(name) - len(tail)]


_INTERNAL: tuple[Where, ...] = ("container",)

KEYS: tuple[Key, ...] = (
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
        "environment.*",
        values.LINE,
        "Environment variable of the container's init and of commands run in the container.",
        live="exec",
        check_own=values.check_variable,
    ),
    Key(
        "limits.cpu",
        values.CPUS,
        "Number of CPUs (`2`), or which ones (`0,2`, `0-3`, `1-1`). Unset: all.",
        live="yes",
        render=limits.cpu,
    ),
    Key(
        "limits.cpu.allowance",
        values.ALLOWANCE,
        "A share of the CPU time when the host is busy (`50%`), or a hard limit (`25ms/100ms` of one CPU).",
        default="100%",
        live="yes",
        render=limits.cpu_time,
    ),
    Key(
        "limits.cpu.priority",
        values.PRIORITY,
        "Who comes first among containers with the same share; higher is better.",
        default="10",
        live="yes",
        render=limits.cpu_time,
    ),
    Key(
        "limits.disk.priority",
        values.PRIORITY,
        "Weight of the container's disk access when disks are busy; higher is better.",
        default="5",
        live="yes",
        render=limits.disk,
    ),
    Key(
        "limits.memory",
        values.MEMORY,
        "Most memory, as a size or as a percentage of the host's. Unset: all.",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.enforce",
        values.choice("soft", "hard"),
        "`hard`: never more than the limit. `soft`: more while the host has memory to spare.",
        default="hard",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.swap",
        values.BOOL,
        "Whether the container's memory may be swapped out.",
        default="true",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.swap.priority",
        values.PRIORITY,
        "Which container's memory is swapped out first, where the kernel can tell (cgroup v1).",
        default="10",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.processes",
        values.POSITIVE,
        "Most processes and threads. Unset: as many as the host allows.",
        live="yes",
        render=limits.processes,
    ),
    Key(
        "linux.kernel_modules",
        values.MODULES,
        "Kernel modules to load before the container starts, separated by commas.",
    ),
    Key(
        "raw.idmap",
        values.RAW_IDMAP,
        "Ids to map one by one: lines `both|uid|gid HOST CONTAINER`, each a number or a range `from-to`.",
    ),
    Key(
        "raw.lxc",
        values.RAW_LXC,
        "Lines to append to the container's liblxc configuration. They are not checked further: they can "
        "give the container rights over the host.",
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
        "Allow containers inside the container.",
        default="false",
    ),
    Key(
        "security.privileged",
        values.BOOL,
        "Run without a user namespace: root in the container is root on the host.",
        default="false",
    ),
    Key(
        "user.*",
        values.BLOB,
        "Free to use; templates of images read some, such as `user.user-data`.",
        live="n/a",
        check_own=values.check_user_key,
    ),
    Key(
        "volatile.apply_template",
        values.choice("create", "copy"),
        "Templates to apply at the next start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.base_image",
        values.LINE,
        "Fingerprint of the image that the container was made from.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.idmap.base",
        values.ID,
        "First host id of the container's own map; 0 for the shared one.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.idmap.next",
        values.IDMAP,
        "Id map of the next start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.last_state.idmap",
        values.IDMAP,
        "Id map of the last start.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.last_state.power",
        values.choice("RUNNING", "STOPPED"),
        "Whether the container was running.",
        scope=_INTERNAL,
        live="n/a",
    ),
    Key(
        "volatile.*.host_name",
        values.INTERFACE,
        "Name on the host that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.hwaddr",
        values.HWADDR,
        "MAC address that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
    Key(
        "volatile.*.name",
        values.INTERFACE,
        "Name in the container that a network device got.",
        scope=_INTERNAL,
        live="n/a",
        check_own=names.check_device,
    ),
)
"""Sorted by name, families last among their prefix."""

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


def under(config: Mapping[str, str], prefix: str) -> list[tuple[str, str]]:
    """The (key, value) pairs whose key begins with the prefix, sorted, those with a value."""
    return sorted((name, value) for name, value in config.items() if value and name.startswith(prefix))


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the keys whose value differs, sorted; an empty value is the same as none."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name, "") != new.get(name, ""))
