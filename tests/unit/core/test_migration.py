"""Two hosts of fakes: a container goes over whole, or not at all; a host that lies gets nothing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakePeers, FakeSocket, Faults, make_host
from wardian.core import (
    containers,
    migration_sink,
    migration_source,
    partial,
    pools,
    recovery,
    server,
    snapshots,
    wire,
)
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.pools import PoolWrite
from wardian.errors import HostFailed, InvalidInput, NotFound, NotImplementedHere, WardianError
from wardian.model import migration
from wardian.model.migration import Answer, Begin, Done, Fail, Have, Kept, Message, Offer, Verdict
from wardian.model.requests import (
    ContainerCreate,
    ContainerPost,
    ContainerSource,
    MigrationTarget,
    SnapshotCreate,
)
from wardian.ports.storage import Volume

PLACE = "https://source:8443"


async def finished(operation: Operation) -> None:
    await operation.finished.wait()
    if operation.err:
        raise HostFailed(operation.err)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a last word that does not come."""
    monkeypatch.setattr(wire, "LAST_WORD_S", 0.1)


def folder(host: Host, name: str, kind: Any = "container") -> Path:
    return host.storage.get("default").path(Volume(kind, name))


@pytest.fixture
async def source(host: Host) -> Host:
    """A host with the container c1, and its snapshot s1 with other files."""
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    wanted = ContainerCreate(source=ContainerSource(type="none"), name="c1", profiles=[])
    await finished(await containers.create(host, wanted))
    (folder(host, "c1") / "file").write_text("old")
    await finished(await snapshots.create(host, "c1", SnapshotCreate(name="s1")))
    (folder(host, "c1") / "file").write_text("new")
    return host


@pytest.fixture
def faults_there() -> Faults:
    """Which step of the other host fails."""
    return Faults()


@pytest.fixture
async def target(tmp_path: Path, source: Host, faults_there: Faults) -> AsyncIterator[Host]:
    """Another host, which reaches the first one, and the first one it."""
    made = make_host(tmp_path / "target", faults_there)
    await made.watcher.open()
    await pools.create(made, PoolWrite(name="default", driver="dir"))
    peers_of(made).hosts = peers_of(source).hosts = {"wss://source:8443": source, "wss://target:8443": made}
    yield made
    await made.operations.close()
    await made.watcher.close()
    made.events.close()


def peers_of(host: Host) -> FakePeers:
    assert isinstance(host.peers, FakePeers)
    return host.peers


def wanted(sending: Operation, **more: Any) -> ContainerCreate:
    """The request for the copy of c1 from an operation of the source."""
    secrets = {name: sending.metadata[name] for name in migration.STREAMS}
    origin = ContainerSource(
        type="migration", mode="pull", operation=f"{PLACE}{sending.url}", secrets=secrets, **more
    )
    return ContainerCreate(source=origin, name="c1", profiles=[], architecture="x86_64")


async def pull(source: Host, target: Host, **more: Any) -> None:
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True))
    receiving = await migration_sink.receive(target, wanted(sending, **more))
    try:
        await finished(receiving)
    finally:
        await sending.finished.wait()
    assert not sending.err


async def push(source: Host, target: Host) -> None:
    origin = ContainerSource(type="migration", mode="push")
    receiving = await migration_sink.receive(
        target, ContainerCreate(source=origin, name="c1", profiles=[], architecture="x86_64")
    )
    secrets = {name: receiving.metadata[name] for name in migration.STREAMS}
    goal = MigrationTarget(f"https://target:8443{receiving.url}", secrets)
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True, target=goal))
    await sending.finished.wait()
    await finished(receiving)


async def everything(host: Host) -> tuple[Any, ...]:
    storage = host.storage.get("default")
    files = [(v, (storage.path(v) / "file").read_text()) for v in await storage.volumes()]
    return await host.records.containers.all(), await host.records.snapshots.all(), files


@pytest.mark.parametrize("transfer", [pull, push])
async def test_a_container_arrives_with_its_snapshots(
    source: Host, target: Host, transfer: Callable[[Host, Host], Awaitable[None]]
) -> None:
    before = await everything(source)
    await transfer(source, target)
    assert (folder(target, "c1") / "file").read_text() == "new"
    assert (folder(target, "c1/s1", "snapshot") / "file").read_text() == "old"
    (here,), (there,) = await source.records.snapshots.all(), await target.records.snapshots.all()
    assert (there.created_at, there.pending) == (here.created_at, "")
    assert (await containers.get(target, "c1")).pending == ""
    assert await everything(source) == before
    assert not source.operations.holding("c1") and not target.operations.holding("c1")


