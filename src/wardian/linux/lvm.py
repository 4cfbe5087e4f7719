"""What the tools of LVM say (lvm(8), lvmreport(7), losetup(8)). Pure."""

import json
from dataclasses import dataclass

from wardian.errors import HostFailed

POOL_FIELDS = "lv_name,lv_attr,lv_size,pool_lv,data_percent,lv_tags"
REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix")
"""Options with which `lvs` says what `parse_volumes` reads."""


@dataclass(frozen=True)
class LogicalVolume:
    """One line of `lvs`. used: share of its bytes that are allocated, 0 to 1."""

    name: str
    size: int
    used: float
    pool: str
    """The thin pool that it is in, or empty."""
    is_pool: bool
    tags: tuple[str, ...]


def parse_volumes(text: str) -> list[LogicalVolume]:
    """The volumes of a report; HostFailed if it is none."""
    try:
        lines = [line for report in json.loads(text)["report"] for line in report.get("lv", [])]
        return [_volume(line) for line in lines]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostFailed(f"cannot read the report of LVM: {error!r}") from error


def _volume(line: dict[str, str]) -> LogicalVolume:
    return LogicalVolume(
        name=line["lv_name"],
        size=int(line["lv_size"]),
        used=float(line["data_percent"] or 0) / 100,
        pool=line["pool_lv"],
        is_pool=line["lv_attr"].startswith("t"),
        tags=tuple(tag for tag in line["lv_tags"].split(",") if tag),
    )
