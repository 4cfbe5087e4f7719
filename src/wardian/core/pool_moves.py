"""Containers moved to another storage pool, and copies brought up to date.

While a move is under way, `pending` is "move" and `origin` names the pool whose volumes are to go if the
daemon dies: first the new one, from the moment on that all is there, the old one.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from secrets import token_hex

from msgspec.structs import replace

from wardian.core import containers, foreign, owners, places, renames, snapshots, travel
from wardian.core.containers import volume
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.undo import Undo
from wardian.errors import InvalidInput
from wardian.model import expand
from wardian.model.container import Container, Devices, Snapshot
from wardian.ports.storage import Storage, Volume

STAGE = "fs"
"""What clients show progress for."""

Count = Callable[[int], None]


@dataclass(frozen=True)
class Carrier:
    """Carries volumes of one container from pool to pool, each one based on the one before."""

    source: Storage
    target: Storage
    count: Count
    size_bytes: int | None
    """What the container's root disk is bounded to."""

    async def all(self, along: Sequence[Volume], made: Callable[[Volume], Volume]) -> None:
        """Carry volumes, oldest first; made: what each is called in the other pool."""
        bases: tuple[Volume, Volume] | None = None
        for one in along:
            await travel.carry(self.source, one, self.target, made(one), self.count, bases, self.size_bytes)
            bases = (one, made(one)) if one.is_snapshot else None


def with_root_of(container: Container, found: Devices) -> Devices:
    """The devices of a snapshot, with the root disk where the container has it: so it can be restored."""
    is_own = expand.has_root_device(found)
    merged = found if is_own else container.devices
    return foreign.in_pool(found, merged, container.pool) if expand.has_root_device(merged) else found


# --- move --------------------------------------------------------------------------------------


async def move(host: Host, name: str, pool: str, new: str = "") -> Operation:
    """Begin to move a stopped container, with its snapshots, to another pool.

    new: the name that it gets once it is there, if not the one that it has.
    """
    await _moved(host, await containers.get(host, name), pool)
    if new not in ("", name):
        await renames.check_name(host, new)

    async def work(operation: Operation) -> None:
        await _into(host, name, pool, operation)
        if new not in ("", name):
            operation.may_cancel = False
            await renames.give_name(host, name, new)

    return host.operations.start(
        "Moving container", work, resources=containers.resources(name), may_cancel=True
    )


