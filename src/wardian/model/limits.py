"""From limits.* keys to cgroup files (spec/configuration.md section 4).

A `Knob` is a cgroup file's name and the text to write into it. Each function below serves one group
of keys and is named by their rows in `model.keys`; `cgroup_settings` is all of them as liblxc lines.
The values were checked when they were set, except for what depends on this host.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model import cpus, units

Knob = tuple[str, str]
Config = Mapping[str, str]

_QUOTA = re.compile(r"([0-9]{1,9})ms/([0-9]{1,9})ms")
_LONGEST_PERIOD_MS = 1000


@dataclass(frozen=True)
class CgroupHost:
    """What the rendering must know of this host."""

    version: Literal["v1", "v2"]
    memory_total: int
    """Bytes."""
    cpus: Sequence[int]
    """Numbers of the CPUs that containers may use, ascending."""
    usage: Mapping[int, int] = field(default_factory=dict)
    """CPU -> number of containers that it serves; absent means 0."""
    files: Collection[str] | None = None
    """Names of the cgroup files that this kernel has; None: all. Others are not written."""

    def has(self, name: str) -> bool:
        return self.files is None or name in self.files


def cgroup_settings(config: Config, host: CgroupHost) -> list[tuple[str, str]]:
    """The (liblxc key, value) lines for an expanded configuration, in the order they must be written.

    Raises InvalidInput for a pin set that names no CPU of this host.
    """
    prefix = "lxc.cgroup." if host.version == "v1" else "lxc.cgroup2."
    return [(prefix + name, value) for group in GROUPS for name, value in group(config, host)]


def memory(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.memory, limits.memory.enforce, limits.memory.swap, limits.memory.swap.priority."""
    swap = config.get("limits.memory.swap", "")
    swaps = not swap or units.is_true(swap)
    limit = config.get("limits.memory", "")
    bound = _bytes(limit, host.memory_total) if limit else None
    soft = config.get("limits.memory.enforce", "") == "soft"
    if host.version == "v1":
        knobs = _memory_v1(bound, soft=soft, swaps=swaps)
        priority = config.get("limits.memory.swap.priority", "")
        if not swaps:
            knobs.append(("memory.swappiness", "0"))
        elif priority:
            knobs.append(("memory.swappiness", str(50 + int(priority))))
    else:
        knobs = _memory_v2(bound, soft=soft, swaps=swaps)
    return [knob for knob in knobs if host.has(knob[0])]


