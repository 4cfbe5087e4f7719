"""`lxd init`: storage, network and access of a new daemon; a plan is made, then applied.

Spec: cli.md section 9.3; `--preseed` takes the YAML of later releases (config, storage_pools,
networks, profiles).
"""

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wardian.client.connection import ApiError, Connection, UnixPlace, quote
from wardian.daemon import setup_pools
from wardian.errors import InvalidInput, WardianError

BRIDGES = 100
PRESEED_BYTES = 1024 * 1024


@dataclass
class Plan:
    """What init will ask the daemon for, as bodies of API requests."""

    config: dict[str, str] = field(default_factory=dict)
    pools: list[dict[str, Any]] = field(default_factory=list)
    networks: list[dict[str, Any]] = field(default_factory=list)
    profiles: list[dict[str, Any]] = field(default_factory=list)


class Asker:
    """Asks questions on a terminal or a pipe; an empty answer is the default."""

    def ask(self, question: str, default: str, accept: Callable[[str], bool]) -> str:
        """The first acceptable answer."""
        while True:
            print(question, end=" ", flush=True)
            line = sys.stdin.readline()
            if not line:
                raise WardianError("no answer on standard input; use `lxd init --auto`, or --preseed")
            answer = line.strip() or default
            if answer and accept(answer):
                return answer
            print("Invalid input, try again.", file=sys.stderr)

    def yes(self, question: str, default: bool) -> bool:
        """A yes or no."""
        shown = "yes" if default else "no"
        text = self.ask(
            f"{question} (yes/no) [default={shown}]?", shown, lambda a: a.lower() in ("yes", "no")
        )
        return text.lower() == "yes"


def parser() -> argparse.ArgumentParser:
    """The grammar of `lxd init`."""
    made = argparse.ArgumentParser(
        prog="lxd init",
        description="Set up storage and network of a new daemon, by questions unless told otherwise.",
        epilog="examples:\n  lxd init --auto\n  lxd init --preseed < setup.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--auto", action="store_true", help="no questions, good defaults")
    made.add_argument("--preseed", action="store_true", help="read the whole set-up as YAML from stdin")
    made.add_argument("--network-address", metavar="ADDR", help="address to bind LXD to")
    made.add_argument("--network-port", metavar="PORT", type=int, help="port to bind LXD to (8443)")
    made.add_argument("--storage-backend", metavar="NAME", help="zfs, btrfs, overlay, lvm or dir")
    made.add_argument("--storage-create-device", metavar="DEVICE", help="make the pool on a block device")
    made.add_argument(
        "--storage-create-loop", metavar="GB", type=int, help="make the pool in a file of that size"
    )
    made.add_argument(
        "--storage-pool",
        metavar="NAME",
        help="name of the pool (default); with zfs and lvm, what it is on",
    )
    made.add_argument("--trust-password", metavar="PASSWORD", help="password for new clients")
    made.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--verbose", action="store_true", help=argparse.SUPPRESS)
    return made


def run_init(arguments: list[str], lxd_dir: str | None) -> int:
    """Run `lxd init`; its exit status. WardianError for what the user must be told."""
    options = parser().parse_args(arguments)
    if os.geteuid() != 0:
        raise WardianError("This must be run as root")
    _check(options)
    daemon = Connection(UnixPlace(os.path.join(lxd_dir or "/var/lib/lxd", "unix.socket")))
    try:
        daemon.get("/1.0")
    except ApiError as error:
        raise WardianError(f"Unable to talk to LXD: {error}") from error
    if options.preseed:
        apply(daemon, preseed(sys.stdin.read(PRESEED_BYTES + 1)))
    else:
        if daemon.get("/1.0/containers") or daemon.get("/1.0/images"):
            raise WardianError("You have existing containers or images. lxd init requires an empty LXD.")
        apply(daemon, automatic(daemon, options) if options.auto else interactive(daemon, Asker()))
    print("LXD has been successfully configured.")
    return 0


def _check(options: argparse.Namespace) -> None:
    given = [
        options.network_address,
        options.network_port,
        options.storage_backend,
        options.storage_create_device,
        options.storage_create_loop,
        options.storage_pool,
        options.trust_password,
    ]
    if not options.auto and any(value is not None for value in given):
        raise InvalidInput("Init configuration is only valid with --auto")
    setup_pools.check(options)
    if options.network_port and not options.network_address:
        raise InvalidInput("--network-port cannot be used without --network-address.")
    if options.trust_password and not options.network_address:
        raise InvalidInput("--trust-password cannot be used without --network-address.")


# --- plans -------------------------------------------------------------------------------------


def automatic(daemon: Connection, options: argparse.Namespace) -> Plan:
    """The plan of `--auto`: what exists already is kept."""
    plan = Plan()
    pool = options.storage_pool or "default"
    pools = [url.rsplit("/", 1)[1] for url in daemon.get("/1.0/storage-pools")]
    if pools and options.storage_pool is None:
        pool = pools[0]
    else:
        plan.pools.append(setup_pools.by_options(options))
        pool = plan.pools[0]["name"]
    plan.networks.append({"name": free_bridge(), "config": {}})
    if options.network_address:
        plan.config = _access(
            options.network_address, options.network_port or 8443, options.trust_password or ""
        )
    plan.profiles.append(default_profile(pool, plan.networks[0]["name"]))
    return plan


def free_bridge() -> str:
    """lxdbr0, or the next name that no interface of this host has (another daemon's bridge)."""
    for number in range(BRIDGES):
        if not Path(f"/sys/class/net/lxdbr{number}").exists():
            return f"lxdbr{number}"
    raise WardianError("the host has 100 bridges named lxdbrN already; remove some")