async def _into(host: Host, name: str, pool: str, operation: Operation) -> None:
    """Do it, holding the container and its snapshots."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(host.operations.lock(name, "move"))
        if name in host.running:
            raise InvalidInput(f'container "{name}" runs; stop it to move it to another storage pool')
        along = await held.enter_async_context(snapshots.all_locked(host, name, "move"))
        if (await containers.get(host, name)).pending == "move":  # the old files could not be removed
            await finish(host, await containers.get(host, name))
        container = await containers.get(host, name)
        after = await _moved(host, container, pool)
        await host.files.leave(name)
        await _move(host, container, after, along, travel.counted(operation, STAGE))
    host.events.lifecycle("container-updated", containers.url(name))


async def _moved(host: Host, container: Container, pool: str) -> Container:
    """The container as it is to be; InvalidInput if it cannot be there."""
    if pool == container.pool:
        raise InvalidInput(f'container "{container.name}" is in storage pool "{pool}" already')
    if await host.records.pools.find(pool) is None:
        raise InvalidInput(f'storage pool "{pool}" does not exist')
    merged = await containers.expanded(host, container)
    after = replace(container, pool=pool, devices=foreign.in_pool(container.devices, merged.devices, pool))
    await containers.check(host, after)
    return after


async def _move(
    host: Host, before: Container, after: Container, along: Sequence[Snapshot], count: Count
) -> None:
    name, pool = before.name, after.pool
    table, taken = host.records.containers, host.records.snapshots
    async with Undo() as undo:
        await table.change(name, lambda now: replace(now, pending="move", origin=pool))
        undo.on_failure(finish, host, replace(before, pending="move", origin=pool))
        merged = await containers.expanded(host, after)
        size = containers.root_size(merged)
        carrier = Carrier(host.storage.get(before.pool), host.storage.get(pool), count, size)
        await carrier.all([*(snapshots.volume_of(s.name) for s in along), volume(name)], lambda one: one)
        await containers.apply_quota(host, after, merged)
        begun = replace(after, pending="move", origin=before.pool)
        batch = host.records.batch()
        batch.replace(table, begun, revision=await table.revision(name))
        for snapshot in along:
            there = replace(snapshot, devices=with_root_of(after, snapshot.devices))
            batch.replace(taken, there, revision=await taken.revision(snapshot.name))
        await batch.commit()
        undo.keep()
    await finish(host, begun)


async def finish(host: Host, container: Container) -> None:
    """Remove the volumes in the pool that `origin` names: a move ended, or is taken back."""
    storage = host.storage.get(container.origin)
    for snapshot in await host.records.snapshots.all(container.name):
        await storage.delete(snapshots.volume_of(snapshot.name))
    await storage.delete(volume(container.name))
    await host.records.containers.change(container.name, lambda now: replace(now, pending="", origin=""))
    await places.settle(host, container.name)


# --- refresh -----------------------------------------------------------------------------------


async def refresh(host: Host, origin: str, name: str, *, only: bool) -> Operation:
    """Begin to give a stopped copy the files and snapshots that its original has now.

    Its configuration stays. only: without snapshots, those that it has stay.
    """
    if origin == name:
        raise InvalidInput(f'container "{name}" cannot be refreshed from itself')
    await containers.get(host, name)

    async def work(operation: Operation) -> None:
        async with AsyncExitStack() as held:
            await held.enter_async_context(host.operations.lock(name, "refresh"))
            if name in host.running:
                raise InvalidInput(f'container "{name}" runs; stop it to refresh it')
            original, source = await held.enter_async_context(snapshots.at_rest(host, origin, "copy"))
            theirs = await held.enter_async_context(snapshots.all_locked(host, origin, "copy"))
            ours = await held.enter_async_context(snapshots.all_locked(host, name, "refresh"))
            await host.files.leave(name)
            await _Refresh(
                host,
                original,
                source,
                await containers.get(host, name),
                () if only else theirs,
                ours if only else _kept(theirs, ours),
                () if only else [s for s in ours if s not in _kept(theirs, ours)],
                travel.counted(operation, STAGE),
            ).run()
        host.events.lifecycle("container-updated", containers.url(name))

    return host.operations.start(
        "Refreshing container", work, resources=containers.resources(name), may_cancel=True
    )


def _kept(theirs: Sequence[Snapshot], ours: Sequence[Snapshot]) -> list[Snapshot]:
    """Snapshots of a copy that its original still has: of the same name and moment."""
    known = {(s.own_name, s.created_at) for s in theirs}
    return [s for s in ours if (s.own_name, s.created_at) in known]


@dataclass(frozen=True)
class _Refresh:
    host: Host
    origin: Container
    files: Volume
    """Of the original: its own, or a snapshot of them if it runs."""
    copy: Container
    theirs: Sequence[Snapshot]
    kept: Sequence[Snapshot]
    stale: Sequence[Snapshot]
    count: Count

    @property
    def source(self) -> Storage:
        """The pool of the original."""
        return self.host.storage.get(self.origin.pool)

    @property
    def target(self) -> Storage:
        """The pool of the copy."""
        return self.host.storage.get(self.copy.pool)

    async def run(self) -> None:
        """Carry what is missing; then nothing is taken back any more, and what is stale goes."""
        host, present = self.host, {s.own_name for s in self.kept}
        async with Undo() as undo:
            bases: tuple[Volume, Volume] | None = None
            made: list[tuple[Snapshot, str]] = []
            for one in self.theirs:
                here = snapshots.volume_of(one.name)
                there = snapshots.volume_of(f"{self.copy.name}/{one.own_name}")
                if one.own_name not in present:
                    new = self._begun(one)
                    await host.records.snapshots.insert(new)
                    undo.on_failure(snapshots.roll_back, host, self.copy.pool, new)
                    there = snapshots.volume_of(new.name)
                    await self._take(here, there, bases)
                    made.append((new, one.own_name))
                bases = (here, there)
            await self._renew(bases)
            await host.records.containers.change(
                self.copy.name, lambda now: owners.recorded(now, owners.on_disk(self.origin))
            )
            undo.keep()
        for old in self.stale:
            await snapshots.remove(host, old)
        for new, own_name in made:
            await self._show(new, own_name)
        await places.settle(host, self.copy.name)

    def _begun(self, one: Snapshot) -> Snapshot:
        """The record of a snapshot in the making; under another name if a stale one has its own."""
        is_taken = any(s.own_name == one.own_name for s in self.stale)
        own_name = f"hidden-{token_hex(8)}" if is_taken else one.own_name
        config = {k: v for k, v in one.config.items() if not containers.is_of_interface(k)}
        return replace(
            one,
            name=f"{self.copy.name}/{own_name}",
            config=config,
            devices=with_root_of(self.copy, one.devices),
            pending="create",
        )

    async def _take(self, here: Volume, there: Volume, bases: tuple[Volume, Volume] | None) -> None:
        if self.source is self.target:
            await self.source.snapshot(here, there)
        else:
            await travel.carry(self.source, here, self.target, there, self.count, bases)

    async def _renew(self, bases: tuple[Volume, Volume] | None) -> None:
        """The container's own files: cloned, or by the difference to a snapshot, or by rsync."""
        here, there = self.files, volume(self.copy.name)
        if self.source is self.target and self.target.traits.clones:
            await self.target.restore(here, there)
        elif bases and await travel.is_same(self.source, bases[0], self.target, bases[1]):
            await self._by_difference(here, there, bases)
        else:
            await travel.renew(self.source, here, self.target, there, self.count)

    async def _by_difference(self, here: Volume, there: Volume, bases: tuple[Volume, Volume]) -> None:
        """By way of a snapshot that nobody sees and that the next start would remove."""
        hidden = await snapshots.begin_hidden(self.host, self.copy)
        try:
            between = snapshots.volume_of(hidden.name)
            await travel.carry(self.source, here, self.target, between, self.count, bases)
            await self.target.restore(between, there)
        finally:
            await snapshots.roll_back(self.host, self.copy.pool, hidden)

    async def _show(self, new: Snapshot, own_name: str) -> None:
        """The snapshot is complete; it gets its name if another had it until now."""
        shown = replace(new, pending="")
        if new.own_name == own_name:
            await self.host.records.snapshots.replace(shown)
            return
        shown = replace(shown, name=f"{self.copy.name}/{own_name}")
        await self.target.rename(snapshots.volume_of(new.name), snapshots.volume_of(shown.name))
        table = self.host.records.snapshots
        batch = self.host.records.batch()
        batch.insert(table, shown)
        batch.delete(table, new.name, revision=await table.revision(new.name))
        await batch.commit()
