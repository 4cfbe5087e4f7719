"""What the shells are offered: commands, objects, and what the tables of keys and devices say."""

from typing import Any

import pytest

from wardian.cli import completion
from wardian.cli.session import Session
from wardian.client.config import Config

C1 = {
    "config": {"limits.cpu": "2", "user.x": "y"},
    "devices": {"web": {"type": "proxy", "listen": "tcp:0.0.0.0:80"}},
    "expanded_devices": {
        "web": {"type": "proxy"},
        "eth0": {"type": "nic", "nictype": "p2p"},
        "root": {"type": "disk", "path": "/"},
    },
}
ANSWERS: dict[str, Any] = {
    "/1.0/containers": ["/1.0/containers/c1", "/1.0/containers/c2"],
    "/1.0/containers/c1": C1,
    "/1.0/containers/c1/snapshots": [
        "/1.0/containers/c1/snapshots/snap0",
        "/1.0/containers/c1/snapshots/a%20b",
    ],
    "/1.0/profiles": ["/1.0/profiles/default"],
    "/1.0/profiles/default": {"config": {}, "devices": {"eth0": {"type": "nic", "nictype": "macvlan"}}},
    "/1.0/networks": ["/1.0/networks/br0"],
    "/1.0/networks/br0": {"config": {"ipv4.address": "10.0.0.1/24"}},
    "/1.0/storage-pools": ["/1.0/storage-pools/default"],
    "/1.0/storage-pools/default": {"config": {}},
    "/1.0/images/aliases": [],
    "/1.0/operations?recursion=1": {"running": [{"id": "0a-1b"}]},
}


class Daemon:
    def get(self, path: str) -> Any:
        return ANSWERS[path]


class FakeSession(Session):
    """One that knows a daemon."""

    def at(self, remote: object) -> Any:
        return Daemon()


def offered(line: str) -> list[str]:
    """What can stand where the line ends."""
    return completion.words(FakeSession(Config({"aliases": {"my": "list"}})), line.split(" ")[1:])


