"""What is read of processors, memory, disks and cards, from a made-up host."""

from pathlib import Path

from wardian.linux import hardware, processors

PCI = "sys/devices/pci0000:00/0000:00:03.0"
CPUINFO = """processor\t: {0}
vendor_id\t: Maker
model name\t: Fast {1}
cpu MHz\t\t: 2600.5
"""


def write(root: Path, files: dict[str, str]) -> None:
    """Make files below a folder."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content + "\n")


def link(root: Path, path: str, target: str) -> None:
    """A link as sysfs has them."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(root / target)


def thread(number: int, socket: int, core: int) -> dict[str, str]:
    """What sysfs says of a thread of a processor."""
    folder = f"sys/devices/system/cpu/cpu{number}"
    return {
        f"{folder}/topology/physical_package_id": str(socket),
        f"{folder}/topology/core_id": str(core),
        f"{folder}/topology/die_id": "-1",
        f"{folder}/node{socket}/x": "",
        f"{folder}/cache/index0/level": "1",
        f"{folder}/cache/index0/type": "Data",
        f"{folder}/cache/index0/size": "48K",
    }


def test_processors_are_threads_in_cores_in_sockets(tmp_path: Path) -> None:
    for number, (socket, core) in enumerate([(0, 0), (1, 4), (0, 0), (1, 5), (0, 1)]):
        write(tmp_path, thread(number, socket, core))
    write(tmp_path, {"sys/devices/system/cpu/isolated": "2-3", "sys/devices/system/cpu/cpu4/online": "0"})
    write(tmp_path, {"sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "3100000"})
    write(tmp_path, {"sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq": "4000000"})
    write(tmp_path, {"proc/cpuinfo": "\n".join(CPUINFO.format(n, n) for n in range(5))})
    shown = processors.describe("x86_64", tmp_path)
    first, second = shown["sockets"]
    assert (shown["total"], shown["architecture"]) == (5, "x86_64")
    assert (first["name"], first["vendor"], first["frequency"]) == ("Fast 0", "Maker", 2600)
    assert first["cache"] == [{"level": 1, "type": "Data", "size": 48 * 1024}]
    ids = [[(t["id"], t["thread"]) for t in core["threads"]] for core in first["cores"]]
    assert ids == [[(0, 0), (2, 1)], [(4, 0)]]
    assert [t["isolated"] for core in first["cores"] for t in core["threads"]] == [False, True, False]
    assert not first["cores"][1]["threads"][0]["online"]
    assert [core["core"] for core in second["cores"]] == [4, 5]
    assert second["cores"][0]["frequency"] == second["frequency"] == 3100
    assert second["frequency_turbo"] == 4000 and "frequency_turbo" not in first
    assert second["cores"][0]["threads"][0]["numa_node"] == 1


def test_memory_of_the_host_and_of_its_nodes(tmp_path: Path) -> None:
    huge = "HugePages_Total: {0}\nHugePages_Free: {1}\n"
    write(
        tmp_path,
        {
            "proc/meminfo": f"MemTotal: 1000 kB\nMemAvailable: 600 kB\n{huge.format(4, 1)}"
            "Hugepagesize: 2 kB",
            "sys/devices/system/node/node10/meminfo": "Node 10 MemTotal: 50 kB\nNode 10 MemFree: 20 kB",
            "sys/devices/system/node/node2/meminfo": "Node 2 MemTotal: 900 kB\nNode 2 MemFree: 300 kB\n"
            "Node 2 FilePages: 110 kB\nNode 2 Shmem: 10 kB\nNode 2 HugePages_Total: 4\n"
            "Node 2 HugePages_Free: 1",
        },
    )
    shown = hardware.memory(tmp_path)
    assert (shown["total"], shown["used"]) == (1000 * 1024, 400 * 1024)
    assert (shown["hugepages_total"], shown["hugepages_used"], shown["hugepages_size"]) == (8192, 6144, 2048)
    assert [node["numa_node"] for node in shown["nodes"]] == [2, 10]
    assert [node["used"] for node in shown["nodes"]] == [500 * 1024, 30 * 1024]
    assert shown["nodes"][0]["hugepages_used"] == 6144


def test_disks_and_cards_that_hardware_stands_behind(tmp_path: Path) -> None:
    write(tmp_path, {"sys/block/loop0/size": "8", f"{PCI}/vendor": "0x1af4", f"{PCI}/device": "0x1041"})
    write(tmp_path, {f"{PCI}/virtio2/net/eth0/address": "02:00:00:00:00:01"})
    write(tmp_path, {f"{PCI}/virtio2/net/eth0/{file}": "1" for file in ("type", "carrier")})
    write(tmp_path, {f"{PCI}/virtio2/net/eth0/speed": "10000", f"{PCI}/virtio2/net/eth0/duplex": "full"})
    write(tmp_path, {f"{PCI}/drm/card0/dev": "226:0", f"{PCI}/drm/renderD128/dev": "226:128"})
    write(tmp_path, {f"{PCI}/block/sda/{file}": "8" for file in ("size", "removable")})
    write(tmp_path, {f"{PCI}/block/sda/device/model": "Disk", f"{PCI}/block/sda/queue/rotational": "1"})
    write(tmp_path, {f"{PCI}/block/sda/sda1/{file}": "1" for file in ("size", "partition", "ro")})
    link(tmp_path, f"{PCI}/virtio2/net/eth0/device", f"{PCI}/virtio2")
    link(tmp_path, f"{PCI}/drm/card0/device", PCI)
    link(tmp_path, "sys/class/net/eth0", f"{PCI}/virtio2/net/eth0")
    link(tmp_path, "sys/class/net/lo", "sys/devices/virtual/net/lo")
    link(tmp_path, "sys/class/drm/card0", f"{PCI}/drm/card0")
    link(tmp_path, "sys/class/drm/card0-HDMI-A-1", f"{PCI}/drm/card0")
    link(tmp_path, "sys/block/sda", f"{PCI}/block/sda")
    [card] = hardware.interfaces(tmp_path)["cards"]
    assert (card["vendor_id"], card["product_id"], card["pci_address"]) == ("1af4", "1041", "0000:00:03.0")
    [port] = card["ports"]
    assert (port["id"], port["protocol"], port["link_speed"]) == ("eth0", "ethernet", 10000)
    [gpu] = hardware.graphics(tmp_path)["cards"]
    assert gpu["drm"]["card_device"] == "226:0" and gpu["drm"]["render_name"] == "renderD128"
    [disk] = hardware.disks(tmp_path)["disks"]
    assert (disk["id"], disk["model"], disk["size"], disk["removable"]) == ("sda", "Disk", 4096, False)
    assert disk["partitions"] == [
        {"id": "sda1", "device": "", "read_only": True, "size": 512, "partition": 1},
    ]