def _memory_v1(bound: int | None, *, soft: bool, swaps: bool) -> list[Knob]:
    if bound is None:
        return []
    if soft:
        return [("memory.soft_limit_in_bytes", str(bound))]
    # The kernel wants memory <= memory + swap at every moment, so memory is lowered first.
    knobs = [("memory.limit_in_bytes", str(bound))]
    if swaps:
        knobs.append(("memory.memsw.limit_in_bytes", str(bound)))
    return [*knobs, ("memory.soft_limit_in_bytes", str(bound * 9 // 10))]


def _memory_v2(bound: int | None, *, soft: bool, swaps: bool) -> list[Knob]:
    knobs: list[Knob] = []
    if bound is not None:
        # No memory.high below a hard limit: unlike v1's soft limit it throttles with memory to spare.
        knobs.append(("memory.high" if soft else "memory.max", str(bound)))
    if not swaps:
        knobs.append(("memory.swap.max", "0"))
    elif bound is not None and not soft:
        knobs.append(("memory.swap.max", str(bound)))
    return knobs


def cpu(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.cpu: which CPUs."""
    wanted = config.get("limits.cpu", "")
    if not wanted:
        return []
    chosen = cpus.choose(wanted, host.cpus, host.usage)
    return [("cpuset.cpus", cpus.render(chosen))] if host.has("cpuset.cpus") else []


def cpu_time(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.cpu.allowance, limits.cpu.priority: how much of them."""
    allowance = config.get("limits.cpu.allowance", "")
    priority = config.get("limits.cpu.priority", "")
    if not allowance and not priority:
        return []
    kind, quota, period = parse_allowance(allowance or "100%")
    shares = max(0, (10 * quota + 24 if kind == "share" else 1024) - (10 - int(priority or 10)))
    knobs: list[Knob]
    if host.version == "v1":
        knobs = [("cpu.shares", str(shares))]
        if kind == "quota":
            knobs += [("cpu.cfs_period_us", str(period * 1000)), ("cpu.cfs_quota_us", str(quota * 1000))]
    else:
        knobs = [("cpu.weight", str(_clamped(shares * 100 // 1024, 1, 10_000)))]
        if kind == "quota":
            knobs.append(("cpu.max", f"{quota * 1000} {period * 1000}"))
    return [knob for knob in knobs if host.has(knob[0])]


def processes(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.processes."""
    most = config.get("limits.processes", "")
    return [("pids.max", most)] if most and host.has("pids.max") else []


def disk(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.disk.priority; the file's name depends on the kernel's I/O scheduler."""
    text = config.get("limits.disk.priority", "")
    if not text:
        return []
    priority = int(text)
    if host.version == "v1":
        weights = {"blkio.weight": priority * 100 or 10, "blkio.bfq.weight": priority * 100 or 10}
    else:
        # The default weight is 100 here and 500 there.
        weights = {"io.weight": priority * 20 or 2, "io.bfq.weight": priority * 20 or 2}
    name = next((name for name in weights if host.has(name)), None)
    return [(name, str(weights[name]))] if name else []


HUGE_PAGES = {"64KB": 2**16, "1MB": 2**20, "2MB": 2**21, "1GB": 2**30}
"""Sizes of huge pages, as the kernel and the keys spell them, and their bytes."""


def huge_pages(config: Config, host: CgroupHost) -> list[Knob]:
    """limits.hugepages.*: bytes of huge pages of each size, rounded down to whole pages."""
    ending = "limit_in_bytes" if host.version == "v1" else "max"
    wanted = {size: config.get(f"limits.hugepages.{size}", "") for size in HUGE_PAGES}
    return [
        (f"hugetlb.{size}.{ending}", str(units.parse_size(text) // HUGE_PAGES[size] * HUGE_PAGES[size]))
        for size, text in wanted.items()
        if text and host.has(f"hugetlb.{size}.{ending}")
    ]


GROUPS: tuple[Callable[[Config, CgroupHost], list[Knob]], ...] = (
    cpu,
    cpu_time,
    memory,
    processes,
    disk,
    huge_pages,
)


UNSET: dict[str, dict[str, str]] = {
    "v1": {
        "blkio.bfq.weight": "100",
        "blkio.weight": "500",
        **{f"hugetlb.{size}.limit_in_bytes": "-1" for size in HUGE_PAGES},
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "-1",
        "cpu.shares": "1024",
        "cpuset.cpus": "",
        "memory.limit_in_bytes": "-1",
        "memory.memsw.limit_in_bytes": "-1",
        "memory.soft_limit_in_bytes": "-1",
        "memory.swappiness": "60",
        "pids.max": "max",
    },
    "v2": {
        "cpu.max": "max 100000",
        "cpu.weight": "100",
        "cpuset.cpus": "",
        **{f"hugetlb.{size}.max": "max" for size in HUGE_PAGES},
        "io.bfq.weight": "100",
        "io.weight": "100",
        "memory.high": "max",
        "memory.max": "max",
        "memory.swap.max": "max",
        "pids.max": "max",
    },
}
"""Every file that a knob can name, by the kind of cgroup, and its content when no limit is set
(cgroup-v1/*.rst, cgroup-v2.rst of the kernel); the CPU set is then all of this host's."""

_SAMPLES = {
    "limits.cpu": "1",
    "limits.cpu.allowance": "10ms/100ms",
    "limits.disk.priority": "1",
    "limits.hugepages.2MB": "2MB",
    "limits.memory": "1GB",
    "limits.memory.swap": "false",
    "limits.processes": "1",
}


_MEMORY_AND_SWAP = "memory.memsw.limit_in_bytes"


def change(old: Config, new: Config, host: CgroupHost) -> list[Knob]:
    """What to write into the groups of a running container whose configuration becomes `new`.

    What is no longer limited gets the content of `UNSET`. Without the CPU set: which CPUs a container
    gets depends on all that run (`cpus.balance`).
    """
    unset = UNSET[host.version]
    knobs: list[Knob] = []
    for group in GROUPS:
        if group is cpu:
            continue
        before, after = group(old, host), group(new, host)
        if before == after:
            continue
        kept = {name for name, _ in after}
        lifted = [(name, unset[name]) for name, _ in before if name not in kept]
        if any(name == _MEMORY_AND_SWAP for name, _ in (*before, *after)):
            # The kernel wants memory <= memory + swap at every moment, up as well as down.
            knobs.append((_MEMORY_AND_SWAP, "-1"))
        knobs += [*lifted, *after]
    return knobs


def everything(config: Config, host: CgroupHost) -> list[Knob]:
    """What to write so that nothing but this configuration counts, whatever was written before."""
    unset = {**UNSET[host.version], "cpuset.cpus": cpus.render(host.cpus)}
    knobs = [(name, value) for name, value in unset.items() if host.has(name)]
    # Memory and swap together come first among what is lifted, and last among what is bounded.
    knobs.sort(key=lambda knob: knob[0] != _MEMORY_AND_SWAP)
    return [*knobs, *(knob for group in GROUPS for knob in group(config, host))]


def ignored_keys(host: CgroupHost) -> list[str]:
    """The limits that this host cannot enforce for want of control files, sorted."""
    return [key for key, value in _SAMPLES.items() if not any(group({key: value}, host) for group in GROUPS)]


def check_memory(text: str) -> None:
    """A size or a percentage, more than nothing."""
    value = units.parse_percent(text) if text.endswith("%") else units.parse_size(text)
    if value == 0:
        raise InvalidInput(f"Invalid value: {text}")


def parse_allowance(text: str) -> tuple[Literal["share", "quota"], int, int]:
    """("share", percent, 100) for `N%`, ("quota", ms, period in ms) for `Xms/Yms`."""
    quota = _QUOTA.fullmatch(text)
    if quota and int(quota[1]) >= 1 and 1 <= int(quota[2]) <= _LONGEST_PERIOD_MS:
        return "quota", int(quota[1]), int(quota[2])
    if re.fullmatch(r"[0-9]{1,4}%", text):
        return "share", int(text[:-1]), 100
    raise InvalidInput(f"Invalid allowance: {text}")


def _bytes(text: str, memory_total: int) -> int:
    if text.endswith("%"):
        return memory_total // 100 * units.parse_percent(text)
    return units.parse_size(text)


def _clamped(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
