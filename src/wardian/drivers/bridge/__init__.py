"""The Bridge port: managed bridges of this host."""

import asyncio
import contextlib
import fcntl
import os
import random
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from wardian.drivers.bridge import dnsmasq, firewall
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import bridge, netlink
from wardian.model import network
from wardian.model.container import Network
from wardian.model.paths import Paths
from wardian.ports.network import Lease, Reservation

LOCK = Path("/run/wardian-subnets.lock")
"""Held from the choice of a subnet until it is in use, by every daemon on this host."""


class Bridges:
    """The bridges of one daemon."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    @contextlib.asynccontextmanager
    async def choosing(self) -> AsyncIterator[None]:
        """See ports.Bridge."""
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    async def choose(
        self, name: str, config: Mapping[str, str], present: Mapping[str, str]
    ) -> dict[str, str]:
        """See ports.Bridge."""
        others = netlink.subnets_of_links()
        for key in ("ipv4.address", "ipv6.address"):
            if config.get(key) != present.get(key):
                network.check_free(name, key, config.get(key, ""), others)
        chosen = dict(config)
        used = netlink.networks_in_use()
        for family in (4, 6):
            key = f"ipv{family}.address"
            if network.get(chosen, key) != "auto":
                continue
            if family == 6 and not Path("/proc/sys/net/ipv6").exists():
                chosen[key] = network.NONE
            else:
                chosen[key] = network.free_subnet(family, used, random.SystemRandom())
        return chosen

    def is_taken(self, name: str) -> bool:
        """See ports.Bridge."""
        return bridge.exists(name)

    async def up(self, found: Network) -> None:
        """See ports.Bridge."""
        name, config = found.name, found.config
        if bridge.exists(name) and not bridge.is_bridge(name):
            raise HostFailed(f'network "{name}": an interface of that name exists and is not a bridge')
        wanted = {own for family in (4, 6) if (own := network.interface(config, family)) is not None}
        try:
            await bridge.ensure(name, wanted, int(network.get(config, "bridge.mtu")))
            self._forward(name, {own.version for own in wanted})
        except OSError as error:
            raise HostFailed(f'cannot set up bridge "{name}": {error}') from error
        await firewall.apply(name, config)
        await dnsmasq.ensure(name, config, self._folder(name))

    def _forward(self, name: str, families: set[int]) -> None:
        if 4 in families:
            bridge.set_sysctl("net/ipv4/ip_forward", "1")
        if 6 in families:
            bridge.set_sysctl(f"net/ipv6/conf/{name}/accept_dad", "0")
            # A router ignores router advertisements unless told otherwise (accept_ra=2): without
            # this the host itself would lose a default route that it got from one.
            for conf in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
                if conf.parent.name not in ("all", "default", name) and conf.read_text().strip() == "1":
                    conf.write_text("2")
            bridge.set_sysctl("net/ipv6/conf/all/forwarding", "1")

    async def down(self, found: Network) -> None:
        """See ports.Bridge."""
        if attached := bridge.ports(found.name):
            raise InvalidInput(
                f'network "{found.name}" still has interfaces attached ({", ".join(attached)}); '
                "stop the containers that use it"
            )
        await dnsmasq.stop(self._folder(found.name))
        await firewall.remove(found.name)
        await bridge.remove(found.name)
        shutil.rmtree(self._folder(found.name), ignore_errors=True)

    async def leases(self, found: Network) -> list[Lease]:
        """See ports.Bridge."""
        return dnsmasq.leases(self._folder(found.name))

    async def give_back(self, found: Network, hwaddr: str) -> None:
        """See ports.Bridge."""
        own = network.interface(found.config, 4)
        folder = self._folder(found.name)
        if own is None or not dnsmasq.running(folder):
            return
        try:
            dnsmasq.give_back(found.name, folder, str(own.ip), hwaddr)
        except (OSError, ValueError) as error:
            raise HostFailed(
                f'network "{found.name}": cannot free the address of {hwaddr}: {error}'
            ) from error

    async def reserve(self, found: Network, reserved: Sequence[Reservation]) -> None:
        """See ports.Bridge."""
        try:
            await dnsmasq.reserve(found.name, self._folder(found.name), reserved)
        except OSError as error:
            raise HostFailed(f'network "{found.name}": cannot reserve addresses: {error}') from error

    async def problem(self, found: Network) -> str:
        """See ports.Bridge."""
        if not bridge.is_bridge(found.name):
            return f"bridge {found.name} does not exist on this host; restart lxd to make it again"
        if network.interface(found.config, 4) is not None and not dnsmasq.running(self._folder(found.name)):
            return f"dnsmasq of {found.name} does not run, so containers get no address; restart lxd"
        return await firewall.problem(found.name)

    def _folder(self, name: str) -> Path:
        return self._paths.networks / name
