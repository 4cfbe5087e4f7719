"""The processors of the host, as the kernel describes them (sysfs-devices-system-cpu, proc_cpuinfo(5)).

The shape is that of the API: GET /1.0/resources, extension `resources_v2`. Sizes are bytes,
frequencies MHz.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from wardian.model import cpus
from wardian.model.units import parse_size

NAMES = {"name": ("model name", "cpu"), "vendor": ("vendor_id", "machine")}
"""What /proc/cpuinfo calls it, by architecture."""
FREQUENCIES = {
    "frequency": "scaling_cur_freq",
    "frequency_minimum": "cpuinfo_min_freq",
    "frequency_turbo": "cpuinfo_max_freq",
}


def describe(architecture: str, root: Path = Path("/")) -> dict[str, Any]:
    """Sockets, in them cores, in them threads; `total` counts the threads. root: of sysfs and procfs."""
    folder = root / "sys/devices/system/cpu"
    threads = sorted(folder.glob("cpu[0-9]*"), key=_number)
    sockets: dict[int, list[Path]] = defaultdict(list)
    for thread in threads:
        sockets[integer(thread / "topology/physical_package_id")].append(thread)
    described = _cpuinfo(root / "proc/cpuinfo")
    isolated = set(cpus.parse_list(text(folder / "isolated")))
    return {
        "architecture": architecture,
        "sockets": [
            _socket(max(number, 0), members, described, isolated)
            for number, members in sorted(sockets.items())
        ],
        "total": len(threads),
    }


def _number(thread: Path) -> int:
    return int(thread.name.removeprefix("cpu"))


def _socket(
    number: int, threads: list[Path], described: dict[int, dict[str, str]], isolated: set[int]
) -> dict[str, Any]:
    cores: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for thread in threads:
        die, core = (integer(thread / "topology" / file) for file in ("die_id", "core_id"))
        cores[max(die, 0), max(core, 0)].append(thread)
    words = described.get(_number(threads[0]), {})
    found: dict[str, Any] = {
        "socket": number,
        "cache": _caches(threads[0] / "cache"),
        "cores": [_core(die, core, members, isolated) for (die, core), members in sorted(cores.items())],
    }
    for field, names in NAMES.items():
        found[field] = next((words[name] for name in names if name in words), "")
    speeds = {field: _frequency(threads, file) for field, file in FREQUENCIES.items()}
    speeds["frequency"] = speeds["frequency"] or int(float(words.get("cpu MHz", "0")))
    return found | {field: speed for field, speed in speeds.items() if speed}


def _core(die: int, core: int, threads: list[Path], isolated: set[int]) -> dict[str, Any]:
    shown = {
        "core": core,
        "die": die,
        "threads": [_thread(index, path, isolated) for index, path in enumerate(threads)],
    }
    speed = _frequency(threads, FREQUENCIES["frequency"])
    return shown | ({"frequency": speed} if speed else {})


def _thread(index: int, path: Path, isolated: set[int]) -> dict[str, Any]:
    number = _number(path)
    nodes = [node.name.removeprefix("node") for node in path.glob("node[0-9]*")]
    return {
        "id": number,
        "thread": index,
        "numa_node": int(nodes[0]) if nodes else 0,
        "online": integer(path / "online") != 0,  # the first often has no such file: it cannot go
        "isolated": number in isolated,
    }


def _caches(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "level": integer(index / "level"),
            "type": text(index / "type"),
            "size": parse_size(f"{text(index / 'size').removesuffix('K') or 0}kB"),
        }
        for index in sorted(folder.glob("index[0-9]*"))
    ]


def _frequency(threads: list[Path], file: str) -> int:
    """The highest of these threads, MHz; 0 if the kernel does not say."""
    return max(0, *(integer(thread / "cpufreq" / file) for thread in threads)) // 1000


def _cpuinfo(file: Path) -> dict[int, dict[str, str]]:
    """What is said of each processor, by its number."""
    found: dict[int, dict[str, str]] = {}
    for block in file.read_text(errors="replace").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        words = {key.strip(): value.strip() for key, _, value in pairs}
        if words.get("processor", "").isdigit():
            found[int(words["processor"])] = words
    return found


def text(file: Path) -> str:
    """The content of a file of sysfs; empty if there is none, or it cannot be read just now."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def integer(file: Path) -> int:
    """A number that a file of sysfs holds; -1 if there is none."""
    content = text(file)
    try:
        return int(content, 0)
    except ValueError:
        return -1
