"""`lxd init`: storage, network and access of a new daemon; a plan is made, then applied.

Spec: cli.md section 9.3; `--preseed` takes the YAML of later releases (config, storage_pools,
networks, profiles).
"""

import argparse
import ipaddress
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wardian.client.connection import ApiError, Connection, quote
from wardian.daemon import setup_options, setup_pools
from wardian.daemon.host_ids import default_idmap
from wardian.daemon.setup_questions import Asker
from wardian.errors import InvalidInput, WardianError
from wardian.linux import userns
from wardian.model import names, network, written

BRIDGES = 100
NOT_FOUND = 404
WRITABLE = ("config", "description", "devices")
"""What pools, networks and profiles have that can be changed; not all of them have all."""
SHARED_IDS = """
This system is a container without ids that it could hand on to containers of its own. They can use the ids
that it has itself: then root in one of them is root here, as if it were a privileged container.
"""
PRESEED_BYTES = 1024 * 1024


@dataclass
class Plan:
    """What init will ask the daemon for, as bodies of API requests."""

    config: dict[str, str] = field(default_factory=dict)
    pools: list[dict[str, Any]] = field(default_factory=list)
    networks: list[dict[str, Any]] = field(default_factory=list)
    profiles: list[dict[str, Any]] = field(default_factory=list)


def run_init(options: argparse.Namespace) -> None:
    """Carry `lxd init` out. WardianError for what the user must be told."""
    check(options)
    daemon = Connection()
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


def check(options: argparse.Namespace) -> None:
    """Refuse flags that cannot be, or not together."""
    if options.auto and options.preseed:
        raise InvalidInput("Can't use --auto and --preseed together")
    if not options.auto and setup_options.given(options):
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
    pools = [url.rsplit("/", 1)[1] for url in daemon.get("/1.0/storage-pools")]
    if pools and not any("storage" in flag for flag in setup_options.given(options)):
        pool = pools[0]
    else:
        plan.pools.append(setup_pools.by_options(options))
        pool = plan.pools[0]["name"]
    if not (bridge := managed_bridge(daemon)):
        bridge = free_bridge()
        plan.networks.append({"name": bridge, "config": {}})
    if options.network_address:
        plan.config = _access(
            options.network_address, options.network_port or 8443, options.trust_password or ""
        )
    plan.profiles.append(default_profile(pool, bridge))
    return plan


def managed_bridge(daemon: Connection) -> str:
    """The first of the daemon's own bridges, or ""."""
    networks = daemon.get("/1.0/networks?recursion=1")
    return next((str(found["name"]) for found in networks if found["managed"]), "")


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
    """The plan that the answers make (questions and order: spec/cli.md section 9.3, then the bridge)."""
    plan = Plan()
    pools = [url.rsplit("/", 1)[1] for url in daemon.get("/1.0/storage-pools")]
    pool = pools[0] if pools else "default"
    if asker.yes("Do you want to configure a new storage pool", not pools):
        plan.pools.append(setup_pools.by_questions(asker, pools))
        pool = plan.pools[0]["name"]
    config = {}
    if not userns.is_initial() and default_idmap() is None:
        print(SHARED_IDS)
        if asker.yes("Would you like to have your containers share their parent's allocation", True):
            config["security.privileged"] = "true"
    if asker.yes("Would you like LXD to be available over the network", False):
        plan.config = _ask_access(asker)
    bridge = managed_bridge(daemon)
    if asker.yes("Would you like to create a new network bridge", not bridge):
        plan.networks.append(_ask_bridge(asker))
        bridge = plan.networks[0]["name"]
    plan.profiles.append(default_profile(pool, bridge) | {"config": config})
    return plan


def _ask_access(asker: Asker) -> dict[str, str]:
    address = asker.ask("Address to bind LXD to (not including port) [default=all]:", "all", is_address)
    port = asker.ask(
        "Port to bind LXD to [default=8443]:", "8443", lambda a: a.isdigit() and 0 < int(a) < 65536
    )
    password = asker.secret("Trust password for new clients:")
    return _access("::" if address == "all" else address, int(port), password)


