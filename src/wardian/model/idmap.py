"""Maps from container ids to host ids (spec/configuration.md section 10)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

IdKind = Literal["uid", "gid"]


@dataclass(frozen=True, order=True)
class IdRange:
    """`count` ids from `container_id` on inside are `host_id` on outside."""

    kind: IdKind
    container_id: int
    host_id: int
    count: int


@dataclass(frozen=True)
class IdMap:
    """All ranges of one container, uid ranges first; empty for a privileged container."""

    ranges: tuple[IdRange, ...] = ()

    @classmethod
    def contiguous(cls, base: int, count: int) -> "IdMap":
        """Container ids 0..count-1, users and groups alike, on host ids from `base` on."""
        return cls((IdRange("uid", 0, base, count), IdRange("gid", 0, base, count)))

    def host_id(self, kind: IdKind, container_id: int) -> int | None:
        """The host id of a container id; None if it is not mapped."""
        for entry in self.ranges:
            if entry.kind == kind and 0 <= container_id - entry.container_id < entry.count:
                return entry.host_id + container_id - entry.container_id
        return None

    def lines(self, kind: IdKind) -> str:
        """The text for /proc/PID/uid_map or gid_map: `container host count` lines."""
        return "".join(f"{r.container_id} {r.host_id} {r.count}\n" for r in self.ranges if r.kind == kind)

    def to_json_objects(self) -> list[dict[str, object]]:
        """The objects of `volatile.last_state.idmap` (spec/configuration.md section 5)."""
        return [
            {
                "Isuid": r.kind == "uid",
                "Isgid": r.kind == "gid",
                "Hostid": r.host_id,
                "Nsid": r.container_id,
                "Maprange": r.count,
            }
            for r in self.ranges
        ]


def subordinate_range(text: str, owners: Sequence[str], *, least: int = 65536) -> tuple[int, int] | None:
    """(first id, count) of the first entry of at least `least` ids for one of the owners, or None.

    text: content of /etc/subuid or /etc/subgid (subuid(5)); comments and broken lines are skipped.
    """
    for first, count in _entries(text, owners):
        if count >= least:
            return first, count
    return None


def _entries(text: str, owners: Iterable[str]) -> Iterable[tuple[int, int]]:
    wanted = {owner.lower() for owner in owners}
    for line in text.splitlines():
        fields = line.partition("#")[0].strip().split(":")
        if len(fields) == 3 and fields[0].lower() in wanted and fields[1].isdigit() and fields[2].isdigit():
            yield int(fields[1]), int(fields[2])
