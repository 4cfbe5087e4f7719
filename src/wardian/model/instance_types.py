"""Instance types: sizes of machines by name, as limits of a container (spec/rest-api.md section 7.2).

`c2-m4` is 2 CPUs and 4 GB. Others are those of known clouds, as they publish them: `t2.micro`, or with
its cloud `aws:t2.micro`.
"""

import re
from collections.abc import Mapping
from math import ceil

from wardian.errors import InvalidInput


def _family(name: str, sizes: str, cpus: float, gigabytes: float) -> dict[str, tuple[float, float]]:
    """Sizes that double from one to the next."""
    return {
        f"{name}{size}": (cpus * 2**step, gigabytes * 2**step) for step, size in enumerate(sizes.split())
    }


_AWS_SIZES = "large xlarge 2xlarge 4xlarge 8xlarge"

TYPES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "aws": {
        "t2.nano": (1, 0.5),
        "t2.micro": (1, 1),
        "t2.small": (1, 2),
        "t2.medium": (2, 4),
        "t2.large": (2, 8),
        **_family("t2.", "xlarge 2xlarge", 4, 16),
        "t3.nano": (2, 0.5),
        "t3.micro": (2, 1),
        "t3.small": (2, 2),
        "t3.medium": (2, 4),
        **_family("t3.", "large xlarge 2xlarge", 2, 8),
        "m1.small": (1, 1.7),
        "m3.medium": (1, 3.75),
        **_family("m3.", "large xlarge 2xlarge", 2, 7.5),
        **_family("m4.", "large xlarge 2xlarge 4xlarge", 2, 8),
        **_family("m5.", _AWS_SIZES, 2, 8),
        **_family("c3.", _AWS_SIZES, 2, 3.75),
        **_family("c4.", "large xlarge 2xlarge 4xlarge", 2, 3.75),
        **_family("c5.", "large xlarge 2xlarge 4xlarge", 2, 4),
        **_family("r3.", _AWS_SIZES, 2, 15.25),
        **_family("r4.", _AWS_SIZES, 2, 15.25),
        **_family("r5.", _AWS_SIZES, 2, 16),
    },
    "gce": {
        "f1-micro": (0.2, 0.6),
        "g1-small": (0.5, 1.7),
        **_family("n1-standard-", "1 2 4 8 16 32 64", 1, 3.75),
        **_family("n1-highmem-", "2 4 8 16 32 64", 2, 13),
        **_family("n1-highcpu-", "2 4 8 16 32 64", 2, 1.8),
    },
    "azure": {
        "A0": (1, 0.75),
        **_family("A", "1 2 3 4", 1, 1.75),
        **_family("D", "1 2 3 4", 1, 3.5),
        "D11": (2, 14),
        "D12": (4, 28),
        "D13": (8, 56),
        "D14": (16, 112),
    },
}
"""Cloud -> name -> CPUs, GB of memory."""

_SIZE = re.compile(
    r"(?:c(?P<cpus>\d{1,4}(?:\.\d{1,3})?))?(?P<dash>-)?(?:m(?P<memory>\d{1,5}(?:\.\d{1,3})?))?"
)


def limits(name: str) -> dict[str, str]:
    """The keys that make a container as large as this type; InvalidInput if there is none."""
    cpus, gigabytes = _find(name)
    found = {}
    if cpus:
        found["limits.cpu"] = str(ceil(cpus))
        if cpus != int(cpus):
            found["limits.cpu.allowance"] = f"{round(cpus / ceil(cpus) * 100)}%"
    if gigabytes:
        found["limits.memory"] = f"{int(gigabytes * 1024)}MB"
    return found


def _find(name: str) -> tuple[float, float]:
    cloud, colon, own = name.rpartition(":")
    known = [types[own] for source, types in TYPES.items() if own in types and cloud in ("", source)]
    if len(known) > 1:
        raise InvalidInput(f"Ambiguous instance type provided: {name}")
    if known:
        return known[0]
    matched = None if colon else _SIZE.fullmatch(name)
    if matched is None:
        raise InvalidInput(f"Provided instance type doesn't exist: {name}")
    cpus, memory = matched["cpus"], matched["memory"]
    has_both = bool(cpus and memory)
    if bool(matched["dash"]) != has_both or float(cpus or 0) == float(memory or 0) == 0:
        raise InvalidInput(f"Bad instance type: {name}")
    return float(cpus or 0), float(memory or 0)
