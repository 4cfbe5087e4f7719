"""What a container, a profile, a pool, a network and an image record are: values, as stored.

These are the documents of the store (store/records.py). Each is frozen; a change is a new value
(`msgspec.structs.replace`). Keys and devices are checked by `model.keys` and `model.devices`.
"""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

Config = dict[str, str]
Devices = dict[str, dict[str, str]]

Pending = Literal[
    "", "create", "receive", "partial", "delete", "rename", "restore", "remap", "move", "arrive"
]
"""What was begun and not finished: rolled back ("create"), left for the next try ("receive", "partial": what
has come of a copy from another host) or finished (all others) at start-up."""
PARTIAL: Final = "partial"


class Container(Struct, frozen=True, kw_only=True):
    """A container's configuration: the store is the truth for what is configured."""

    name: str
    architecture: str
    created_at: datetime
    pool: str
    config: Config = {}
    devices: Devices = {}
    profiles: list[str] = []
    ephemeral: bool = False
    stateful: bool = False
    description: str = ""
    last_used_at: datetime | None = None
    pending: Pending = ""
    origin: str = ""
    """While "rename" is pending: the old name, under which it is still found; "restore": the snapshot;
    "move": the pool whose volumes of it are to go."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """A container's configuration as it was; its files are the volume of the same name."""

    name: str
    """`container/snapshot`"""
    architecture: str
    created_at: datetime
    config: Config = {}
    devices: Devices = {}
    profiles: list[str] = []
    ephemeral: bool = False
    stateful: bool = False
    description: str = ""
    expires_at: datetime | None = None
    """When the daemon deletes it; None: never."""
    scheduled: bool = False
    """Taken by snapshots.schedule: snapshots.keep is about these."""
    pending: Pending = ""
    origin: str = ""
    """While "rename" is pending: the old name, under which it is still found."""

    @property
    def container(self) -> str:
        """The name of the container."""
        return self.name.partition("/")[0]

    @property
    def own_name(self) -> str:
        """The name without the container's."""
        return self.name.partition("/")[2]


class Backup(Struct, frozen=True, kw_only=True):
    """A container that was packed into one file, to be fetched: `backups/FILE` below the daemon's folder."""

    name: str
    """`container/backup`"""
    file: str
    created_at: datetime
    expires_at: datetime | None = None
    instance_only: bool = False
    optimized: bool = False
    """Made of streams of the pool's driver."""
    pending: Pending = ""

    @property
    def container(self) -> str:
        """The name of the container."""
        return self.name.partition("/")[0]

    @property
    def own_name(self) -> str:
        """The name without the container's."""
        return self.name.partition("/")[2]


class Profile(Struct, frozen=True, kw_only=True):
    """Configuration and devices that containers share."""

    name: str
    description: str = ""
    config: Config = {}
    devices: Devices = {}


class Pool(Struct, frozen=True, kw_only=True):
    """A storage pool. config: `source` (path, device or empty), `size` (bytes of a loop file)."""

    name: str
    driver: str
    description: str = ""
    config: Config = {}
    pending: str = ""
    """`create` or `delete` while that is under way."""


class CustomVolume(Struct, frozen=True, kw_only=True):
    """A volume that belongs to nobody, or a snapshot of one. name: POOL/VOLUME or POOL/VOLUME/SNAPSHOT."""

    name: str
    created_at: datetime
    description: str = ""
    config: Config = {}
    pending: Pending = ""
    origin: str = ""
    """While "rename" is pending: the old name, which still counts if the daemon dies."""

    @property
    def pool(self) -> str:
        """The name of the pool."""
        return self.name.partition("/")[0]

    @property
    def own_name(self) -> str:
        """The name within the pool: VOLUME or VOLUME/SNAPSHOT."""
        return self.name.partition("/")[2]


class Network(Struct, frozen=True, kw_only=True):
    """A managed bridge; its keys are in `model.network`."""

    name: str
    description: str = ""
    config: Config = {}


class ImageSource(Struct, frozen=True, kw_only=True):
    """Where an image came from, for updates."""

    server: str
    protocol: str
    alias: str
    certificate: str = ""


class Image(Struct, frozen=True, kw_only=True):
    """An image in the store: `images/FINGERPRINT[.rootfs]` below the daemon's folder."""

    fingerprint: str
    filename: str
    size: int
    architecture: str
    created_at: datetime
    uploaded_at: datetime
    split: bool
    """True: metadata in `FINGERPRINT`, root file system in `FINGERPRINT.rootfs`."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    properties: dict[str, str] = {}
    public: bool = False
    cached: bool = False
    auto_update: bool = False
    update_source: ImageSource | None = None


class Alias(Struct, frozen=True, kw_only=True):
    """A name for an image."""

    name: str
    target: str
    description: str = ""
