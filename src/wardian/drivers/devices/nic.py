"""Device type `nic`: network interfaces, made by liblxc at start and by us on a running container.

What belongs to the end on the host (bounds, guards, routes) is ours in both cases: guards before the
interface exists, the rest in `connected`, which runs again after a reboot inside.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.drivers.devices.base import Device
from wardian.drivers.devices.nics import filters, links, rates
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import bridge, iproute
from wardian.model import nics
from wardian.model.plans import DevicePlan, Nic
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext, Started

log = logging.getLogger(__name__)

SYSFS = Path("/sys/class/net")
HOME = f"/proc/{os.getpid()}/ns/net"


class NicDevice(Device):
    """Network interfaces of the containers of one daemon."""

    def __init__(self, interfaces: Path = SYSFS) -> None:
        self._interfaces = interfaces
        self._made: set[str] = set()
        """Ends of pairs that were made for running containers: they outlive a reboot for a moment."""
        self._lent: dict[str, int] = {}
        """Interfaces of the host that were given to running containers: name -> fd of the namespace.

        The fd keeps the namespace, and so the interface, when the container ends: the kernel would
        delete a VLAN or bond with it."""

    # --- planning ------------------------------------------------------------------------------

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        options = nics.plain({**around.volatile, **{k: v for k, v in options.items() if v}})
        kind = nics.kind(options)
        parent = options.get("parent", "")
        lent = kind == "physical" and parent in self._lent
        if parent and not lent and not (self._interfaces / parent).exists():
            raise InvalidInput(
                f"Missing parent '{parent}' for nic '{name}'; "
                f"create the network with `lxc network create {parent}` or change the device"
            )
        if kind == "bridged" and not (self._interfaces / parent / "bridge").exists():
            raise InvalidInput(
                f"parent '{parent}' of nic '{name}' is not a bridge; name one, or use nictype=macvlan"
            )
        bounds = rates.wanted(options)
        nic = Nic(
            kind=kind,
            name=options.get("name", ""),
            parent=parent,
            host_name=options.get("host_name", "") if kind in links.PAIRED else "",
            hwaddr=options.get("hwaddr", ""),
            mtu=options.get("mtu", "") or ("" if kind == "physical" else self._read(parent, "mtu")),
            parent_mtu=self._read(parent, "mtu") if kind == "physical" else "",
            parent_hwaddr=self._read(parent, "address") if kind == "physical" else "",
            addresses=tuple(nics.addresses(options)) if kind == "routed" else (),
            ingress=bounds.ingress,
            egress=bounds.egress,
            priority=bounds.priority,
            guarded=tuple(key for key in nics.GUARDS if is_true(options.get(key, ""))),
            allowed=tuple(self._allowed(parent, options)),
        )
        return DevicePlan(device=name, nics=(nic,))

    def _read(self, interface: str, file: str) -> str:
        try:
            return (self._interfaces / interface / file).read_text().strip() if interface else ""
        except OSError:
            return ""

    def _allowed(self, parent: str, options: Mapping[str, str]) -> Iterator[str]:
        """The addresses that a guarded interface may send from."""
        yield from nics.addresses(options)
        if is_true(options.get("security.ipv6_filtering", "")) and options.get("ipv6.address") != nics.NONE:
            found = {own.network for own in bridge.addresses(parent)}
            subnets = {s for s in found if isinstance(s, ipaddress.IPv6Network) and s.prefixlen == 64}
            for subnet in (filters.LINK_LOCAL, *sorted(subnets)):
                yield str(nics.eui64(options["hwaddr"], subnet))

    # --- before, at and after the start --------------------------------------------------------

    async def prepare(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""
        for nic in plan.nics:
            await self._guard(plan, nic)

    async def _guard(self, plan: DevicePlan, nic: Nic) -> None:
        if nic.guarded:
            await filters.apply(_what("guard", plan), nic.host_name, _guard(nic))

    async def release(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""
        for nic in plan.nics:
            if nic.guarded:
                await filters.remove(_what("release", plan), nic.host_name)
            if nic.egress or nic.priority or nic.kind == "routed":
                await rates.remove(_what("release", plan), nic.host_name)
            for command in links.routes_away(nic):
                with contextlib.suppress(HostFailed):  # gone already
                    await iproute.ip(_what("release", plan), [command])
            if nic.kind == "physical":
                await self._bring_home(plan, nic)
            if nic.host_name in self._made:
                await self._remove_pair(plan, nic)

    async def cut_off(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver. The kernel takes some 20 ms for a pair, in which the container dies."""
        for nic in plan.nics:
            if nic.host_name in self._made:
                await self._remove_pair(plan, nic)

    async def _remove_pair(self, plan: DevicePlan, nic: Nic) -> None:
        """Remove a pair now: the kernel takes its time with the namespace of a container that ended
        (cleanup_net in net/core/net_namespace.c), and the next start needs the name."""
        self._made.discard(nic.host_name)
        if (self._interfaces / nic.host_name).exists():
            with contextlib.suppress(HostFailed):  # gone meanwhile
                await iproute.ip(_what("remove", plan), [("link", "del", "dev", nic.host_name)])

    async def connected(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for nic in plan.nics:
            if nic.kind == "physical":
                self._keep(plan, nic, started)
            if nic.kind not in links.PAIRED:
                continue
            self._made.add(nic.host_name)
            await self._guard(plan, nic)
            await asyncio.to_thread(_set_sysctls, plan, nic)
            await iproute.ip(_what("route", plan), links.routes(nic))
            if nic.ingress or nic.egress or nic.priority or nic.kind == "routed":
                await self._bound(plan, nic)

    def _keep(self, plan: DevicePlan, nic: Nic, started: Started) -> None:
        with _namespace(plan, started) as there:
            fd = self._lent.pop(nic.parent, -1)
            if fd >= 0:
                os.close(fd)
            self._lent[nic.parent] = os.dup(there)

    async def change(self, old: DevicePlan, new: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for before, after in zip(old.nics, new.nics, strict=True):
            try:
                await self._follow(new, before, after)
            except HostFailed:
                await self._follow(old, after, before)
                raise

    async def _follow(self, plan: DevicePlan, before: Nic, after: Nic) -> None:
        if after.guarded:
            await self._guard(plan, after)
        elif before.guarded:
            await filters.remove(_what("guard", plan), after.host_name)
        await self._bound(plan, after)

    async def _bound(self, plan: DevicePlan, nic: Nic) -> None:
        sources = nic.addresses if nic.kind == "routed" else ()
        bounds = rates.Rates(nic.ingress, nic.egress, nic.priority)
        bridged = (nic.parent, nic.hwaddr) if nic.kind == "bridged" else ()
        from_it = rates.sender(nic.host_name, *bridged)
        await rates.apply(_what("bound the traffic of", plan), nic.host_name, bounds, sources, from_it)

    # --- a running container -------------------------------------------------------------------

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for nic in plan.nics:
            with _namespace(plan, started) as there:
                if nic.kind == "physical":
                    await self._bring_home(plan, nic)
                if nic.host_name in self._made:
                    await self._take(plan, nic, there)
                await self._make(plan, nic, there)
                if nic.kind in links.PAIRED:
                    self._made.add(nic.host_name)
                try:
                    await asyncio.to_thread(_set_sysctls, plan, nic)
                    await iproute.ip(_what("add", plan), links.host_up(nic))
                    await iproute.ip(_what("add", plan), links.inside_up(nic), inside=there)
                except BaseException:
                    await self._take(plan, nic, there)
                    raise

    async def _make(self, plan: DevicePlan, nic: Nic, there: int) -> None:
        try:
            await iproute.ip(_what("add", plan), links.make(nic, f"/proc/self/fd/{there}"), passed=there)
        except HostFailed as error:
            if nic.kind in links.PAIRED and (self._interfaces / nic.host_name).exists():
                raise HostFailed(
                    f'cannot {_what("add", plan)}: host_name "{nic.host_name}" belongs to another interface '
                    "of this host; choose another"
                ) from error
            raise

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for nic in plan.nics:
            with _namespace(plan, started) as there:
                await self._take(plan, nic, there)

    async def _take(self, plan: DevicePlan, nic: Nic, there: int) -> None:
        what = _what("remove", plan)
        if nic.kind in links.PAIRED:
            if await _is_pair(nic.host_name):
                await iproute.ip(what, [("link", "del", "dev", nic.host_name)])
            self._made.discard(nic.host_name)
            return
        name = links.find(json.loads(await iproute.ip_words(what, "-j", "link", inside=there)), nic)
        if not name:
            return
        if nic.kind == "physical":
            await self._give_back(plan, nic, name, there)
        else:
            await iproute.ip(what, [("link", "del", "dev", name)], inside=there)

    async def _give_back(self, plan: DevicePlan, nic: Nic, name: str, there: int) -> None:
        await iproute.ip(_what("give back", plan), links.take_back(nic, name, HOME), inside=there)
        fd = self._lent.pop(nic.parent, -1)
        if fd >= 0:
            os.close(fd)

    async def _bring_home(self, plan: DevicePlan, nic: Nic) -> None:
        """Have an interface of the host back under its name, from a container that ended."""
        fd = self._lent.get(nic.parent, -1)
        if fd >= 0:
            listing = json.loads(await iproute.ip_words(_what("find", plan), "-j", "link", inside=fd))
            if name := links.find(listing, nic):
                await self._give_back(plan, nic, name, fd)
                return
            os.close(self._lent.pop(nic.parent))
        if not (self._interfaces / nic.parent).exists() and nic.parent_hwaddr:
            # The kernel brings real hardware home, under another name if its own was taken.
            for folder in self._interfaces.iterdir():
                if self._read(folder.name, "address") == nic.parent_hwaddr:
                    rename = ("link", "set", "dev", folder.name, "down", "name", nic.parent)
                    await iproute.ip(_what("give back", plan), [rename])
                    return


def _guard(nic: Nic) -> filters.Guard:
    parsed = [ipaddress.ip_address(address) for address in nic.allowed]
    ipv4 = tuple(a for a in parsed if isinstance(a, ipaddress.IPv4Address))
    ipv6 = tuple(a for a in parsed if isinstance(a, ipaddress.IPv6Address))
    return filters.Guard(
        nic.hwaddr,
        ipv4 if "security.ipv4_filtering" in nic.guarded else None,
        ipv6 if "security.ipv6_filtering" in nic.guarded else None,
    )


def _set_sysctls(plan: DevicePlan, nic: Nic) -> None:
    try:
        for path, value in links.sysctls(nic):
            bridge.set_sysctl(path, value)
    except OSError as error:
        raise HostFailed(f"cannot {_what('configure', plan)}: {error}") from error


async def _is_pair(host_name: str) -> bool:
    """Whether the host has a pair's end of this name: nothing else may be deleted."""
    if not (SYSFS / host_name).exists():
        return False
    told = await iproute.ip_words(f"look at {host_name}", "-j", "-d", "link", "show", "dev", host_name)
    return any(entry.get("linkinfo", {}).get("info_kind") == "veth" for entry in json.loads(told))


@contextlib.contextmanager
def _namespace(plan: DevicePlan, started: Started) -> Iterator[int]:
    """An fd of the container's network namespace."""
    try:
        fd = os.open(f"/proc/{started.init_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostFailed(f"cannot {_what('reach the network for', plan)}: the container ended") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _what(verb: str, plan: DevicePlan) -> str:
    return f'{verb} nic "{plan.device}"'
