"""Other firewalls, real ones, in a network namespace of their own: opened for a bridge and closed again."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.harness import PYTHON, ROOT

BRIDGE = "wtbridge"
DO = f"""
import asyncio, sys
from wardian.drivers.bridge import firewall
config = {{"ipv4.address": "10.77.0.1/24", "ipv6.address": "none"}}
said = {{
    "apply": lambda: firewall.apply("{BRIDGE}", config),
    "remove": lambda: firewall.remove("{BRIDGE}"),
    "problem": lambda: firewall.problem("{BRIDGE}"),
}}[sys.argv[1]]()
print(asyncio.run(said) or "")
"""
Inside = Callable[..., str]


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Runs a program in an empty network; its output. `firewall WORD` is a function of the driver."""
    name = f"wtfw{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)

    def run(*words: str) -> str:
        argv = [PYTHON, "-c", DO, words[1]] if words[0] == "firewall" else list(words)
        argv = ["ip", "netns", "exec", name, *argv]
        done = subprocess.run(argv, capture_output=True, cwd=ROOT, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield run
    subprocess.run(["ip", "netns", "delete", name], check=True)


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: ./run-tests installs it")


def marks(listing: str) -> list[str]:
    return [line for line in listing.splitlines() if f"wardian: network {BRIDGE}" in line]


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy", "ip6tables-legacy"])
def test_iptables_as_docker_leaves_it(inside: Inside, program: str) -> None:
    need(program)
    for words in ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-P INPUT DROP"):
        inside(program, *words.split())
    before = inside(program, "-S")
    assert "drops traffic of wtbridge; restart lxd" in inside("firewall", "problem")
    inside("firewall", "apply")
    inside("firewall", "apply")
    opened = inside(program, "-S")
    assert len(marks(opened)) == 6
    assert [line for line in marks(opened) if "INPUT" in line and "--dport" not in line] == []
    assert opened.index("wardian") < opened.index("-A FORWARD -j DOCKER-USER")
    assert inside("firewall", "problem") == ""
    inside(program, "-F", "FORWARD")
    assert "FORWARD" in inside("firewall", "problem")
    inside(program, "-A", "FORWARD", "-j", "DOCKER-USER")
    inside("firewall", "apply")
    inside(program, "-P", "INPUT", "ACCEPT")
    inside("firewall", "remove")
    assert inside(program, "-S") == before.replace("-P INPUT DROP", "-P INPUT ACCEPT")


def test_a_chain_that_ends_in_reject(inside: Inside) -> None:
    inside("nft", "add table inet own; add chain inet own f { type filter hook forward priority 0; }")
    inside("nft", "add rule inet own f ct state established accept; add rule inet own f counter reject")
    assert 'nftables chain "own f" drops traffic of wtbridge' in inside("firewall", "problem")
    inside("firewall", "apply")
    rules = inside("nft", "list", "chain", "inet", "own", "f")
    assert len(marks(rules)) == 2 and rules.index("wardian") < rules.index("established")
    assert inside("firewall", "problem") == ""


def test_iptables_that_lets_pass_is_left_alone(inside: Inside) -> None:
    need("iptables-legacy")
    listing = inside("iptables-legacy", "-S")
    inside("firewall", "apply")
    assert inside("firewall", "problem") == "" and inside("iptables-legacy", "-S") == listing


def test_ufw(inside: Inside, tmp_path: Path) -> None:
    need("ufw", "iptables-nft")
    script = f"""
        set -e
        for place in /etc/ufw /etc/default/ufw; do
            copy=$(mktemp --dry-run --tmpdir={tmp_path})
            cp -a $place $copy
            mount --bind $copy $place
        done
        ufw --force enable >/dev/null
        firewall() {{ {PYTHON} -c '{DO}' $1; }}
        firewall apply
        iptables-nft -S | grep -c "wardian: network"
        ufw reload >/dev/null
        firewall problem
        ufw --force disable >/dev/null
        firewall remove
        iptables-nft -S | grep -c "wardian: network" || true
    """
    assert inside("bash", "-c", script).split() == ["6", "0"]


OWNED = """
add table inet firewalld { flags owner; }
add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }
add rule inet firewalld filter_FORWARD reject
list tables
"""


def test_a_firewalld_that_lets_nobody_else_in_is_told_of_the_bridge_by_its_own_command(
    inside: Inside,
) -> None:
    """Newer ones own their table: others get an error from the kernel."""
    with subprocess.Popen(
        ["ip", "netns", "exec", f"wtfw{os.getpid()}", "nft", "--interactive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as owner:
        assert owner.stdin is not None and owner.stdout is not None
        owner.stdin.write(OWNED)
        assert "firewalld" in owner.stdout.readline()
        inside("firewall", "apply")
        assert f"--zone=trusted --add-interface={BRIDGE}" in inside("firewall", "problem")
        owner.stdin.write(
            f'insert rule inet firewalld filter_FORWARD iifname "{BRIDGE}" accept\nlist tables\n'
        )
        assert "firewalld" in owner.stdout.readline()
        assert inside("firewall", "problem") == ""
        inside("firewall", "remove")