async def test_secrets_are_told_to_nobody_but_who_asked(source: Host, target: Host) -> None:
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True))
    secrets = [sending.metadata[name] for name in migration.STREAMS]
    shown = json.dumps(sending.render(metadata=False))
    assert not any(secret in shown for secret in secrets)
    source.operations.cancel(sending.id)
    await sending.finished.wait()


async def refresh(source: Host, target: Host) -> None:
    await pull(source, target, refresh=True)


@pytest.mark.parametrize("transfer", [pull, refresh])
async def test_whatever_step_fails_on_the_target_the_next_try_works(
    source: Host, target: Host, faults_there: Faults, transfer: Callable[[Host, Host], Awaitable[None]]
) -> None:
    if transfer is refresh:
        await pull(source, target)
        (folder(source, "c1") / "file").write_text("newer")
    before, there = await everything(source), await everything(target)
    for number in range(50):
        faults_there.steps.clear()
        faults_there.fail_at = number
        try:
            await transfer(source, target)
        except WardianError:
            faults_there.fail_at = None
            assert await everything(source) == before, number
            await recovery.sweep(target)
            if (folder(target, "c1") / "file").exists() and transfer is refresh:
                assert len((await everything(target))[2]) == 2
                continue  # a step after the commit: the next start carries the rest out
            assert await everything(target) == there, number
            continue
        faults_there.fail_at = None
        assert number > 3 and await everything(target) != there
        return
    pytest.fail("it never works")


