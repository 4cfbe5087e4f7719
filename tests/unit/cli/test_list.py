"""Which containers `lxc list` shows, and in which columns."""

from typing import Any

import pytest

from wardian.cli import list as listing
from wardian.client.connection import ApiError

SPRING = "2016/03/20 02:11 UTC"
C1: dict[str, Any] = {
    "name": "c1",
    "status": "Running",
    "type": "container",
    "architecture": "x86_64",
    "ephemeral": False,
    "description": "Web",
    "last_used_at": "2016-03-20T02:11:00Z",
    "profiles": ["default"],
    "config": {"volatile.base_image": "0123456789abcdef"},
    "expanded_config": {"user.env": "production", "limits.cpu": "2"},
    "expanded_devices": {
        "root": {"type": "disk", "path": "/", "pool": "fast"},
        "eth0": {"type": "nic", "parent": "br0"},
    },
    "state": {
        "pid": 7,
        "processes": 3,
        "memory": {"usage": 2048},
        "cpu": {"usage": 3_999_999_999},
        "disk": {"root": {"usage": 1 << 20}},
        "network": {"eth0": {"type": "broadcast", "addresses": [{"address": "10.0.3.7"}]}},
    },
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("c", True),
        ("^c[0-9]$", True),
        ("d", False),
        ("status=running", True),
        ("status=RUN", False),
        ("type=container", True),
        ("type=virtual-machine", False),
        ("ephemeral=false", True),
        ("u.env=prod.*", True),
        ("u.env=prod", False),
        ("ipv4=10.0.3.7", True),
        ("ipv4=10.0.3.0/24", True),
        ("ipv4=10.0.4.0/24", False),
    ],
)
def test_a_filter(text: str, matches: bool) -> None:
    assert listing.matches(C1, text) is matches


@pytest.mark.parametrize(
    ("columns", "headers", "cells"),
    [
        ("nsb", ["NAME", "STATE", "STORAGE POOL"], ["c1", "RUNNING", "fast"]),
        ("dfl", ["DESCRIPTION", "BASE IMAGE", "LAST USED AT"], ["Web", "0123456789ab", SPRING]),
        ("mNuD", ["MEMORY USAGE", "PROCESSES", "CPU USAGE", "DISK USAGE"], ["2.00kB", "3", "3s", "1.00MB"]),
        ("n,user.env:ENV:4,limits.cpu", ["NAME", "ENV", "LIMITS.CPU"], ["c1", "prod", "2"]),
        ("config:user.env,devices:eth0.parent:NIC", ["USER.ENV", "NIC"], ["production", "br0"]),
    ],
)  # fmt: skip
def test_columns(columns: str, headers: list[str], cells: list[str]) -> None:
    chosen = listing.chosen(columns)
    assert [header for header, _, _ in chosen] == headers
    assert [cell(C1) for _, cell, _ in chosen] == cells


@pytest.mark.parametrize("columns", ["nX", "", "n,,s", "user.a:A:wide"])
def test_columns_that_there_are_not(columns: str) -> None:
    with pytest.raises(ApiError):
        listing.chosen(columns)


def test_a_filter_by_no_address_is_refused() -> None:
    with pytest.raises(ApiError, match="neither an address nor a subnet"):
        listing.matches(C1, "ipv4=here")
