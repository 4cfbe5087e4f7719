"""Containers made from other ones."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from msgspec.structs import replace

from wardian.core import containers, memory, owners, places, pool_moves, snapshots, travel
from wardian.core.containers import volume
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.pool_moves import Count
from wardian.core.undo import Undo
from wardian.errors import InvalidInput
from wardian.model import expand, names
from wardian.model.container import PARTIAL, Config, Container, Snapshot
from wardian.model.requests import ContainerCreate
from wardian.ports.storage import Still, Volume

KEPT_VOLATILE = ("volatile.base_image", "volatile.last_state.idmap")
"""Generated keys that a copy keeps; the others are made anew."""


# --- copy --------------------------------------------------------------------------------------


async def create(host: Host, request: ContainerCreate) -> Operation:
    """Begin to copy a container or a snapshot; the operation's resources name the copy first.

    With `refresh` a copy that exists is brought up to date instead.
    """
    if not request.source.source:
        raise InvalidInput("must specify a source container")
    if "/" in request.name:
        raise InvalidInput(f"Invalid container name: '{request.name}': '/' is reserved for snapshots")
    name = request.name or await containers.random_name(host)
    names.check_container(name)
    only = request.source.container_only or request.source.instance_only
    present = await host.records.containers.find(name)
    is_here = present is not None and present.pending != PARTIAL
    if is_here and request.source.refresh and "/" not in request.source.source:
        if await _asks_for_more(host, request):
            raise InvalidInput(
                f'container "{name}" exists: a refresh brings files and snapshots up to date and keeps '
                "its configuration; change that with `lxc config`"
            )
        return await pool_moves.refresh(host, request.source.source, name, only=only)
    await containers.ensure_free(host, name)
    origin, was, taken = await _source(host, request.source.source)
    draft = _draft(name, was, request)
    merged = await containers.check(host, draft)
    _, root = expand.root_device(merged.devices)
    draft = replace(draft, pool=root.get("pool") or was.pool)

    async def work(operation: Operation) -> None:
        async with AsyncExitStack() as held:
            await held.enter_async_context(host.operations.lock(name, "create"))
            source, still = snapshots.volume_of(origin), None
            if taken is None and draft.pool != was.pool:  # nobody stands still for as long as it travels
                _, source = await held.enter_async_context(snapshots.at_rest(host, origin, "copy"))
            else:
                await held.enter_async_context(host.operations.lock(origin, "copy"))
                if taken is None:
                    source, still = volume(origin), snapshots.stillness(host, was)
            along: Sequence[Snapshot] = ()
            if not only and taken is None:
                along = await held.enter_async_context(snapshots.all_locked(host, origin, "copy"))
            count = travel.counted(operation, pool_moves.STAGE)
            await _copy(host, draft, was.pool, source, along, count, still)

    listed = containers.resources(name)
    for kind, urls in containers.resources(was.name).items():
        listed[kind] += urls
    return host.operations.start("Creating container", work, resources=listed, may_cancel=True)


async def _asks_for_more(host: Host, request: ContainerCreate) -> bool:
    """Whether the copy is to be other than its source. Later clients send what the source has, too."""
    source = await host.records.containers.find(request.source.source)
    if source is None:
        return False  # said by whoever looks for it
    wanted = {k: v for k, v in (request.config or {}).items() if not k.startswith("volatile.")}
    return bool(
        wanted.items() - source.config.items()
        or request.devices not in (None, {}, source.devices)
        or request.profiles not in (None, source.profiles)
    )


async def _source(host: Host, text: str) -> tuple[str, Container, Snapshot | None]:
    """(full name, the container as it is or was, the snapshot if it is one)."""
    name, slash, own = text.partition("/")
    container = await containers.get(host, name)
    if not slash:
        return name, container, None
    snapshot = await snapshots.get(host, name, own)
    return text, snapshots.as_container(snapshot, container.pool), snapshot


def _draft(name: str, was: Container, request: ContainerCreate) -> Container:
    config: Config = {
        k: v for k, v in was.config.items() if not k.startswith("volatile.") or k in KEPT_VOLATILE
    }
    config |= {"volatile.apply_template": "copy", **(request.config or {})}
    return Container(
        name=name,
        architecture=was.architecture,
        created_at=datetime.now(UTC),
        pool=was.pool,
        config={k: v for k, v in config.items() if v != ""},
        devices={**was.devices, **(request.devices or {})},
        profiles=was.profiles if request.profiles is None else request.profiles,
        ephemeral=request.ephemeral,
        description=request.description or was.description,
        pending="create",
    )


async def _copy(
    host: Host,
    draft: Container,
    pool: str,
    source: Volume,
    along: Sequence[Snapshot],
    count: Count,
    still: Still | None,
) -> None:
    """pool: where the source and the snapshots that come along are. still: for a source that runs."""
    async with Undo() as undo:
        await host.records.containers.insert(draft)
        undo.on_failure(containers.discard, host, draft)
        host.runtime.forget_logs(draft.name)
        merged = await containers.check(host, draft)
        made, wanted = await containers.settled(host, draft, merged)
        for snapshot in along:
            await host.records.snapshots.insert(_copied(snapshot, draft))  # taken back with the container
        taken = [snapshots.volume_of(s.name) for s in along]
        if pool == draft.pool:
            storage = host.storage.get(pool)
            for one in taken:
                await storage.snapshot(one, _of_copy(one, draft))
            await storage.copy(source, volume(draft.name), still)
        else:
            carrier = pool_moves.Carrier(
                host.storage.get(pool), host.storage.get(draft.pool), count, containers.root_size(merged)
            )
            await carrier.all([*taken, source], lambda one: _of_copy(one, draft, source))
        await memory.remove(host, draft)
        await containers.apply_quota(host, draft, merged)
        made = await owners.fill(host, made, wanted)
        await host.records.containers.replace(replace(made, pending=""))
        await places.settle(host, made.name)
        undo.keep()
    host.events.lifecycle("container-created", containers.url(draft.name))


def _copied(snapshot: Snapshot, draft: Container) -> Snapshot:
    """The addresses of its interfaces, and its memory, stay the original's: the copy has its own."""
    config = {k: v for k, v in snapshot.config.items() if not containers.is_of_interface(k)}
    there = pool_moves.with_root_of(draft, snapshot.devices)
    name = f"{draft.name}/{snapshot.own_name}"
    return replace(snapshot, name=name, config=config, devices=there, stateful=False)


def _of_copy(one: Volume, draft: Container, source: Volume | None = None) -> Volume:
    """What a volume of the original is called in the copy."""
    if one == source:
        return volume(draft.name)
    return snapshots.volume_of(f"{draft.name}/{one.name.partition('/')[2]}")