def is_address(text: str) -> bool:
    """Whether one can bind to it: an address, or `all`."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return text == "all"
    return True


def _ask_bridge(asker: Asker) -> dict[str, Any]:
    wanted = free_bridge()
    name = asker.ask(f"Name of the new bridge [default={wanted}]:", wanted, _passes(names.check_interface))
    config = {}
    for family in (4, 6):
        key = network.find(f"ipv{family}.address")
        assert key is not None
        question = f'IPv{family} address (CIDR notation, "auto" or "none") [default=auto]:'
        config[key.name] = asker.ask(question, "auto", _passes(key.check))
    return {"name": name, "config": config}


def _passes(check: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether a check has nothing to say."""

    def accept(answer: str) -> bool:
        try:
            check(answer)
        except InvalidInput:
            return False
        return True

    return accept


def preseed(text: str) -> Plan:
    """The plan in a YAML document; InvalidInput naming what is wrong."""
    if len(text) > PRESEED_BYTES:
        raise InvalidInput("the preseed is larger than 1 MiB")
    try:
        found = written.parse(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInput(f"the preseed is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InvalidInput("the preseed is not a map")
    if unknown := set(found) - {"config", "storage_pools", "networks", "profiles"}:
        raise InvalidInput(f'the preseed has an unknown part "{sorted(unknown)[0]}"')
    if not isinstance(found.get("config") or {}, dict):
        raise InvalidInput("the preseed's config is not a map")
    lists = [found.get(part) or [] for part in ("storage_pools", "networks", "profiles")]
    for part in lists:
        if not isinstance(part, list) or not all(isinstance(e, dict) and "name" in e for e in part):
            raise InvalidInput(
                "the preseed's storage_pools, networks and profiles are lists of maps with a name"
            )
    return Plan(found.get("config") or {}, *lists)


# --- doing it ----------------------------------------------------------------------------------


def apply(daemon: Connection, plan: Plan) -> None:
    """Ask the daemon for everything; what was made or changed is taken back if a later step fails."""
    undo: list[tuple[str, str, Any]] = []
    try:
        if plan.config:
            before = daemon.get("/1.0")["config"]
            daemon.request("PATCH", "/1.0", {"config": plan.config})
            undo.append(("PUT", "/1.0", {"config": before}))
        for place, bodies in (
            ("storage-pools", plan.pools),
            ("networks", plan.networks),
            ("profiles", plan.profiles),
        ):
            for body in bodies:
                undo.append(_make_or_change(daemon, f"/1.0/{place}", body))
    except ApiError as error:
        for verb, path, content in reversed(undo):
            daemon.request(verb, path, content)
        raise WardianError(str(error)) from error


def _make_or_change(daemon: Connection, place: str, body: dict[str, Any]) -> tuple[str, str, Any]:
    """Make it or, if there is one of this name, change what the body has; the request that undoes it."""
    path = f"{place}/{quote(body['name'])}"
    found = _present(daemon, path)
    if found is None:
        daemon.request("POST", place, body)
        return "DELETE", path, None
    if body.get("driver", found.get("driver")) != found.get("driver"):
        raise ApiError(f'storage pool "{body["name"]}" exists already, with the driver {found["driver"]}')
    before = {key: found[key] for key in WRITABLE if key in found}
    content = {key: body.get(key, before[key]) for key in before}
    if place != "/1.0/profiles":  # theirs has much that was chosen when they were made
        content["config"] = before["config"] | content["config"]
    daemon.request("PUT", path, content)
    return "PUT", path, before


def _present(daemon: Connection, path: str) -> dict[str, Any] | None:
    """What is there; None also for an interface of the host that is not the daemon's own."""
    try:
        found: dict[str, Any] = daemon.get(path)
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
        return None
    return found if found.get("managed", True) else None