def default_profile(pool: str, bridge: str) -> dict[str, Any]:
    """The devices that every container gets."""
    devices: dict[str, Any] = {"root": {"type": "disk", "path": "/", "pool": pool}}
    if bridge:
        devices["eth0"] = {"type": "nic", "nictype": "bridged", "parent": bridge, "name": "eth0"}
    return {"name": "default", "description": "Default LXD profile", "config": {}, "devices": devices}


def _access(address: str, port: int, password: str) -> dict[str, str]:
    bracketed = f"[{address}]" if ":" in address and not address.startswith("[") else address
    config = {"core.https_address": f"{bracketed}:{port}"}
    return config | ({"core.trust_password": password} if password else {})


def interactive(daemon: Connection, asker: Asker) -> Plan:
    """The plan that the answers make (questions and order: spec/cli.md section 9.3)."""
    plan = Plan()
    pools = [url.rsplit("/", 1)[1] for url in daemon.get("/1.0/storage-pools")]
    pool = pools[0] if pools else "default"
    if asker.yes("Do you want to configure a new storage pool", not pools):
        plan.pools.append(setup_pools.by_questions(asker))
        pool = plan.pools[0]["name"]
    bridge = ""
    if asker.yes("Would you like to create a new network bridge", True):
        wanted = free_bridge()
        bridge = asker.ask(f"Name of the new bridge [default={wanted}]:", wanted, lambda a: len(a) < 16)
        config = {}
        for family in (4, 6):
            question = f'IPv{family} address (CIDR notation, "auto" or "none") [default=auto]:'
            config[f"ipv{family}.address"] = asker.ask(question, "auto", bool)
        plan.networks.append({"name": bridge, "config": config})
    if asker.yes("Would you like LXD to be available over the network", False):
        plan.config = _ask_access(asker)
    plan.profiles.append(default_profile(pool, bridge))
    return plan


def _ask_access(asker: Asker) -> dict[str, str]:
    address = asker.ask("Address to bind LXD to (not including port) [default=all]:", "all", bool)
    port = asker.ask(
        "Port to bind LXD to [default=8443]:", "8443", lambda a: a.isdigit() and 0 < int(a) < 65536
    )
    while True:
        password = getpass.getpass("Trust password for new clients: ")
        if password == getpass.getpass("Again: "):
            break
        print("Invalid input, try again.", file=sys.stderr)
    return _access("::" if address == "all" else address, int(port), password)


def preseed(text: str) -> Plan:
    """The plan in a YAML document; InvalidInput naming what is wrong."""
    if len(text) > PRESEED_BYTES:
        raise InvalidInput("the preseed is larger than 1 MiB")
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInput(f"the preseed is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InvalidInput("the preseed is not a map")
    if unknown := set(found) - {"config", "storage_pools", "networks", "profiles"}:
        raise InvalidInput(f'the preseed has an unknown part "{sorted(unknown)[0]}"')
    config = {str(k): units_text(v) for k, v in (found.get("config") or {}).items()}
    listed = [found.get(part) or [] for part in ("storage_pools", "networks", "profiles")]
    for part in listed:
        if not isinstance(part, list) or not all(isinstance(e, dict) and "name" in e for e in part):
            raise InvalidInput(
                "the preseed's storage_pools, networks and profiles are lists of maps with a name"
            )
    pools, networks, profiles = ([_texts(entry) for entry in part] for part in listed)
    return Plan(config, pools, networks, profiles)


def units_text(value: Any) -> str:
    """A YAML scalar as the text that the API takes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(entry: dict[str, Any]) -> dict[str, Any]:
    shown = dict(entry)
    if isinstance(shown.get("config"), dict):
        shown["config"] = {str(k): units_text(v) for k, v in shown["config"].items()}
    if isinstance(shown.get("devices"), dict):
        shown["devices"] = {
            name: {str(k): units_text(v) for k, v in device.items()}
            for name, device in shown["devices"].items()
        }
    return shown


# --- doing it ----------------------------------------------------------------------------------


def apply(daemon: Connection, plan: Plan) -> None:
    """Ask the daemon for everything; what was made is taken back if a later step fails."""
    undo: list[tuple[str, str, Any]] = []
    try:
        if plan.config:
            before = daemon.get("/1.0")["config"]
            daemon.request("PATCH", "/1.0", {"config": plan.config})
            undo.append(("PUT", "/1.0", {"config": before}))
        for place, bodies in (("storage-pools", plan.pools), ("networks", plan.networks)):
            for body in bodies:
                daemon.request("POST", f"/1.0/{place}", body)
                undo.append(("DELETE", f"/1.0/{place}/{quote(body['name'])}", None))
        for body in plan.profiles:
            _put_profile(daemon, body, undo)
    except ApiError as error:
        for verb, path, content in reversed(undo):
            daemon.request(verb, path, content)
        raise WardianError(str(error)) from error


def _put_profile(daemon: Connection, body: dict[str, Any], undo: list[tuple[str, str, Any]]) -> None:
    path = f"/1.0/profiles/{quote(body['name'])}"
    try:
        before = daemon.get(path)
    except ApiError:
        daemon.request("POST", "/1.0/profiles", body)
        undo.append(("DELETE", path, None))
        return
    content = {key: body.get(key, before[key]) for key in ("config", "description", "devices")}
    daemon.request("PUT", path, content)
    undo.append(("PUT", path, {key: before[key] for key in ("config", "description", "devices")}))
