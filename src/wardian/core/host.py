"""The daemon's one bundle of dependencies: what use cases need of the host and the store.

Built once in daemon/build.py (the only place that names concrete drivers) and passed as the first
argument to every function of `core`. Nothing is global.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardian.core.events import Events
from wardian.core.operations import Operations
from wardian.model.idmap import IdMap
from wardian.ports import (
    AddressWatch,
    Bridge,
    DeviceDriver,
    Paths,
    Rootfs,
    Runtime,
    Started,
    StorageDrivers,
)
from wardian.store.records import Records


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
    addresses: AddressWatch
    devices: Mapping[str, DeviceDriver]
    idmap: IdMap | None
    """The map of unprivileged containers; None when the host has no sub-ids (privileged only)."""
    architectures: tuple[str, ...]
    """Native first, then what else runs here."""
    running: dict[str, Started] = field(default_factory=dict)
    """Containers that run, kept by core.lifecycle from pidfd events; never asked per request."""
