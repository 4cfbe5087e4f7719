"""Device type `proxy`: connections to an address on one side are carried to one on the other side.

The sockets are opened here, in `connected`: once at start or attachment, again after a reboot inside.
With `nat=true` there are none: the kernel leads the ports (`forwarding.nat`).
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.drivers.devices.base import Device
from wardian.drivers.devices.forwarding import listeners, nat
from wardian.drivers.devices.forwarding.control import Control
from wardian.drivers.devices.forwarding.listeners import Owner, Place
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import namespaces
from wardian.model import forwards
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Forward, Port
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext, Started


class ProxyDevice(Device):
    """Proxy devices of the containers of one daemon."""

    def __init__(self, control: Path, log: Path) -> None:
        self._control = Control(control, log)

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        if forwards.is_nat(options):
            return DevicePlan(name, ports=tuple(_ports(options)))
        listens_inside = options.get("bind") == "container"
        idmap = around.idmap if listens_inside else IdMap()
        forward = Forward(
            name=f"{around.container}/{name}",
            listen=options["listen"],
            connect=options["connect"],
            listens_inside=listens_inside,
            uid=_host_id(name, idmap, "uid", options.get("uid", "") or "0"),
            gid=_host_id(name, idmap, "gid", options.get("gid", "") or "0"),
            maker_uid=_host_id(name, idmap, "uid", "0"),
            maker_gid=_host_id(name, idmap, "gid", "0"),
            mode=int(options.get("mode", "") or "0644", 8),
            proxy_protocol=is_true(options.get("proxy_protocol", "")),
        )
        return DevicePlan(name, forwards=(forward,))

    async def prepare(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""
        for port in plan.ports:
            _check_unused(plan, port)
        if plan.ports:
            await nat.apply(plan.device, plan.ports)
        for forward in plan.forwards:
            await _check_reachable(plan, forward)

    async def connected(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        if plan.ports:
            await nat.apply(plan.device, plan.ports)
        for forward in plan.forwards:
            known = await self._control.known()
            if known.get(forward.name) == started.init_pid:
                continue  # the daemon was restarted, the forwarder was not
            if forward.name in known:
                await self._control.remove(forward.name)  # what listens there may be its own
            try:
                await self._connect(plan, forward, started)
            except OSError as error:
                cause = error.strerror or str(error)
                raise HostFailed(
                    f'proxy "{plan.device}" cannot listen on {forward.listen}: {cause}'
                ) from error

    async def _connect(self, plan: DevicePlan, forward: Forward, started: Started) -> None:
        with contextlib.ExitStack() as stack:
            container = stack.enter_context(_container(started.init_pid))
            place = container if forward.listens_inside else Place(os.getpid())
            owner = Owner(forward.uid, forward.gid, forward.mode, forward.maker_uid, forward.maker_gid)
            pidfd = os.pidfd_open(started.init_pid)
            stack.callback(os.close, pidfd)
            fds = [pidfd, container.namespace, container.root]
            ends = forwards.pairs({"listen": forward.listen, "connect": forward.connect})
            for listen, _ in ends:
                made = await listeners.open_listener(listen, place, owner)
                stack.callback(made.close)
                fds.append(made.fileno())
            request = {
                "connect": [vars(connect) for _, connect in ends],
                "init": started.init_pid,
                "into_container": not forward.listens_inside,
                "proxy_protocol": forward.proxy_protocol,
            }
            await self._control.add(forward.name, request, fds)

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """See ports.DeviceDriver."""
        for forward in plan.forwards:
            await self._control.remove(forward.name)
            if forward.listens_inside:
                with contextlib.suppress(OSError), _container(started.init_pid) as container:
                    _remove_files(plan, forward, container)

    async def release(self, plan: DevicePlan) -> None:
        """See ports.DeviceDriver."""
        if plan.ports:
            with contextlib.suppress(HostFailed):  # another's, which was there before
                await nat.remove(plan.device, plan.ports)
        for forward in plan.forwards:
            await self._control.remove(forward.name)
            if not forward.listens_inside:
                _remove_files(plan, forward, Place(os.getpid()))


def _ports(options: Mapping[str, str]) -> Iterator[Port]:
    for listen, connect in forwards.pairs(options):
        if listen.kind != "unix":
            yield Port(listen.kind, listen.host, listen.port, connect.host, connect.port)


def _check_unused(plan: DevicePlan, port: Port) -> None:
    """HostFailed if a program of the host listens there: it would hear nothing from outside any more."""
    family = socket.AF_INET6 if ":" in port.listen_host else socket.AF_INET
    kind = socket.SOCK_STREAM if port.kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what only ended is in nobody's way
        try:
            probe.bind((port.listen_host, port.listen_port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise HostFailed(
                    f'proxy "{plan.device}" cannot listen on {port.kind} port {port.listen_port}: '
                    "a program of the host does"
                ) from error


async def _check_reachable(plan: DevicePlan, forward: Forward) -> None:
    """HostFailed if the kernel leads what would arrive there to a container."""
    if forward.listens_inside:
        return
    ports = list(_ports({"listen": forward.listen, "connect": forward.connect}))
    end = await nat.first_led(ports) if ports else None
    if end is not None:
        raise HostFailed(
            f'proxy "{plan.device}" cannot listen on {end.kind} port {end.listen_port}: another proxy with '
            f'"nat" has it; `nft list table {nat.TABLE}` shows who'
        )


def _remove_files(plan: DevicePlan, forward: Forward, place: Place) -> None:
    for end in forwards.parse(forward.listen):
        try:
            listeners.remove_file(end, place)
        except OSError as error:
            raise HostFailed(f'proxy "{plan.device}": cannot remove {end}: {error.strerror}') from error


def _host_id(device: str, idmap: IdMap, kind: str, text: str) -> int:
    number = int(text)
    mapped = idmap.host_id("uid" if kind == "uid" else "gid", number) if idmap.ranges else number
    if mapped is None:
        raise InvalidInput(f'proxy "{device}": the container has no {kind} {number}')
    return mapped


@contextlib.contextmanager
def _container(pid: int) -> Iterator[Place]:
    """Descriptors of a container that runs."""
    with contextlib.ExitStack() as stack:
        namespace = namespaces.network_of(pid)
        stack.callback(os.close, namespace)
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, root)
        yield Place(pid, namespace, root)
