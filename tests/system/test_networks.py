"""Managed networks, beside other firewalls and with wrong input."""

import json
import subprocess

from tests.system.harness import Daemon

FOREIGN = """
table ip wtforeign {
    chain FORWARD { type filter hook forward priority 0; policy drop; iifname != "BRIDGE" accept; }
    chain INPUT { type filter hook input priority 0; policy drop; iifname != "BRIDGE" accept; }
}
"""


def nft(*words: str, stdin: str = "") -> str:
    completed = subprocess.run(["nft", *words], input=stdin.encode(), capture_output=True, check=True)
    return completed.stdout.decode()


def test_a_firewall_that_drops_is_opened_for_the_bridge_and_closed_again(daemon: Daemon) -> None:
    bridge = f"{daemon.bridge}f"
    nft("-f", "-", stdin=FOREIGN.replace("BRIDGE", bridge))
    try:
        daemon.lxc("network", "create", bridge, "ipv6.address=none")
        rules = nft("list", "table", "ip", "wtforeign")
        assert rules.count(f"wardian: network {bridge}") == 6
        _, _, incoming = rules.partition("chain INPUT")
        assert incoming.index(f'iifname "{bridge}" udp') < incoming.index("!=")
        assert daemon.lxc("network", "show", bridge).count("warning") == 0
        # Atomically: this chain must not drop what others forward (or bridge, with br_netfilter) meanwhile.
        others = f'add rule ip wtforeign FORWARD iifname != "{bridge}" accept'
        nft("-f", "-", stdin=f"flush chain ip wtforeign FORWARD\n{others}\n")
        assert "wtforeign FORWARD" in daemon.lxc("network", "show", bridge)
        daemon.lxc("network", "delete", bridge)
        assert f"network {bridge}" not in nft("list", "table", "ip", "wtforeign")
    finally:
        nft("delete", "table", "ip", "wtforeign")


def test_wrong_networks_are_refused_by_name(daemon: Daemon) -> None:
    assert 'unknown key "ipv4.adress"' in daemon.error("network", "create", "wtx", "ipv4.adress=none")
    assert "ipv4.address" in daemon.error("network", "create", "wtx", "ipv4.address=10.0.0.1")
    assert "has an interface" in daemon.error("network", "create", "lo")
    assert daemon.error("network", "create", "much-too-long-a-name")
    assert "is in use by" in daemon.error("network", "delete", daemon.bridge)
    for words in (("set", "lo", "ipv4.nat", "true"), ("delete", "lo"), ("rename", "lo", "wtx")):
        assert '"lo" is an interface of the host' in daemon.error("network", *words)
    assert "wtx" not in daemon.lxc("network", "list")


def test_the_subnet_of_another_interface_is_not_taken(daemon: Daemon) -> None:
    own = daemon.lxc("network", "get", daemon.bridge, "ipv4.address").strip()
    taken, bridge = own.replace(".1/", ".9/"), f"{daemon.bridge}g"
    told = f"where {daemon.bridge} is; choose another subnet"
    assert told in daemon.error("network", "create", bridge, f"ipv4.address={taken}")
    assert bridge not in daemon.lxc("network", "list")
    daemon.lxc("network", "create", bridge)
    assert told in daemon.error("network", "set", bridge, "ipv4.address", taken)
    daemon.lxc("network", "set", bridge, "ipv4.nat", "false")
    daemon.lxc("network", "delete", bridge)
    daemon.lxc("network", "set", daemon.bridge, "ipv4.address", taken)
    daemon.lxc("network", "set", daemon.bridge, "ipv4.address", own)


def test_a_path_is_no_network(daemon: Daemon) -> None:
    for name in ("%2e", "%2e%2e", "..%2Fnet%2Flo", "lo%2F"):
        for verb in ("GET", "DELETE"):
            reply = json.loads(daemon.request(verb, f"/1.0/networks/{name}"))
            assert reply.get("error_code") == 404, (verb, name, reply)


def test_a_change_is_applied_at_once(daemon: Daemon) -> None:
    bridge = f"{daemon.bridge}g"
    daemon.lxc("network", "create", bridge)
    config = json.loads(daemon.request("GET", f"/1.0/networks/{bridge}"))["metadata"]["config"]
    daemon.lxc("network", "set", bridge, "ipv4.nat", "false")
    assert config["ipv4.address"].split("/")[0] not in nft("list", "table", "inet", f"wardian_{bridge}")
    assert daemon.lxc("network", "get", bridge, "ipv4.address").strip() == config["ipv4.address"]
    daemon.lxc("network", "delete", bridge)


def test_the_address_of_a_deleted_container_is_free_at_once(daemon: Daemon) -> None:
    """Else a network would run out of addresses where many containers come and go within an hour."""
    bridge = f"{daemon.bridge}h"
    daemon.lxc("network", "create", bridge, "ipv6.address=none")
    own, _, _ = daemon.lxc("network", "get", bridge, "ipv4.address").strip().partition("/")
    daemon.lxc("network", "set", bridge, "ipv4.address", f"{own}/29")  # five for containers
    try:
        for number in range(7):
            daemon.lxc("init", "bb", f"brief{number}")
            nic = ("nic", "nictype=bridged", f"parent={bridge}", "name=eth0")
            daemon.lxc("config", "device", "add", f"brief{number}", "eth0", *nic)
            daemon.lxc("start", f"brief{number}")
            assert daemon.wait_address(f"brief{number}")
            assert f"brief{number}," in daemon.lxc("network", "list-leases", bridge, "--format", "csv")
            daemon.lxc("delete", "-f", f"brief{number}")
    finally:
        for name in daemon.names():
            if name.startswith("brief"):
                daemon.lxc("delete", "-f", name)
        daemon.lxc("network", "delete", bridge)
