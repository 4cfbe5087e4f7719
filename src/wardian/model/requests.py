"""What callers send about containers: the bodies of requests, as decoded (spec/rest-api.md 7-9).

Unknown fields are refused, naming the field; fields that later LXD clients send and that change
nothing here are listed at the end of each type.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field


class ContainerSource(Struct, forbid_unknown_fields=True):
    """Where a new container's files come from."""

    type: str = ""
    alias: str = ""
    fingerprint: str = ""
    properties: dict[str, str] = {}
    mode: str = ""
    server: str = ""
    protocol: str = ""
    secret: str = ""
    certificate: str = ""
    source: str = ""
    base_image: str = field(default="", name="base-image")
    container_only: bool = False
    instance_only: bool = False
    refresh: bool = False
    operation: str = ""
    """Of the host that sends, for the mode pull."""
    secrets: dict[str, str] | None = None
    """Of the streams of that operation, by name."""
    live: bool = False
    # Sent by later clients:
    allow_inconsistent: bool = False
    project: str = ""


class ImageSourceRequest(Struct, forbid_unknown_fields=True):
    """Where an image is to be fetched from. type: image (a remote's), or url."""

    type: str = ""
    mode: str = ""
    server: str = ""
    protocol: str = ""
    secret: str = ""
    certificate: str = ""
    alias: str = ""
    fingerprint: str = ""
    url: str = ""
    name: str = ""
    # Sent by later clients:
    image_type: str = ""
    project: str = ""


class ImageAlias(Struct, forbid_unknown_fields=True):
    """A name that a new image gets."""

    name: str
    description: str = ""
    # Sent by later clients:
    type: str = ""
    target: str = ""


class ImageCreate(Struct, forbid_unknown_fields=True):
    """POST /1.0/images without an upload."""

    source: ImageSourceRequest
    filename: str = ""
    public: bool = False
    auto_update: bool = False
    properties: dict[str, str] | None = None
    aliases: list[ImageAlias] | None = None
    # Sent by later clients:
    compression_algorithm: str = ""
    expires_at: str | None = None
    profiles: list[str] | None = None
    format: str = ""


class ContainerCreate(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers."""

    source: ContainerSource
    name: str = ""
    architecture: str = ""
    profiles: list[str] | None = None
    ephemeral: bool = False
    config: dict[str, str] | None = None
    devices: dict[str, dict[str, str]] | None = None
    description: str = ""
    instance_type: str = ""
    # Sent by later clients:
    type: Literal["", "container"] = ""
    stateful: bool = False
    restore: str = ""
    start: bool = False


class ContainerUpdate(Struct, forbid_unknown_fields=True):
    """PUT and PATCH /1.0/containers/NAME. None: left out."""

    architecture: str | None = None
    config: dict[str, str | None] | None = None
    devices: dict[str, dict[str, str] | None] | None = None
    profiles: list[str] | None = None
    ephemeral: bool | None = None
    description: str | None = None
    restore: str | None = None
    # Read-only fields that a client sends back as it got them:
    name: str | None = None
    stateful: bool | None = None
    created_at: str | None = None
    last_used_at: str | None = None
    expanded_config: dict[str, str] | None = None
    expanded_devices: dict[str, dict[str, str]] | None = None
    status: str | None = None
    status_code: int | None = None
    type: str | None = None
    location: str | None = None
    project: str | None = None
    state: Any = None
    snapshots: Any = None
    backups: Any = None


class MigrationTarget(Struct, forbid_unknown_fields=True):
    """The operation of the host that receives, which the sending one connects to."""

    operation: str = ""
    websockets: dict[str, str] = {}
    """The secrets of its streams, by name."""
    certificate: str = ""


class ContainerPost(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers/NAME and /1.0/containers/NAME/snapshots/SNAPSHOT: rename, move, send away."""

    name: str = ""
    pool: str = ""
    """The storage pool of this host that the container is to be moved to."""
    migration: bool = False
    container_only: bool = False
    instance_only: bool = False
    target: MigrationTarget | None = None
    """None: the receiving host connects to us."""
    bandwidth: str = ""
    """Bytes per second at most, as in `10MB`."""
    live: bool = False
    # Sent by later clients:
    allow_inconsistent: bool = False
    project: Literal["", "default"] = ""
    config: None = None
    devices: None = None
    profiles: None = None


class SnapshotCreate(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers/NAME/snapshots."""

    name: str = ""
    stateful: bool = False
    expires_at: datetime | None = None
    description: str = ""


class BackupCreate(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers/NAME/backups."""

    name: str = ""
    expires_at: datetime | None = None
    instance_only: bool = False
    container_only: bool = False
    compression_algorithm: str = ""
    optimized_storage: bool = False


class SnapshotUpdate(Struct, forbid_unknown_fields=True):
    """PUT and PATCH /1.0/containers/NAME/snapshots/SNAPSHOT. None: left out."""

    expires_at: datetime | None = None
    description: str | None = None
    # Read-only fields that a client sends back as it got them:
    architecture: Any = None
    config: Any = None
    created_at: Any = None
    devices: Any = None
    ephemeral: Any = None
    expanded_config: Any = None
    expanded_devices: Any = None
    last_used_at: Any = None
    name: Any = None
    profiles: Any = None
    stateful: Any = None
    size: Any = None


class StateChange(Struct, forbid_unknown_fields=True):
    """PUT /1.0/containers/NAME/state."""

    action: str
    timeout: int = -1
    """Seconds; -1: no limit, 0: by force."""
    force: bool = False
    stateful: bool = False


class ConsoleRequest(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers/NAME/console."""

    width: int = 0
    height: int = 0
    type: str = "console"


class ExecRequest(Struct, forbid_unknown_fields=True):
    """POST /1.0/containers/NAME/exec."""

    command: list[str]
    environment: dict[str, str] | None = None
    wait_for_websocket: bool = field(default=False, name="wait-for-websocket")
    interactive: bool = False
    width: int = 0
    height: int = 0
    user: int | None = None
    group: int | None = None
    cwd: str | None = None
    record_output: bool = field(default=False, name="record-output")
    """Keep what it says among the logs; only where no websockets are waited for."""
