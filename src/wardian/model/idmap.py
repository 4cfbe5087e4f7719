"""Maps from container ids to host ids (spec/configuration.md section 10).

Start with `plan`: the map that a container gets. The invariant of every map made here: no container
id and no host id appears twice.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model import units

ISOLATED_COUNT = 65536
"""Ids of an isolated container, unless `security.idmap.size` says otherwise."""

LARGEST_ID = 2**32 - 2
"""The kernel's `(uid_t) -1` means "no id"."""

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

    def is_made_from(self, default: "IdMap") -> bool:
        """Whether it is the map that containers share, perhaps with some ids mapped otherwise."""
        offsets = {entry.host_id - entry.container_id for entry in default.ranges}
        return any(entry.host_id - entry.container_id in offsets for entry in self.ranges)

    def container_id(self, kind: IdKind, host_id: int) -> int | None:
        """The container id that is this host id; None if none is."""
        for entry in self.ranges:
            if entry.kind == kind and 0 <= host_id - entry.host_id < entry.count:
                return entry.container_id + host_id - entry.host_id
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

    @classmethod
    def checked(cls, ranges: Iterable[IdRange]) -> "IdMap":
        """The map of these ranges, uids first; InvalidInput if the kernel would refuse it."""
        ordered = sorted(ranges, key=lambda r: (r.kind == "gid", r.container_id))
        for entry in ordered:
            if entry.count < 1 or max(entry.container_id, entry.host_id) + entry.count - 1 > LARGEST_ID:
                raise InvalidInput(f"id range {_shown(entry)} is outside of 0-{LARGEST_ID}")
        for kind in ("uid", "gid"):
            same = [r for r in ordered if r.kind == kind]
            _refuse_overlap(same, sorted((r.container_id, r.count) for r in same), "container")
            _refuse_overlap(same, sorted((r.host_id, r.count) for r in same), "host")
        return cls(tuple(ordered))

    def punched(self, custom: Sequence[IdRange]) -> "IdMap":
        """This map with holes where `custom` says otherwise, and `custom` in them.

        InvalidInput for a host id that this map hands out already, or custom ranges that overlap.
        """
        for entry in custom:
            for base in self.ranges:
                if base.kind == entry.kind and _meet(base.host_id, base.count, entry.host_id, entry.count):
                    raise InvalidInput(
                        f"Host id is in the range of subids: {entry.kind} {entry.host_id}; "
                        f"choose one outside {base.host_id}-{base.host_id + base.count - 1}"
                    )
        kept = [part for base in self.ranges for part in _without(base, custom)]
        return IdMap.checked([*kept, *custom])


def plan(config: Mapping[str, str], default: IdMap | None, taken: Sequence[IdMap]) -> IdMap:
    """The map of a container with this expanded configuration; empty for a privileged one.

    default: the range that all containers share, None if the host has none.
    taken: the maps of the other isolated containers; an isolated one stays clear of their host ids.
    Raises InvalidInput when there is no room or `raw.idmap` is wrong.
    """
    if units.is_true(config.get("security.privileged", "")):
        return IdMap()
    if default is None:
        raise InvalidInput(
            "LXD doesn't have a uid/gid allocation. In this mode, only privileged containers are supported."
        )
    base = default
    if units.is_true(config.get("security.idmap.isolated", "")):
        base = _isolated(config, default, taken)
    custom = parse_raw(config.get("raw.idmap", ""))
    try:
        return base.punched(custom)
    except InvalidInput as error:
        raise InvalidInput(f"raw.idmap: {error}") from None


def from_json(text: str) -> IdMap:
    """The map of a `volatile.*.idmap` value; InvalidInput if it is not one."""
    try:
        objects = json.loads(text)
        if not isinstance(objects, list):
            raise TypeError("not a list")
        ranges = [entry for item in objects for entry in _ranges_of_object(item)]
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise InvalidInput(f"not an id map: {text[:80]!a}") from e
    return IdMap.checked(ranges)


