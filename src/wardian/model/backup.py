"""The index of a container that was exported: `backup/index.yaml`, laid out as LXD does it. Pure.

What is read is checked here for shape only; that it may exist is checked where containers are made.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from wardian.errors import InvalidInput
from wardian.model import image, names
from wardian.model.container import Config, Container, Devices, Snapshot

INDEX = "backup/index.yaml"
SEAL = "backup/checksum"
CONTAINER = "backup/container"
SNAPSHOTS = "backup/snapshots"
MOST_SNAPSHOTS = 10_000


class Thing(Struct, kw_only=True):
    """A container or a snapshot in an index. What else LXD writes there is of no interest."""

    architecture: str
    created_at: datetime
    name: str = ""
    config: Config | None = None
    devices: Devices | None = None
    profiles: list[str] | None = None
    ephemeral: bool = False
    description: str = ""
    expires_at: datetime | None = None


class Contents(Struct, kw_only=True):
    """The part `config` of an index. instance: what later LXD calls the container."""

    container: Thing | None = None
    instance: Thing | None = None
    snapshots: list[Thing] | None = None


class Index(Struct, kw_only=True):
    """The whole index. sealed: the archive ends with a checksum; ours do.

    transport: how the streams of an optimized archive of ours are made; LXD's are others.
    """

    name: str
    config: Contents
    pool: str = ""
    snapshots: list[str] | None = None
    optimized: bool = False
    sealed: bool = False
    transport: str = ""
    type: str = "container"

    @property
    def container(self) -> Thing:
        """The container that was exported."""
        found = self.config.container or self.config.instance
        assert found is not None
        return found

    @property
    def taken(self) -> list[Thing]:
        """Its snapshots, oldest first, each with its own name."""
        return self.config.snapshots or []


def _thing(name: str, found: Container | Snapshot) -> dict[str, Any]:
    about = {
        "name": name,
        "architecture": found.architecture,
        "config": found.config,
        "created_at": found.created_at.isoformat(),
        "description": found.description,
        "devices": found.devices,
        "ephemeral": found.ephemeral,
        "profiles": found.profiles,
        "stateful": found.stateful,
    }
    if isinstance(found, Snapshot) and found.expires_at is not None:
        about["expires_at"] = found.expires_at.isoformat()
    return about


def stream(snapshot: str = "") -> str:
    """The file that has the container's, or a snapshot's, files in an optimized archive."""
    return f"{SNAPSHOTS}/{snapshot}.bin" if snapshot else f"{CONTAINER}.bin"


def index_text(
    container: Container, snapshots: Sequence[Snapshot], pool: Mapping[str, Any], transport: str = ""
) -> bytes:
    """The index of an archive with this container and these snapshots; transport: if it is optimized."""
    content = {
        "name": container.name,
        "backend": pool["driver"],
        "pool": container.pool,
        "type": "container",
        "optimized": bool(transport),
        "optimized_header": False,
        "sealed": True,
        **({"transport": transport} if transport else {}),
        "snapshots": [snapshot.own_name for snapshot in snapshots],
        "config": {
            "container": _thing(container.name, container),
            "snapshots": [_thing(snapshot.own_name, snapshot) for snapshot in snapshots],
            "pool": dict(pool),
        },
    }
    text: str = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    return text.encode()


class _Plain(yaml.SafeDumper):
    """Writes everything out: our own reader refuses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_index(text: bytes) -> Index:
    """The index, or InvalidInput naming what is wrong with it."""
    found = image.bounded_yaml(text, INDEX)
    try:
        index = msgspec.convert(found, type=Index)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{INDEX}: {str(error)[0].lower()}{str(error)[1:]}") from error
    if index.type != "container":
        raise InvalidInput(f"{INDEX}: only containers can be imported")
    if index.optimized != bool(index.transport) or (index.optimized and not index.sealed):
        raise InvalidInput(f"{INDEX}: it is optimized in another way than ours; export a portable file")
    if (index.config.container is None) == (index.config.instance is None):
        raise InvalidInput(f"{INDEX}: there must be one container in it")
    if index.container.name not in ("", index.name):
        raise InvalidInput(f'{INDEX}: the container is called "{index.name}" and "{index.container.name}"')
    own_names = [thing.name.rpartition("/")[2] for thing in index.taken]
    if sorted(own_names) != sorted(set(index.snapshots or [])) or len(own_names) > MOST_SNAPSHOTS:
        raise InvalidInput(f"{INDEX}: its two lists of snapshots differ")
    for thing, name in zip(index.taken, own_names, strict=True):
        names.check_snapshot(name)
        thing.name = name
    for thing in (index.container, *index.taken):
        if thing.created_at.tzinfo is None:
            thing.created_at = thing.created_at.replace(tzinfo=UTC)
        if thing.expires_at is not None and thing.expires_at.tzinfo is None:
            thing.expires_at = thing.expires_at.replace(tzinfo=UTC)
        if thing.expires_at is not None and thing.expires_at.year <= 1970:
            thing.expires_at = None
    return index