@pytest.mark.parametrize(
    ("line", "some", "others"),
    [
        ("lxc config set ", ["c1", "core.https_address", "storage.zfs_pool_name"], ["limits.cpu"]),
        ("lxc config set co", ["core.https_address", "core.trust_password"], ["c1"]),
        ("lxc config set images.auto_update_cached ", ["true", "false"], []),
        ("lxc config set images.compression_algorithm=", ["images.compression_algorithm=zstd"], []),
        ("lxc config set c1 ", ["limits.cpu", "user.", "limits.kernel."], ["core.https_address"]),
        ("lxc config set c1 limits.memory.e", ["limits.memory.enforce"], ["limits.memory"]),
        ("lxc config set c1 limits.memory.enforce ", ["hard", "soft"], []),
        ("lxc config set c1 limits.memory.enforce=h", ["limits.memory.enforce=hard"], []),
        ("lxc config set c1 limits.cpu=2 security.n", ["security.nesting="], ["limits.cpu="]),
        ("lxc config unset c1 ", ["limits.cpu", "user.x"], ["limits.memory"]),
        ("lxc config set --dry-run c1 boot.autostart ", ["true"], []),
        ("lxc config show ", ["c1"], ["limits.cpu"]),
        ("lxc config device ", ["add", "override"], ["c1"]),
        ("lxc config device add ", ["c1"], []),
        ("lxc config device add c1 x ", ["nic", "disk", "proxy", "gpu"], []),
        ("lxc config device add c1 x nic ", ["nictype=", "network=", "ipv4.address="], ["path="]),
        ("lxc config device add c1 x nic nictype=r", ["nictype=routed"], ["nictype=p2p"]),
        ("lxc config device add c1 x nic nictype=p2p ", ["limits.max="], ["nictype=", "parent="]),
        ("lxc config device add c1 x disk path=/x readonly=", ["readonly=true", "readonly=false"], []),
        ("lxc config device set c1 ", ["web"], ["eth0"]),
        ("lxc config device set c1 web ", ["nat", "connect"], ["mtu"]),
        ("lxc config device set c1 web nat ", ["true"], []),
        ("lxc config device unset c1 web ", ["listen"], ["nat"]),
        ("lxc config device override c1 ", ["eth0", "root"], ["web"]),
        ("lxc config device override c1 eth0 ", ["limits.max="], ["parent="]),
        ("lxc profile set ", ["default"], ["c1"]),
        ("lxc profile set default raw.", ["raw.lxc", "raw.seccomp"], []),
        ("lxc profile device set default eth0 ", ["parent"], ["security.mac_filtering"]),
        ("lxc profile add ", ["c1"], ["default"]),
        ("lxc profile add c1 ", ["default"], ["c1"]),
        ("lxc network set br0 ", ["bridge.mtu", "ipv6.dhcp.stateful", "user."], []),
        ("lxc network set br0 ipv4.nat ", ["true"], []),
        ("lxc network create br1 ipv6.address=", ["ipv6.address=none"], []),
        ("lxc network unset br0 ", ["ipv4.address"], ["bridge.mtu"]),
        ("lxc storage set default ", ["size"], []),
        ("lxc storage create fast ", ["btrfs", "overlay", "zfs", "lvm"], []),
        ("lxc storage create fast dir ", ["source="], []),
        ("lxc no", [], ["nothing"]),
        ("lxc ", ["console", "query", "my"], []),
        ("lxc ls --format ", ["csv", "yaml"], ["c1"]),
        ("lxc list --format=", ["--format=csv"], []),
        ("lxc list -f ", ["compact"], ["c1"]),
        ("lxc launch bb -p ", ["default"], ["c1"]),
        ("lxc launch -p default -s ", ["default"], []),
        ("lxc launch -p default ", ["debian:", "local:"], ["c1"]),
        ("lxc stop --timeout ", [], ["c1"]),
        ("lxc stop --timeout 5 ", ["c1"], []),
        ("lxc copy c1 c2 --mode ", ["relay"], ["c1"]),
        ("lxc network attach ", ["br0"], ["c1"]),
        ("lxc network attach br0 ", ["c1"], ["br0"]),
        ("lxc network attach-profile br0 ", ["default"], ["c1"]),
        ("lxc config template ", ["list", "edit"], ["c1"]),
        ("lxc config template edit ", ["c1"], []),
        ("lxc config metadata show ", ["c1"], ["show"]),
        ("lxc config trust ", ["add", "list-tokens"], ["c1"]),
        ("lxc image alias ", ["create"], []),
        ("lxc storage volume ", ["attach"], ["default"]),
        ("lxc storage volume list ", ["default"], []),
        ("lxc operation show ", ["0a-1b"], []),
        ("lxc alias remove ", ["my"], []),
        ("lxc remote switch ", ["local"], []),
        ("lxc console ", ["c1"], []),
        ("lxc delete c1/", ["c1/snap0", "c1/a b"], ["c1"]),
        ("lxc copy local:c1/s", ["local:c1/snap0"], []),
        ("lxc config show c1/", ["c1/snap0"], []),
        ("lxc restore ", ["c1"], ["snap0"]),
        ("lxc restore c1 ", ["snap0"], ["c1"]),
        ("lxc file pull c1/", [], ["c1/snap0"]),
        ("lxc exec c1 -- ", [], ["c1"]),
        ("lxc launch debian:", ["debian:bookworm"], []),
        ("lxc launch bb ", [], ["debian:"]),
        ("lxc help st", ["start", "stop"], []),
    ],
)  # fmt: skip
def test_words_that_can_stand_there(line: str, some: list[str], others: list[str]) -> None:
    found = offered(line)
    assert [word for word in some if word not in found] == []
    assert [word for word in others if word in found] == []
    assert len(found) == len(set(found))


def test_a_remote_stays_in_front_of_what_is_there() -> None:
    assert offered("lxc config set local:c1 limits.cpu.a") == ["limits.cpu.allowance"]
    assert "core.https_address" in offered("lxc config set local: ")