def parse_raw(text: str) -> list[IdRange]:
    """The ranges of a `raw.idmap` value: lines `TYPE HOST CONTAINER`; InvalidInput if it is wrong."""
    found: list[IdRange] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 3:
            raise InvalidInput(f"invalid raw.idmap line {line}")
        host_id, host_count = _parse_range(fields[1])
        container_id, container_count = _parse_range(fields[2])
        if host_count != container_count:
            raise InvalidInput(f"idmap ranges of different sizes {line}")
        if fields[0] not in _RAW_KINDS:
            raise InvalidInput(f"invalid raw.idmap type {line}")
        found += [IdRange(kind, container_id, host_id, host_count) for kind in _RAW_KINDS[fields[0]]]
    return list(IdMap.checked(found).ranges)


def default_map(
    *, subuid: str | None, subgid: str | None, uid_map: str, gid_map: str, owners: Sequence[str]
) -> IdMap | None:
    """The range that all unprivileged containers share, or None if this host has none for us.

    subuid, subgid: content of /etc/subuid and /etc/subgid; None when the file, newuidmap or
    newgidmap is missing. uid_map, gid_map: content of /proc/self/uid_map and gid_map.
    """
    chosen = []
    for kind, allotted, kernel in (("uid", subuid, uid_map), ("gid", subgid, gid_map)):
        limits = _kernel_ranges(kernel)
        if subuid is None or subgid is None or allotted is None:
            entry = _range_without_tools(limits)
        else:
            entry = subordinate_range(allotted, owners)
        if entry is None or not any(first <= entry[0] and sum(entry) <= first + n for first, n in limits):
            return None
        chosen.append(IdRange("uid" if kind == "uid" else "gid", 0, *entry))
    return IdMap(tuple(chosen))


def subordinate_range(text: str, owners: Sequence[str], *, least: int = 65536) -> tuple[int, int] | None:
    """(first id, count) of the first entry of at least `least` ids for one of the owners, or None.

    text: content of /etc/subuid or /etc/subgid (subuid(5)); comments and broken lines are skipped.
    """
    for first, count in _entries(text, owners):
        if count >= least:
            return first, count
    return None


def check_allotted(wanted: IdMap, *, subuid: str, subgid: str, owners: Sequence[str]) -> None:
    """InvalidInput naming the line to add, if newuidmap or newgidmap would refuse a range of the map.

    subuid, subgid: content of /etc/subuid and /etc/subgid.
    """
    for entry in wanted.ranges:
        text, file = (subuid, "/etc/subuid") if entry.kind == "uid" else (subgid, "/etc/subgid")
        first, last = entry.host_id, entry.host_id + entry.count
        if not any(start <= first and last <= start + count for start, count in _entries(text, owners)):
            raise InvalidInput(
                f"host {entry.kind}s {first}-{last - 1} are not root's to hand out; "
                f'add the line "{owners[0]}:{first}:{entry.count}" to {file}'
            )


def _entries(text: str, owners: Iterable[str]) -> Iterable[tuple[int, int]]:
    wanted = {owner.lower() for owner in owners}
    for line in text.splitlines():
        fields = line.partition("#")[0].strip().split(":")
        if len(fields) == 3 and fields[0].lower() in wanted and fields[1].isdigit() and fields[2].isdigit():
            yield int(fields[1]), int(fields[2])


_RAW_KINDS: dict[str, tuple[IdKind, ...]] = {"both": ("uid", "gid"), "uid": ("uid",), "gid": ("gid",)}
_RAW_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")


def _parse_range(text: str) -> tuple[int, int]:
    match = _RAW_RANGE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"invalid raw.idmap range {text}")
    first = int(match[1])
    last = int(match[2] or first)
    if last < first or last > LARGEST_ID:
        raise InvalidInput(f"invalid raw.idmap range {text}")
    return first, last - first + 1