@pytest.mark.parametrize("last", range(12))
@pytest.mark.parametrize("transfer", [pull, refresh])
async def test_whatever_step_the_target_dies_after_the_next_start_settles_it(
    source: Host,
    target: Host,
    faults_there: Faults,
    transfer: Callable[[Host, Host], Awaitable[None]],
    last: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dies: all steps after that one fail, also those that would take something back."""
    if transfer is refresh:
        await pull(source, target)

    def step(self: Faults, name: str) -> None:
        self.steps.append(name)
        if self.fail_at is not None and len(self.steps) > self.fail_at:
            raise HostFailed(f'"{name}" after the end')

    monkeypatch.setattr(Faults, "step", step)
    faults_there.fail_at = len(faults_there.steps) + last
    with contextlib.suppress(WardianError):
        await transfer(source, target)
    faults_there.fail_at = None
    await recovery.sweep(target)
    containers_left, snapshots_left, files = await everything(target)
    assert not any(snapshot.pending for snapshot in snapshots_left)
    named = {("container", c.name) for c in containers_left if not c.pending}
    named |= {("snapshot", s.name) for s in snapshots_left}
    assert all(c.pending in ("", "partial") for c in containers_left) and (named or not containers_left)
    assert named == {(volume.kind, volume.name) for volume, _ in files}
    assert len(containers_left) == 1 or transfer is pull
    await refresh(source, target)
    assert (folder(target, "c1") / "file").read_text() == "new"
    assert not any(found.pending for found in await target.records.containers.all())


# --- a copy that breaks off, and its next try ---------------------------------------------------


async def break_off(source: Host, target: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of which only the snapshot comes whole."""

    def step(self: Faults, name: str) -> None:
        if name == "receive container volume":
            peers_of(target).opened[-2].cut()

    with monkeypatch.context() as patch, pytest.raises(WardianError, match="broke off"):
        patch.setattr(Faults, "step", step)
        await pull(source, target)


async def test_what_came_whole_is_not_sent_again(
    source: Host, target: Host, faults_there: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    await break_off(source, target, monkeypatch)
    assert await containers.every(target) == []
    with pytest.raises(NotFound):
        await containers.get(target, "c1")
    assert [v.name for v in await target.storage.get("default").volumes()] == ["c1/s1"]
    await recovery.sweep(target)
    faults_there.steps.clear()
    await finished(await snapshots.create(source, "c1", SnapshotCreate(name="s2")))
    await pull(source, target)
    assert [step for step in faults_there.steps if step.startswith("receive")] == [
        "receive snapshot volume",  # s2
        "receive container volume",
    ]
    assert sorted(s.own_name for s in await snapshots.every(target, "c1")) == ["s1", "s2"]
    assert (folder(target, "c1/s1", "snapshot") / "file").read_text() == "old"
    assert (folder(target, "c1") / "file").read_text() == "new"


async def test_another_container_of_that_name_has_nothing_of_it(
    source: Host, target: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await break_off(source, target, monkeypatch)
    await finished(await snapshots.delete(source, await snapshots.get(source, "c1", "s1")))
    await finished(await snapshots.create(source, "c1", SnapshotCreate(name="s1")))
    await pull(source, target)
    assert (folder(target, "c1/s1", "snapshot") / "file").read_text() == "new"
    await finished(await containers.delete(target, "c1"))

    await finished(await snapshots.delete(source, await snapshots.get(source, "c1", "s1")))
    await break_off_with(source, target, monkeypatch)
    await finished(await snapshots.delete(source, await snapshots.get(source, "c1", "s1")))
    await pull(source, target)
    assert await snapshots.every(target, "c1") == []


async def break_off_with(source: Host, target: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await finished(await snapshots.create(source, "c1", SnapshotCreate(name="s1")))
    await break_off(source, target, monkeypatch)


@pytest.mark.parametrize("how", ["delete", "create", "expire", "never kept", "cancel"])
async def test_what_is_kept_goes(
    source: Host, target: Host, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "never kept":
        await server.update(target, {"migration.partial_expiry": "0"}, merge=True, precondition=print)
    await break_off(source, target, monkeypatch)
    now = datetime.now(UTC)
    if how == "delete":
        await finished(await containers.delete(target, "c1"))
    elif how == "create":
        wanted = ContainerCreate(source=ContainerSource(type="none"), name="c1", profiles=[])
        await finished(await containers.create(target, wanted))
        assert await snapshots.every(target, "c1") == []
        await finished(await containers.delete(target, "c1"))
    elif how == "expire":
        await partial.expire(target, now + timedelta(hours=23))
        assert len(await partial.ends(target)) == 1
        await partial.expire(target, now + timedelta(hours=25))
    elif how == "cancel":

        def step(self: Faults, name: str) -> None:
            if name == "receive container volume":
                (running,) = (one for one in target.operations.all() if one.may_cancel)
                target.operations.cancel(running.id)

        with monkeypatch.context() as patch, pytest.raises(WardianError, match="cancelled"):
            patch.setattr(Faults, "step", step)
            await pull(source, target)
    assert await everything(target) == ([], [], [])


async def test_refresh_sends_what_is_lacking_and_keeps_what_only_the_copy_has(
    source: Host, target: Host
) -> None:
    await pull(source, target)
    await finished(await snapshots.create(target, "c1", SnapshotCreate(name="mine")))
    (folder(source, "c1") / "file").write_text("newer")
    await finished(await snapshots.create(source, "c1", SnapshotCreate(name="s2")))
    with pytest.raises(WardianError, match="already exists"):
        await pull(source, target)
    await refresh(source, target)
    assert (folder(target, "c1") / "file").read_text() == "newer"
    assert sorted(s.own_name for s in await snapshots.every(target, "c1")) == ["mine", "s1", "s2"]
    volumes = await target.storage.get("default").volumes()
    assert [v.name for v in volumes] == ["c1", "c1/mine", "c1/s1", "c1/s2"]


async def test_a_refresh_that_breaks_keeps_the_snapshots_that_arrived(
    source: Host, target: Host, faults_there: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pull(source, target)
    (folder(source, "c1") / "file").write_text("newer")
    await finished(await snapshots.create(source, "c1", SnapshotCreate(name="s2")))

    def step(self: Faults, name: str) -> None:
        if name == "receive container volume":
            raise HostFailed("no")

    with monkeypatch.context() as patch, pytest.raises(WardianError):
        patch.setattr(Faults, "step", step)
        await refresh(source, target)
    assert (folder(target, "c1") / "file").read_text() == "new"
    assert sorted(s.own_name for s in await snapshots.every(target, "c1")) == ["s1", "s2"]
    await refresh(source, target)
    assert (folder(target, "c1") / "file").read_text() == "newer"


# --- a host that lies --------------------------------------------------------------------------


class Liar:
    """The other end of both streams, which says whatever a test wants."""

    def __init__(self, target: Host) -> None:
        self.target = target
        self.control, self._control = FakeSocket.pair()
        self.fs, self._fs = FakeSocket.pair()

    async def begin(self) -> Operation:
        """The operation of the target, connected to us."""
        origin = ContainerSource(type="migration", mode="push")
        operation = await migration_sink.receive(
            self.target, ContainerCreate(source=origin, name="c1", profiles=[], architecture="x86_64")
        )
        for name, theirs in (("control", self._control), ("fs", self._fs)):
            operation.sockets[name].set_result(theirs)
        return operation

    async def say(self, *messages: Message | str | bytes) -> None:
        for message in messages:
            frame = migration.encode(message) if isinstance(message, Message) else message
            await self.control.send(frame)

    async def hear(self) -> Message:
        frame = await self.control.receive()
        assert frame is not None
        return migration.decode(frame)


@pytest.fixture
def liar(target: Host) -> Liar:
    return Liar(target)


def an_offer(**more: Any) -> Offer:
    return Offer(**{"version": 1, "transports": ["rsync"], **more})


def a_snapshot(**more: Any) -> Kept:
    from datetime import UTC, datetime

    return Kept(
        **{"name": "s", "architecture": "x86_64", "created_at": datetime(2026, 1, 1, tzinfo=UTC), **more}
    )


BAD_BEGINNINGS: dict[str, Message | str | bytes] = {
    "no json": "hello",
    "binary": b"\0\1\2",
    "another message": Verdict(),
    "another version": an_offer(version=9),
    "no common transport": an_offer(transports=["zfs"]),
    "a name that leads out": an_offer(snapshots=[a_snapshot(name="../../../etc")]),
    "a restricted key": an_offer(snapshots=[a_snapshot(config={"raw.lxc": "lxc.hook.start = /bin/sh"})]),
    "an unknown key": an_offer(snapshots=[a_snapshot(config={"no.such": "key"})]),
    "an unknown profile": an_offer(snapshots=[a_snapshot(profiles=["nope"])]),
    "another architecture": an_offer(snapshots=[a_snapshot(architecture="s390x")]),
    "a device that is none": an_offer(snapshots=[a_snapshot(devices={"../x": {"type": "disk"}})]),
    "an id map that is none": an_offer(snapshots=[a_snapshot(config={"volatile.last_state.idmap": "x"})]),
    "too much": "x" * (migration.CONTROL_BYTES + 1),
}


@pytest.mark.parametrize("what", BAD_BEGINNINGS)
async def test_what_a_hostile_source_offers_is_refused_before_anything_is_sent(
    target: Host, liar: Liar, what: str
) -> None:
    operation = await liar.begin()
    await liar.say(BAD_BEGINNINGS[what])
    assert isinstance(await liar.hear(), Fail)
    await operation.finished.wait()
    assert operation.status == "Failure" and "internal error" not in operation.err, operation.err
    assert "\n" not in operation.err
    assert await everything(target) == ([], [], [])


BAD_VOLUMES: dict[str, tuple[list[Message | str], list[bytes | str]]] = {
    "another volume": ([Begin(volume="s2")], []),
    "a base that is not here": ([Begin(volume="s", base="s2")], []),
    "files of what runs": ([Begin(volume="/1")], []),
    "words where files are due": ([Begin(volume="s")], [b"x", "words"]),
    "no files": ([Begin(volume="s"), Done(volume="s", size=0, crc32=0)], [""]),
    "no end": ([Begin(volume="s"), Fail(message="tired\n\x1b[31m")], [b"x" * 100]),
    "wrong sum": ([Begin(volume="s"), Done(volume="s", size=10240, crc32=1)], ["TAR"]),
    "a flood of words": ([Begin(volume="s"), *[Verdict()] * 4], [b"x"]),
}


@pytest.mark.parametrize("what", BAD_VOLUMES)
async def test_what_a_hostile_source_sends_leaves_nothing(target: Host, liar: Liar, what: str) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    tarfile.open(fileobj=packed, mode="w").close()
    operation = await liar.begin()
    await liar.say(an_offer(snapshots=[a_snapshot()]))
    assert isinstance(await liar.hear(), Answer)
    words, frames = BAD_VOLUMES[what]
    await liar.say(*words)
    for frame in frames:
        if frame == "TAR":
            await liar.fs.send(packed.getvalue())
            await liar.fs.send("")
        else:
            await liar.fs.send(frame)
    if what in ("a flood of words",):
        liar.fs.cut()
    await operation.finished.wait()
    assert operation.status == "Failure" and "internal error" not in operation.err, operation.err
    assert "\x1b" not in operation.err
    assert await everything(target) == ([], [], [])


async def files_come(target: Host) -> None:
    """Return once the first bytes of a volume have arrived."""
    listener = target.events.subscribe(("operation",))
    async for event in listener:
        if "fs_progress" in (event["metadata"]["metadata"] or {}):
            break
    target.events.unsubscribe(listener)


@pytest.mark.parametrize("stream", ["control", "fs"])
async def test_a_cut_stream_ends_both_sides(source: Host, target: Host, stream: str) -> None:
    """The first byte of files has come when the stream is cut."""
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True, bandwidth="1000"))
    receiving = await migration_sink.receive(target, wanted(sending))
    await files_come(target)
    peers_of(target).opened[migration.STREAMS.index(stream)].cut()
    await asyncio.gather(sending.finished.wait(), receiving.finished.wait())
    assert "broke off" in receiving.err and sending.status == "Failure"
    assert await everything(target) == ([], [], [])
    assert (await containers.get(source, "c1")).pending == ""


@pytest.mark.parametrize("side", ["source", "target"])
async def test_either_side_can_cancel(source: Host, target: Host, side: str) -> None:
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True, bandwidth="1000"))
    receiving = await migration_sink.receive(target, wanted(sending))
    await files_come(target)
    own, other = (sending, receiving) if side == "source" else (receiving, sending)
    (source if side == "source" else target).operations.cancel(own.id)
    await asyncio.gather(own.finished.wait(), other.finished.wait())
    assert own.status == "Cancelled"
    assert other.err == "the other host gives up: cancelled"
    assert await everything(target) == ([], [], [])


# --- a target that lies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Answer(transport="zfs", wanted=[]),
        Answer(transport="rsync", wanted=["../../c2"]),
        Answer(transport="rsync", wanted=["nope"]),
        Answer(transport="rsync", wanted=[], ahead=True),
        Have(volume=""),
    ],
)
async def test_a_target_gets_only_what_was_offered(source: Host, answer: Message) -> None:
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True))
    ours, theirs = FakeSocket.pair()
    _, fs = FakeSocket.pair()
    sending.sockets["control"].set_result(theirs)
    sending.sockets["fs"].set_result(fs)
    assert isinstance(migration.decode(await ours.receive() or ""), Offer)
    await ours.send(migration.encode(answer))
    assert isinstance(migration.decode(await ours.receive() or ""), Fail)
    await sending.finished.wait()
    assert sending.status == "Failure"


