"""Typed tables on any Store: what the daemon remembers, as the values of `model.container`.

A document is JSON under `folder/name`. Decoded values are kept by revision and shared between
callers: they are frozen, and their dictionaries must never be changed in place.
"""

from collections.abc import Callable
from typing import Generic, Self, TypeVar

import msgspec

from wardian.errors import AlreadyExists, HostFailed, NotFound, StaleRevision
from wardian.model.container import (
    Alias,
    Backup,
    Config,
    Container,
    CustomVolume,
    Image,
    Network,
    Pool,
    Profile,
    Snapshot,
)
from wardian.model.plans import Plugs
from wardian.model.trust import Certificate, Invitation
from wardian.ports.store import Document, Store, Write

T = TypeVar("T", bound=msgspec.Struct)

SERVER_CONFIG = "server/config"


class Table(Generic[T]):
    """The documents of one kind. noun: what messages call them; key: the attribute that names one."""

    def __init__(self, store: Store, noun: str, folder: str, kind: type[T], key: str = "name") -> None:
        self._store = store
        self._noun = noun
        self._prefix = f"{folder}/"
        self._key = key
        self._decoder = msgspec.json.Decoder(kind)
        self._decoded: dict[str, tuple[int, T]] = {}

    async def find(self, name: str) -> T | None:
        """The value, or None."""
        document = await self._store.get(self.path(name))
        return self._decode(document) if document else None

    async def get(self, name: str) -> T:
        """The value; NotFound if there is none."""
        value = await self.find(name)
        if value is None:
            raise self._not_found(name)
        return value

    async def all(self, under: str = "") -> list[T]:
        """All values, by name. under: only those whose name begins with `under/`."""
        prefix = f"{self._prefix}{under}/" if under else self._prefix
        return [self._decode(document) for document in await self._store.list(prefix)]

    async def revision(self, name: str) -> int:
        """The revision of the value, for `replace`; NotFound if there is none."""
        document = await self._store.get(self.path(name))
        if document is None:
            raise self._not_found(name)
        return document.revision

    async def insert(self, value: T) -> None:
        """Add a value; AlreadyExists if its name is taken."""
        name = self.name(value)
        try:
            await self._store.commit([self.write(value)], {self.path(name): 0})
        except StaleRevision:
            raise AlreadyExists(f'{self._noun} "{name}" already exists') from None

    async def replace(self, value: T, *, revision: int | None = None) -> None:
        """Put the value in place of the one of its name; NotFound if there is none.

        revision: raise StaleRevision unless the present one still has it.
        """
        if revision is None:
            await self.change(self.name(value), lambda _: value)
            return
        await self.revision(self.name(value))
        await self._store.commit([self.write(value)], {self.path(self.name(value)): revision})

    async def change(self, name: str, function: Callable[[T], T]) -> T:
        """Replace the value by what the function makes of it; returns the new one.

        The function runs again if someone else changed the value in between. NotFound if there is none.
        """
        while True:
            document = await self._store.get(self.path(name))
            if document is None:
                raise self._not_found(name)
            value = function(self._decode(document))
            try:
                await self._store.commit([self.write(value)], {document.key: document.revision})
            except StaleRevision:
                continue
            return value

    async def put(self, value: T) -> None:
        """Put the value, whether or not there is one of its name."""
        await self._store.commit([self.write(value)])

    async def delete(self, name: str) -> None:
        """Remove the value; harmless if there is none."""
        await self._store.commit([self.removal(name)])

    def name(self, value: T) -> str:
        """What the value is called."""
        name: str = getattr(value, self._key)
        return name

    def path(self, name: str) -> str:
        """The key of the document of this name."""
        return f"{self._prefix}{name}"

    def write(self, value: T) -> Write:
        """The write that puts this value."""
        return Write(self.path(self.name(value)), msgspec.json.encode(value))

    def removal(self, name: str) -> Write:
        """The write that removes the value of this name."""
        self._decoded.pop(self.path(name), None)
        return Write(self.path(name), None)

    def _decode(self, document: Document) -> T:
        known = self._decoded.get(document.key)
        if known is not None and known[0] == document.revision:
            return known[1]
        try:
            value = self._decoder.decode(document.value)
        except msgspec.DecodeError as error:
            raise HostFailed(f'record "{document.key}" in the database is broken: {error}') from error
        self._decoded[document.key] = (document.revision, value)
        return value

    def _not_found(self, name: str) -> NotFound:
        return NotFound(f'{self._noun} "{name}" not found')


class Batch:
    """Changes to several tables that happen together or not at all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: list[Write] = []
        self._expect: dict[str, int] = {}

    def insert(self, table: Table[T], value: T) -> Self:
        """Add a value whose name must be free."""
        self._expect[table.path(table.name(value))] = 0
        self._writes.append(table.write(value))
        return self

    def replace(self, table: Table[T], value: T, *, revision: int) -> Self:
        """Put a value in place of the one that has this revision."""
        self._expect[table.path(table.name(value))] = revision
        self._writes.append(table.write(value))
        return self

    def delete(self, table: Table[T], name: str, *, revision: int) -> Self:
        """Remove the value that has this revision."""
        self._expect[table.path(name)] = revision
        self._writes.append(table.removal(name))
        return self

    async def commit(self) -> None:
        """Make all changes; StaleRevision, and none is made, if one does not apply any more."""
        await self._store.commit(self._writes, self._expect)


class ServerConfig:
    """The daemon's own configuration: one document."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self) -> Config:
        """The keys that are set; a copy."""
        document = await self._store.get(SERVER_CONFIG)
        return msgspec.json.decode(document.value, type=Config) if document else {}

    async def revision(self) -> int:
        """The revision of the configuration, for `replace`; 0 as long as nothing was ever set."""
        document = await self._store.get(SERVER_CONFIG)
        return document.revision if document else 0

    async def replace(self, config: Config, *, revision: int | None = None) -> None:
        """Set exactly these keys; StaleRevision if a revision is given and no longer the present one."""
        expect = None if revision is None else {SERVER_CONFIG: revision}
        await self._store.commit([Write(SERVER_CONFIG, msgspec.json.encode(config))], expect)


class Records:
    """Everything the daemon remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.containers = Table(store, "container", "containers", Container)
        self.snapshots = Table(store, "snapshot", "snapshots", Snapshot)
        self.plugs = Table(store, "devices of container", "plugs", Plugs)
        self.backups = Table(store, "backup", "backups", Backup)
        self.profiles = Table(store, "profile", "profiles", Profile)
        self.pools = Table(store, "storage pool", "pools", Pool)
        self.volumes = Table(store, "storage volume", "volumes", CustomVolume)
        self.volume_snapshots = Table(store, "volume snapshot", "volume-snapshots", CustomVolume)
        self.networks = Table(store, "network", "networks", Network)
        self.images = Table(store, "image", "images", Image, key="fingerprint")
        self.aliases = Table(store, "image alias", "aliases", Alias)
        self.certificates = Table(store, "certificate", "certificates", Certificate, key="fingerprint")
        self.tokens = Table(store, "join token", "tokens", Invitation)
        self.server = ServerConfig(store)

    def batch(self) -> Batch:
        """An empty batch of changes."""
        return Batch(self._store)

    async def close(self) -> None:
        """Finish what was begun and release the store."""
        await self._store.close()
