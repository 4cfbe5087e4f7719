"""Limits of disks: how fast a container may read and write the block devices behind them.

Limits are per container and block device: of several disks on one device the average counts
(spec/configuration.md section 6.3). The files are those of cgroup-v1/blkio-controller.rst and
"IO Interface Files" in cgroup-v2.rst of the kernel.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model import units
from wardian.model.limits import Knob

OPERATIONS = re.compile(r"([0-9]{1,9})iops")

NAMES = ("read_bps", "read_iops", "write_bps", "write_iops")
_V2 = dict(zip(NAMES, ("rbps", "riops", "wbps", "wiops"), strict=True))


@dataclass(frozen=True)
class Throttle:
    """The limits of one disk on one block device; 0: none. Bytes and operations per second."""

    device: str
    """MAJOR:MINOR of a whole block device."""
    read_bps: int = 0
    read_iops: int = 0
    write_bps: int = 0
    write_iops: int = 0


def parse(text: str) -> tuple[Literal["bps", "iops"], int]:
    """("iops", N) for `Niops`, ("bps", bytes a second) for a size; more than nothing."""
    match = OPERATIONS.fullmatch(text)
    kind: Literal["bps", "iops"] = "iops" if match else "bps"
    number = int(match[1]) if match else units.parse_size(text)
    if number == 0:
        raise InvalidInput(f"Invalid value: {text} (more than nothing must be allowed)")
    return kind, number


def is_wanted(options: Mapping[str, str]) -> bool:
    """Whether a disk has limits."""
    return any(options.get(f"limits.{word}") for word in ("read", "write", "max"))


def of_disk(options: Mapping[str, str], device: str) -> Throttle:
    """The limits of a disk on a block device; `limits.max` overrides both others."""
    amounts: dict[str, int] = {}
    for word in ("read", "write"):
        text = options.get("limits.max") or options.get(f"limits.{word}")
        if text:
            kind, number = parse(text)
            amounts[f"{word}_{kind}"] = number
    return Throttle(device, **amounts)


def knobs(throttles: Iterable[Throttle], version: Literal["v1", "v2"]) -> list[Knob]:
    """The control files of a container with these limits, and what to write into them."""
    averages = _averages(throttles)
    found: list[Knob] = []
    for device, amounts in sorted(averages.items()):
        if version == "v2":
            words = [f"{_V2[name]}={amounts[name] or 'max'}" for name in NAMES]
            found.append(("io.max", f"{device} {' '.join(words)}"))
        else:
            found += [
                (f"blkio.throttle.{name}_device", f"{device} {amounts[name]}")
                for name in NAMES
                if amounts[name]
            ]
    return found


def change(old: Iterable[Throttle], new: Iterable[Throttle], version: Literal["v1", "v2"]) -> list[Knob]:
    """What to write when the limits of a running container change; limits that are gone are lifted."""
    before, after = knobs(old, version), knobs(new, version)
    kept = {(name, text.split(" ")[0]) for name, text in after}
    lifted = [
        (name, f"{device} {'rbps=max riops=max wbps=max wiops=max' if version == 'v2' else '0'}")
        for name, device in ((name, text.split(" ")[0]) for name, text in before)
        if (name, device) not in kept
    ]
    return lifted + [knob for knob in after if knob not in before]


def _averages(throttles: Iterable[Throttle]) -> dict[str, dict[str, int]]:
    """Device -> the average of each limit over the disks that have it; 0: none has it."""
    of_device: dict[str, list[Throttle]] = {}
    for throttle in throttles:
        of_device.setdefault(throttle.device, []).append(throttle)
    averages: dict[str, dict[str, int]] = {}
    for device, found in of_device.items():
        averages[device] = {}
        for name in NAMES:
            set_ones = [amount for throttle in found if (amount := getattr(throttle, name))]
            averages[device][name] = sum(set_ones) // len(set_ones) if set_ones else 0
    return averages