async def test_what_cannot_be_sent_is_said_at_once(source: Host, target: Host) -> None:
    with pytest.raises(NotFound):
        await migration_source.send(source, "nope", "", ContainerPost(migration=True))
    with pytest.raises(NotFound):
        await migration_source.send(source, "c1", "nope", ContainerPost(migration=True))
    with pytest.raises(InvalidInput, match="does not run"):
        await migration_source.send(source, "c1", "", ContainerPost(migration=True, live=True))
    with pytest.raises(InvalidInput, match="bandwidth"):
        await migration_source.send(source, "c1", "", ContainerPost(migration=True, bandwidth="0"))


async def test_what_cannot_be_received_is_said_at_once(source: Host, target: Host) -> None:
    sending = await migration_source.send(source, "c1", "", ContainerPost(migration=True))
    fine = wanted(sending)

    def with_source(**more: Any) -> ContainerCreate:
        from msgspec.structs import replace

        return replace(fine, source=replace(fine.source, **more))

    for request, error in (
        (with_source(mode="relay"), "source.mode"),
        (with_source(operation="https://x"), "source.operation"),
        (with_source(secrets={"control": "a"}), "Missing fs secret"),
        (with_source(live=True), "migration.accept_memory"),
    ):
        with pytest.raises((InvalidInput, NotImplementedHere), match=error):
            await migration_sink.receive(target, request)
    source.operations.cancel(sending.id)
    await sending.finished.wait()


async def test_messages_that_came_before_the_end_are_heard(source: Host) -> None:
    ours, theirs = FakeSocket.pair()
    fs, _ = FakeSocket.pair()
    line = wire.Wire(theirs, fs, 1)
    await ours.send(migration.encode(Verdict()))
    await ours.close()
    assert await line.hear(Verdict) == Verdict()
    with pytest.raises(HostFailed, match="broke off"):
        await line.hear(Verdict)
    await line.close()
