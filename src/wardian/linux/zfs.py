"""What the tools of ZFS say with `-H`: a line for each thing, fields by tabs, `-` for nothing. Pure."""

from dataclasses import dataclass

from wardian.errors import HostFailed


@dataclass(frozen=True)
class Moment:
    """A snapshot. clones: datasets that were made from it."""

    name: str
    clones: tuple[str, ...]


SNAPSHOT_FIELDS = "name,clones"


def parse_snapshots(text: str) -> list[Moment]:
    """The lines of `zfs list -H -t snapshot -o name,clones`, in their order."""
    return [Moment(name, _names(clones)) for name, clones in parse_table(text, 2)]


def parse_table(text: str, columns: int) -> list[list[str]]:
    """The fields of each line; HostFailed if there are not as many."""
    lines = [line.split("\t") for line in text.splitlines()]
    for fields in lines:
        if len(fields) != columns:
            raise HostFailed(f"cannot read the table of ZFS: {len(fields)} columns, not {columns}")
    return lines


def _names(field: str) -> tuple[str, ...]:
    return tuple(name for name in field.split(",") if name not in ("", "-"))
