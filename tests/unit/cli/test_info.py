"""What `lxc info` prints of a container."""

from typing import Any

from wardian.cli.info import lines

COUNTERS = {"bytes_received": 1500, "bytes_sent": 0, "packets_received": 3, "packets_sent": 0}


def container(network: dict[str, Any]) -> dict[str, Any]:
    memory = dict.fromkeys(("usage", "usage_peak", "swap_usage", "swap_usage_peak"), 0)
    state = {
        "pid": 7,
        "processes": 1,
        "cpu": {"usage": 0},
        "disk": None,
        "memory": memory,
        "network": network,
    }
    return {
        "name": "c1",
        "architecture": "x86_64",
        "created_at": "2016-03-20T23:00:00Z",
        "status": "Running",
        "ephemeral": False,
        "profiles": ["default"],
        "state": state,
    }


def test_an_interface_that_has_just_come_has_no_counters() -> None:
    interface = {"addresses": [], "hwaddr": "", "state": "up"}
    counted = interface | {"counters": COUNTERS}
    said = lines(container({"eth0": interface, "eth1": counted}), "unix://")
    assert "    eth0:" not in said
    assert said[said.index("    eth1:") + 1] == "      Bytes received: 1.46kB"
