"""What devices ask of the host: plans as values, made by drivers, kept in the store, compared in tests.

A plan names all that must be done and all that must be undone, so that a device can be taken away
even if what it was made from has vanished meanwhile.
"""

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from wardian.model.idmap import IdMap
from wardian.model.nics import Kind
from wardian.model.throttle import Throttle


@dataclass(frozen=True)
class Nic:
    """A network interface: the runtime makes it when the container starts, its driver on one that runs."""

    kind: Kind
    name: str
    """Inside the container."""
    parent: str = ""
    host_name: str = ""
    """Host side of a veth pair."""
    hwaddr: str = ""
    mtu: str = ""
    parent_mtu: str = ""
    parent_hwaddr: str = ""
    """What an interface of the host has while it is the host's."""
    addresses: tuple[str, ...] = ()
    """Its own, where the kind gives it any; IPv4 first."""
    ingress: int = 0
    egress: int = 0
    """Most bits per second to and from the container; 0: unbounded."""
    priority: int = 0
    """Of packets from the container, as queues of the host understand it; 0: as any other."""
    guarded: tuple[str, ...] = ()
    """Which of `model.nics.GUARDS` are on."""
    allowed: tuple[str, ...] = ()
    """The addresses that a guarded interface may send from."""


@dataclass(frozen=True)
class Forward:
    """What a proxy device carries, as of `model.forwards`."""

    name: str
    """CONTAINER/DEVICE."""
    listen: str
    connect: str
    listens_inside: bool
    """Listens in the container and connects on the host; else the other way round."""
    uid: int
    gid: int
    mode: int
    """Of the socket file, ids of the host."""
    maker_uid: int
    maker_gid: int
    """Ids of the host that root has where the socket file is made."""
    proxy_protocol: bool


@dataclass(frozen=True)
class Port:
    """A port of the host that the kernel leads to one of a container."""

    kind: Literal["tcp", "udp"]
    listen_host: str
    """An address of the host; the unspecified one stands for all of its family."""
    listen_port: int
    host: str
    port: int


@dataclass(frozen=True)
class Node:
    """A device node to make. uid, gid: ids of the host; mode: permission bits."""

    kind: Literal["char", "block"]
    major: int
    minor: int
    uid: int
    gid: int
    mode: int

    @property
    def rule(self) -> str:
        """As control groups write what is allowed: `c 1:3 rwm` (cgroup-v1/devices.rst)."""
        return f"{self.kind[0]} {self.major}:{self.minor} rwm"


@dataclass(frozen=True)
class Mount:
    """Something of the host that appears in a container.

    It is got ready at `place`, below the daemon's folder of devices, and bound from there.
    """

    source: str
    """A path of the host; for a node, what errors call it."""
    place: str
    target: str
    """Path inside, without leading slash."""
    is_folder: bool
    group: int = 0
    """The group that the container's root has on the host: it must reach the place."""
    read_only: bool = False
    recursive: bool = False
    is_filesystem: bool = False
    """The source is a block device, whose file system is mounted."""
    owners: IdMap | None = None
    """Ids on disk (its `container_id`) -> ids of the host as which they are seen; None: as they are."""
    node: Node | None = None
    """Make this node instead of showing the source."""


@dataclass(frozen=True)
class DevicePlan:
    """What one device of one container needs, at start or by hot-plug."""

    device: str = ""
    nics: tuple[Nic, ...] = ()
    mounts: tuple[Mount, ...] = ()
    throttles: tuple[Throttle, ...] = ()
    forwards: tuple[Forward, ...] = ()
    ports: tuple[Port, ...] = ()


class Plug(Struct, frozen=True, kw_only=True):
    """A device of a running container. settled: False while it is being attached or detached."""

    options: dict[str, str]
    plan: DevicePlan
    settled: bool = True


class Plugs(Struct, frozen=True, kw_only=True):
    """The devices of a container that runs, by name; the record exists as long as anything is plugged.

    at_start: those that the runtime makes again when the container reboots; now: those it has.
    """

    name: str
    idmap: IdMap = IdMap()
    at_start: dict[str, Plug] = {}
    now: dict[str, Plug] = {}