def _isolated(config: Mapping[str, str], default: IdMap, taken: Sequence[IdMap]) -> IdMap:
    """A range of its own, the same for users and groups, past the shared map's first 65536 ids."""
    count = int(config.get("security.idmap.size", "") or ISOLATED_COUNT)
    explicit = config.get("security.idmap.base", "")
    if explicit:
        _refuse_taken(int(explicit), count, taken)
        return IdMap.contiguous(int(explicit), count)
    low = max(r.host_id for r in default.ranges)
    high = min(r.host_id + r.count for r in default.ranges)
    present = int(config.get("volatile.idmap.base", "") or 0)
    if low + ISOLATED_COUNT <= present <= high - count and not _is_taken(present, count, taken):
        return IdMap.contiguous(present, count)  # it may run with it
    base = low + ISOLATED_COUNT
    for first, size in sorted((r.host_id, r.count) for other in taken for r in other.ranges):
        if _meet(base, count, first, size):
            base = first + size
    if base + count > high:
        raise InvalidInput("Not enough uid/gid available for the container.")
    return IdMap.contiguous(base, count)


def _is_taken(base: int, count: int, taken: Sequence[IdMap]) -> bool:
    return any(_meet(base, count, r.host_id, r.count) for other in taken for r in other.ranges)


def _refuse_taken(base: int, count: int, taken: Sequence[IdMap]) -> None:
    if _is_taken(base, count, taken):
        raise InvalidInput(
            f"security.idmap.base: of the host ids {base}-{base + count - 1} another isolated container has "
            "some; unset it to have free ones chosen"
        )


def _meet(first: int, count: int, other: int, other_count: int) -> bool:
    return first < other + other_count and other < first + count


def _without(base: IdRange, custom: Sequence[IdRange]) -> Iterable[IdRange]:
    """What is left of `base` when the container ids of `custom` are taken out of it."""
    start, end = base.container_id, base.container_id + base.count
    shift = base.host_id - base.container_id
    for hole in sorted(r for r in custom if r.kind == base.kind):
        if not _meet(start, end - start, hole.container_id, hole.count):
            continue
        if hole.container_id > start:
            yield IdRange(base.kind, start, start + shift, hole.container_id - start)
        start = min(end, hole.container_id + hole.count)
    if end > start:
        yield IdRange(base.kind, start, start + shift, end - start)


def _refuse_overlap(entries: Sequence[IdRange], spans: Sequence[tuple[int, int]], side: str) -> None:
    for (first, count), (second, _) in itertools.pairwise(spans):
        if first + count > second:
            raise InvalidInput(f"{entries[0].kind} {second} appears twice among the {side} ids of an id map")


def _ranges_of_object(item: Mapping[str, object]) -> list[IdRange]:
    host_id, container_id, count = (item[key] for key in ("Hostid", "Nsid", "Maprange"))
    if not (type(host_id) is int and type(container_id) is int and type(count) is int):
        raise TypeError("not a whole number")
    if min(host_id, container_id, count) < 0:
        raise ValueError("negative")
    kinds: list[IdKind] = []
    if item["Isuid"] is True:
        kinds.append("uid")
    if item["Isgid"] is True:
        kinds.append("gid")
    return [IdRange(kind, container_id, host_id, count) for kind in kinds]


def _shown(entry: IdRange) -> str:
    return f"{entry.kind} {entry.container_id} {entry.host_id} {entry.count}"


def _kernel_ranges(text: str) -> list[tuple[int, int]]:
    """(first id, count) of each line of /proc/self/uid_map, as seen in our own namespace."""
    rows = [line.split() for line in text.splitlines()]
    return [(int(row[0]), int(row[2])) for row in rows if len(row) == 3]


def _range_without_tools(limits: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """A range where nobody handed out sub-ids: a fixed one, or what a nested daemon was given."""
    if (0, 2**32 - 1) in limits:
        return 1_000_000, 1_000_000_000
    for first, count in limits:
        start = max(first, 100_000)
        left = first + count - start
        if left > ISOLATED_COUNT:
            return start, left
    return None
