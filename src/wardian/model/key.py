"""One row of the tables of configuration keys: what `model.keys` and its readers know of a key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from wardian.model import values
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
