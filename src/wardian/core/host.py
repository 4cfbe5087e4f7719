"""The daemon's one bundle of dependencies: what use cases need of the host and the store.

Built once in daemon/build.py (the only place that names concrete drivers) and passed as the first
argument to every function of `core`. Nothing is global.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wardian.core.events import Events
from wardian.core.operations import Operations
from wardian.linux.authority import Authority
from wardian.model.idmap import IdMap
from wardian.model.paths import Paths
from wardian.model.trust import Attempts
from wardian.ports.downloads import Downloads
from wardian.ports.files import Files
from wardian.ports.guests import Guests
from wardian.ports.listener import Listener
from wardian.ports.network import AddressWatch, Bridge, Hotplug
from wardian.ports.peers import Peers
from wardian.ports.rootfs import Rootfs
from wardian.ports.runtime import DeviceDriver, Runtime, Started
from wardian.ports.storage import StorageDrivers
from wardian.store.records import Records

Precondition = Callable[[Any], None]
"""Called with what can be written of an object when it is about to be; what it raises ends the change."""


def no_precondition(_: object) -> None:
    """Whatever it is, it may be replaced."""


class Watching(Protocol):
    """Follows running containers to their end (core.lifecycle.Watcher)."""

    async def open(self) -> None:
        """Find what runs already and follow it."""

    async def close(self) -> None:
        """Stop following; the containers go on."""

    async def follow(self, started: Started) -> None:
        """Note that a container runs, until it ends."""

    async def wait_stopped(self, name: str) -> None:
        """Return once the container has ended and that is recorded; at once if it does not run."""


@dataclass(frozen=True)
class Machine:
    """The host's hardware and kernel, read once."""

    architectures: tuple[str, ...]
    """Native first, then what else runs here."""
    kernel: str
    kernel_version: str
    memory_total: int
    """Bytes."""
    control_files: frozenset[str]
    """Which of the cgroup files of `model.limits` this kernel has."""


@dataclass
class Host:
    """Everything a use case may touch."""

    paths: Paths
    records: Records
    events: Events
    operations: Operations
    runtime: Runtime
    storage: StorageDrivers
    bridge: Bridge
    rootfs: Rootfs
    files: Files
    guests: Guests
    downloads: Downloads
    peers: Peers
    addresses: AddressWatch
    hotplug: Hotplug
    listener: Listener
    devices: Mapping[str, DeviceDriver]
    idmap: IdMap | None
    """The map of unprivileged containers; None when the host has no sub-ids (privileged only)."""
    machine: Machine
    stop: Callable[[], None]
    """Ends the daemon; containers go on."""
    authority: Authority | None = None
    """PKI mode: trusted certificates must be signed by it, too."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once host and records agree: changes wait for it."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with it, or by `lxd ready` if the daemon is in setup mode: containers may start, work be done."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once those that start with the daemon have been started, as far as they can be."""
    going_down: bool = False
    """True while `lxd shutdown` stops all containers: their last state stays RUNNING."""
    running: dict[str, Started] = field(default_factory=dict)
    """Containers that run, kept by core.lifecycle from pidfd events; never asked per request."""
    frozen: set[str] = field(default_factory=set)
    """Which of them are frozen."""
    cpu_wishes: dict[str, str] = field(default_factory=dict)
    """`limits.cpu` of the containers that run and have one; kept by core.limits."""
    cpu_sets: dict[str, list[int]] = field(default_factory=dict)
    """The CPUs that each of them has got."""
    kept_ephemeral: set[str] = field(default_factory=set)
    """Ephemeral containers that a restart stops: they are not deleted."""
    leaving: set[str] = field(default_factory=set)
    """Containers that stop to go on elsewhere: until that is sure, their record says that they run."""
    images_in_use: Counter[str] = field(default_factory=Counter)
    """Fingerprints of images that containers are being made from: they are not cleaned away."""
    guest_events: dict[str, Events] = field(default_factory=dict)
    """What containers hear of themselves, by name; only those that have listened."""
    files_in_use: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Name of a container that does not run -> conversations with its files, whether these are shifted."""
    watcher: Watching = field(init=False)
    """Set by daemon/build.py."""
    attempts: Attempts = field(default_factory=Attempts)
    """How often the trust password may still be guessed."""
    noted: Attempts = field(default_factory=Attempts)
    """How many wrong join tokens are still logged: strangers shall not fill the log."""
    _once: dict[str, asyncio.Lock] = field(default_factory=dict)
    _wanting: Counter[str] = field(default_factory=Counter)
    """How many hold or wait for each of these locks."""

    @contextlib.asynccontextmanager
    async def once(self, work: str) -> AsyncIterator[None]:
        """One at a time for this piece of work: who comes second finds it done by the first."""
        lock = self._once.setdefault(work, asyncio.Lock())
        self._wanting[work] += 1
        try:
            async with lock:
                yield
        finally:
            # A lock that is free may still have someone waiting for it, who must not lose it.
            self._wanting[work] -= 1
            if not self._wanting[work]:
                del self._wanting[work], self._once[work]
