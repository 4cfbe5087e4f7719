"""Stand-ins for every port: small, in memory or below a temporary folder, honest about the ports' promises.

Every step that changes something passes `Faults.step`, so that a test can let each one fail in turn.
"""

import asyncio
import contextlib
import hashlib
import io
import os
import shutil
import socket
import tarfile
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.fake_downloads import FakeDownloads
from wardian.core.events import Events
from wardian.core.host import Host, Machine
from wardian.core.lifecycle import Watcher
from wardian.core.operations import Operations
from wardian.errors import AlreadyExists, HostFailed, InvalidInput, NotFound, StaleRevision, TransferCut
from wardian.model import devices
from wardian.model.certificates import to_pem
from wardian.model.confinement import Confinement
from wardian.model.container import Network, Pool
from wardian.model.idmap import IdMap
from wardian.model.paths import Paths
from wardian.model.plans import DevicePlan, Node
from wardian.model.proxies import Proxies
from wardian.ports.files import Inside, Place
from wardian.ports.network import Counters, HostPart, Interface, Lease, Reservation
from wardian.ports.peers import Socket
from wardian.ports.rootfs import (
    Counted,
    ImageFiles,
    Packed,
    PackedFile,
    PackedTree,
    Progress,
    Received,
    TemplateJob,
)
from wardian.ports.runtime import Command, DeviceContext, Process, Started, StartPlan, Usage
from wardian.ports.storage import Space, Still, Storage, Traits, Volume, VolumeKind
from wardian.ports.store import Document, Write
from wardian.store.records import Records


@dataclass
class Faults:
    """Counts the steps that change something, and lets one of them fail."""

    fail_at: int | None = None
    """Which step fails, counted from 0."""
    steps: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        """Note the step; HostFailed if it is the one that fails."""
        self.steps.append(name)
        if self.fail_at == len(self.steps) - 1:
            raise HostFailed(f'step {self.fail_at} "{name}" was told to fail')


class MemoryStore:
    """A Store that forgets everything at the end."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.documents: dict[str, Document] = {}
        self.revision = 0
        self._faults = faults or Faults()

    async def get(self, key: str) -> Document | None:
        return self.documents.get(key)

    async def list(self, prefix: str) -> list[Document]:
        keys = sorted(self.documents)
        found = keys[bisect_left(keys, prefix) :]
        return [self.documents[key] for key in found if key.startswith(prefix)]

    async def commit(self, writes: Sequence[Write], expect: Mapping[str, int] | None = None) -> int:
        for key, expected in (expect or {}).items():
            document = self.documents.get(key)
            if (document.revision if document else 0) != expected:
                raise StaleRevision(
                    f'"{key}" was changed by someone else meanwhile; read it again and retry'
                )
        self._faults.step(f"store {', '.join(write.key for write in writes)}")
        self.revision += 1
        for write in writes:
            if write.value is None:
                self.documents.pop(write.key, None)
            else:
                self.documents[write.key] = Document(write.key, write.value, self.revision)
        return self.revision

    async def close(self) -> None:
        pass


class FakeStorage:
    """A pool of plain folders."""

    driver = "fake"
    version = "1"
    traits = Traits(clones=False, quotas=True, usage=True)

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root
        self._faults = faults
        self.quotas: dict[Volume, int | None] = {}

    async def create_pool(self) -> None:
        self._faults.step("create pool")
        self._root.mkdir(parents=True)

    async def delete_pool(self) -> None:
        if await self.volumes():
            raise InvalidInput("the pool is not empty")
        self._faults.step("delete pool")
        shutil.rmtree(self._root, ignore_errors=True)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def grow(self, size_bytes: int) -> None:
        self._faults.step("grow pool")

    def path(self, volume: Volume) -> Path:
        return self._root / volume.kind / volume.name.replace("/", "@")

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        self._faults.step(f"mount {volume.kind} volume")
        return False

    async def unmount(self, volume: Volume) -> None:
        pass

    async def volumes(self) -> list[Volume]:
        kinds: tuple[VolumeKind, ...] = ("container", "image", "snapshot", "custom", "custom-snapshot")
        found = [(kind, path) for kind in kinds for path in self._root.glob(f"{kind}/*")]
        return sorted(Volume(kind, path.name.replace("@", "/")) for kind, path in found)

    async def create(self, volume: Volume) -> None:
        if self.path(volume).exists():
            raise AlreadyExists(f'volume "{volume.name}" already exists')
        self._faults.step(f"create {volume.kind} volume")
        self.path(volume).mkdir(parents=True)

    async def copy(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        self._faults.step(f"copy to {target.kind} volume")
        async with still() if still else contextlib.nullcontext():
            shutil.copytree(self.path(source), self.path(target))

    async def snapshot(self, source: Volume, target: Volume, still: Still | None = None) -> None:
        await self.copy(source, target, still)

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        await self.delete(target)
        await self.copy(snapshot, target)

    async def rename(self, volume: Volume, new: Volume) -> None:
        self._faults.step(f"rename {volume.kind} volume")
        self.path(volume).rename(self.path(new))

    async def delete(self, volume: Volume) -> None:
        self._faults.step(f"delete {volume.kind} volume")
        shutil.rmtree(self.path(volume), ignore_errors=True)

    def transports(self) -> tuple[str, ...]:
        return ("rsync",)

    async def origin(self, snapshot: Volume) -> str:
        return ""

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        packed = io.BytesIO()
        with socket.socket(fileno=os.dup(fd)) as ours:
            ours.setblocking(False)
            try:
                self._faults.step(f"send {volume.kind} volume")
                with tarfile.open(fileobj=packed, mode="w") as archive:
                    archive.add(self.path(volume), ".")
            except BaseException:
                ours.shutdown(socket.SHUT_WR)
                raise
            await asyncio.get_running_loop().sock_sendall(ours, packed.getvalue())
            ours.shutdown(socket.SHUT_WR)

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        if self.path(volume).exists():
            raise AlreadyExists(f'volume "{volume.name}" already exists')
        self._faults.step(f"receive {volume.kind} volume")
        packed = b""
        with socket.socket(fileno=os.dup(fd)) as ours:
            ours.setblocking(False)
            while chunk := await asyncio.get_running_loop().sock_recv(ours, 65536):
                packed += chunk
        if not packed:
            raise TransferCut("the other side ended the transfer too early")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(self.path(volume))

    async def refresh(self, volume: Volume, fd: int) -> None:
        old = self.path(volume).with_name(".old")
        self.path(volume).rename(old)
        try:
            await self.receive(volume, fd, "rsync")
        except BaseException:
            old.rename(self.path(volume))
            raise
        shutil.rmtree(old)

    async def sweep(self) -> None:
        pass

    async def usage(self, volume: Volume) -> int | None:
        return 4096

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        self._faults.step("set quota")
        self.quotas[volume] = size_bytes

    async def space(self) -> Space:
        return Space(used=1, total=2)


class FakeStorageDrivers:
    """Pools of the driver `dir`, all of them fakes."""

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root
        self._faults = faults
        self._made: dict[str, Storage] = {}

    def kinds(self) -> list[str]:
        return ["dir"]

    def make(self, pool: Pool) -> Storage:
        made = FakeStorage(self._root / pool.name, self._faults)
        self._made[pool.name] = made
        return made

    def get(self, name: str) -> Storage:
        try:
            return self._made[name]
        except KeyError:
            raise NotFound(f'storage pool "{name}" not found') from None

    def drop(self, name: str) -> None:
        self._made.pop(name, None)


class FakeRootfs:
    """Takes the metadata file of an image for its `metadata.yaml`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def read_metadata(self, image: ImageFiles, idmap: IdMap) -> bytes:
        return image.metadata.read_bytes()

    async def unpack(self, image: ImageFiles, folder: Path, idmap: IdMap, received: Received) -> None:
        self._faults.step("unpack")
        (folder / "rootfs").mkdir()
        (folder / "metadata.yaml").write_bytes(image.metadata.read_bytes())
        received(image.metadata.stat().st_size)

    async def can_map(self, folder: Path) -> bool:
        return True

    async def shift_owners(self, tree: Path, old: IdMap, new: IdMap) -> None:
        self._faults.step("shift owners")

    async def bootstrap(
        self, suite: str, architecture: str, target: ImageFiles, proxies: Proxies, progress: Progress
    ) -> dict[str, str]:
        self._faults.step("bootstrap")
        target.metadata.write_text(f"architecture: {architecture}\ncreation_date: 1\n")
        if target.rootfs is not None:
            target.rootfs.write_text(suite)
        return {"os": "debian", "release": suite}

    async def apply_templates(self, folder: Path, jobs: Sequence[TemplateJob]) -> None:
        self._faults.step("apply templates")

    def can_patch(self) -> bool:
        return True

    async def patch(self, base: Path, delta: Path, target: Path, size: int, idmap: IdMap) -> None:
        self._faults.step("patch")
        target.write_bytes(base.read_bytes() + delta.read_bytes())

    async def pack(
        self,
        parts: Sequence[PackedFile | PackedTree],
        target: Path,
        idmap: IdMap,
        *,
        compression: str,
        seal: str = "",
        counted: Counted,
    ) -> Packed:
        self._faults.step("pack")
        content = b"".join(part.content for part in parts if isinstance(part, PackedFile))
        target.write_bytes(content)
        counted(len(content))
        return Packed(hashlib.sha256(content).hexdigest(), len(content))

    async def read_member(self, archive: Path, name: str, idmap: IdMap) -> bytes:
        return archive.read_bytes()

    async def stream_member(self, archive: Path, name: str, idmap: IdMap) -> AsyncGenerator[bytes, None]:
        yield archive.read_bytes()

    async def refuse_devices(self, folder: Path) -> None:
        pass

    async def extract(self, archive: Path, member: str, folder: Path, idmap: IdMap) -> None:
        self._faults.step(f"extract {member}")
        (folder / "rootfs").mkdir()

    async def check_seal(self, archive: Path, seal: str, idmap: IdMap) -> None:
        pass

    def kind_of(self, path: Path) -> str:
        return "xz"


class FakeFiles:
    """Files of containers that cannot be entered."""

    def __init__(self) -> None:
        self.left: list[str] = []

    @contextlib.asynccontextmanager
    async def enter(self, place: Place) -> AsyncIterator[Inside]:
        raise HostFailed(f'container "{place.name}" cannot be entered')
        yield

    async def leave(self, name: str) -> None:
        self.left.append(name)

    async def close(self) -> None:
        pass


class FakeGuests:
    """Doors that are open or not: name -> whether it listens."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.doors: dict[str, bool] = {}

    def folder(self, name: str) -> Path:
        return self._root / name

    async def open(self, name: str, *, listening: bool, group: int | None = None) -> None:
        self.doors[name] = listening

    def close(self, name: str) -> None:
        self.doors.pop(name, None)

    def close_all(self) -> None:
        self.doors.clear()

    def sweep(self, running: set[str]) -> None:
        self.doors = {name: on for name, on in self.doors.items() if name in running}


class FakeBridge:
    """Bridges that exist in a set of names."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.present: set[str] = set()
        self.reserved: dict[str, list[Reservation]] = {}
        self.given_back: list[tuple[str, str]] = []

    @contextlib.asynccontextmanager
    async def choosing(self) -> AsyncIterator[None]:
        yield

    def is_taken(self, name: str) -> bool:
        return name in self.present

    async def choose(
        self, name: str, config: Mapping[str, str], present: Mapping[str, str]
    ) -> dict[str, str]:
        chosen = {"ipv4.address": "10.0.0.1/24", "ipv6.address": "fd42::1/64", **config}
        return {k: v for k, v in chosen.items() if v != "auto"}

    async def up(self, network: Network) -> None:
        self._faults.step("bridge up")
        self.present.add(network.name)

    async def down(self, network: Network) -> None:
        self._faults.step("bridge down")
        self.present.discard(network.name)

    async def leases(self, network: Network) -> list[Lease]:
        return [Lease("c1", "00:16:3e:00:00:01", "10.0.0.2")]

    async def give_back(self, network: Network, hwaddr: str) -> None:
        self._faults.step("give back an address")
        self.given_back.append((network.name, hwaddr))

    async def reserve(self, network: Network, reserved: Sequence[Reservation]) -> None:
        self._faults.step("reserve addresses")
        self.reserved[network.name] = list(reserved)

    async def problem(self, network: Network) -> str:
        return ""


class FakeAddresses:
    """Every followed container has eth0 with one address."""

    def __init__(self) -> None:
        self.followed: set[str] = set()

    async def watch(self, name: str, pid: int) -> None:
        self.followed.add(name)

    def forget(self, name: str) -> None:
        self.followed.discard(name)

    def interfaces(self, name: str) -> list[Interface]:
        addresses = (("inet", "10.0.0.2", 24, "global"),)
        eth0 = Interface("eth0", 2, "00:16:3e:00:00:01", 1500, True, "broadcast", 0, addresses)
        return [eth0] if name in self.followed else []

    def counters(self, name: str) -> dict[str, Counters]:
        return {"eth0": Counters(1, 2, 3, 4)} if name in self.followed else {}

    async def wait_change(self, name: str) -> None:
        await asyncio.Event().wait()


class FakeHotplug:
    """A host whose devices change when a test says so."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.parts: frozenset[HostPart] = frozenset({"devices"})

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def next_change(self) -> frozenset[HostPart]:
        await self.changed.wait()
        self.changed.clear()
        return self.parts


class FakeRuntime:
    """Containers that run in a dictionary; init obeys a halt unless its name is in `stubborn`."""

    version = "5.0.2"
    cgroups: Literal["v1", "v2"] = "v2"
    guards_devices = True

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root
        self._faults = faults
        self._ended: dict[str, asyncio.Event] = {}
        self._frozen: set[str] = set()
        self.stubborn: set[str] = set()
        self.foreign_ids: set[int] = set()
        """Host ids that are not root's to hand out."""
        self.has_criu = True
        self.in_the_way: list[str] = []
        self.saves_ahead = False
        self.restored: list[str] = []
        self.plans: dict[str, StartPlan] = {}
        self.cpu_numbers: tuple[int, ...] = (0, 1)
        self.written: dict[str, dict[str, str]] = {}
        self.reboots: asyncio.Queue[Started] = asyncio.Queue()

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def check_idmap(self, wanted: IdMap) -> None:
        if any(entry.host_id in self.foreign_ids for entry in wanted.ranges):
            raise InvalidInput("host ids are not root's to hand out")

    async def start(self, plan: StartPlan) -> Started:
        self._faults.step("start")
        self.plans[plan.name] = plan
        self._ended[plan.name] = asyncio.Event()
        return self._started(plan.name)

    def _started(self, name: str) -> Started:
        return Started(name, monitor_pid=1000, init_pid=1001)

    async def criu(self) -> str:
        if not self.has_criu:
            raise HostFailed("CRIU isn't installed")
        return "4.0"

    def obstacles(self, started: Started) -> list[str]:
        return list(self.in_the_way)

    async def can_save_ahead(self) -> bool:
        return self.saves_ahead

    async def save_ahead(self, plan: StartPlan, folder: Path, number: int) -> None:
        self._faults.step("save ahead")
        (folder / "ahead").mkdir(parents=True, exist_ok=True)
        (folder / "ahead" / str(number)).write_text(plan.name)

    async def save(self, plan: StartPlan, folder: Path, *, stop: bool, ahead: int = 0) -> None:
        assert not ahead or (folder / "ahead" / str(ahead)).is_file()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory").write_text(plan.name)
        try:
            self._faults.step("save")
        except HostFailed:
            shutil.rmtree(folder)
            raise
        if stop:
            self._ended[plan.name].set()

    def is_saved(self, folder: Path) -> bool:
        return (folder / "memory").is_file()

    async def restore(self, plan: StartPlan, folder: Path) -> Started:
        assert (folder / "memory").is_file()
        self._faults.step("restore")
        self.plans[plan.name] = plan
        self.restored.append(plan.name)
        self._ended[plan.name] = asyncio.Event()
        return self._started(plan.name)

    async def find_all(self) -> list[Started]:
        return [self._started(name) for name in self._ended]

    async def wait_stopped(self, started: Started) -> None:
        await self._ended[started.name].wait()
        del self._ended[started.name]

    async def next_reboot(self) -> Started:
        return await self.reboots.get()

    def request_halt(self, started: Started) -> bool:
        if started.name not in self.stubborn:
            self.kill(started)
        return True

    def kill(self, started: Started) -> None:
        self._ended[started.name].set()

    async def freeze(self, started: Started) -> None:
        self._faults.step("freeze")
        self._frozen.add(started.name)

    async def unfreeze(self, started: Started) -> None:
        self._frozen.discard(started.name)

    def is_frozen(self, started: Started) -> bool:
        return started.name in self._frozen

    def cpus(self) -> tuple[int, ...]:
        return self.cpu_numbers

    def usage(self, started: Started) -> Usage:
        return Usage(processes=7, cpu_ns=1, memory=2, memory_peak=3)

    def limit(self, started: Started, knobs: Sequence[tuple[str, str]]) -> None:
        self._faults.step("limit")
        self.written.setdefault(started.name, {}).update(knobs)

    def limit_kernel(self, started: Started, wanted: Mapping[str, tuple[int, int] | None]) -> None:
        self._faults.step("limit_kernel")

    async def set_sysctls(self, started: Started, wanted: Mapping[str, str]) -> None:
        self._faults.step("set_sysctls")

    async def confine(self, started: Started, confinement: Confinement) -> None:
        self._faults.step("confine")

    async def permit(self, started: Started, nodes: Collection[Node], *, allowed: bool) -> None:
        self._faults.step("permit")

    async def console(self, started: Started, fds: tuple[int, int, int]) -> Process:
        self._faults.step("console")
        return FakeProcess()

    async def execute(self, started: Started, command: Command, fds: tuple[int, int, int]) -> Process:
        self._faults.step("execute")
        return FakeProcess()

    def log_folder(self, name: str) -> Path:
        return self._root / name

    async def load_modules(self, names: Sequence[str]) -> None:
        pass

    def forget(self, name: str) -> None:
        pass

    def forget_logs(self, name: str) -> None:
        pass

    def expire_logs(self, known: Collection[str], running: Collection[str]) -> None:
        pass

    def rename(self, name: str, new: str) -> None:
        pass


class FakeProcess:
    """A program that ends at once with status 0."""

    async def wait(self) -> int:
        return 0

    def signal(self, number: int) -> None:
        pass

    def resized(self) -> None:
        pass

    def reworded(self, said: bytes) -> bytes | None:
        return said


class FakeDevice:
    """A device of any type; its steps are counted."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.checked: list[str] = []
        self.volatile: Mapping[str, str] = {}
        """Of the last device that was planned."""

    def check(self, name: str, options: Mapping[str, str]) -> None:
        self.checked.append(name)

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        self.volatile = around.volatile
        return DevicePlan(name)

    async def prepare(self, plan: DevicePlan) -> None:
        self._faults.step(f"prepare {plan.device}")

    async def release(self, plan: DevicePlan) -> None:
        self._faults.step(f"release {plan.device}")

    async def cut_off(self, plan: DevicePlan) -> None:
        self._faults.step(f"cut off {plan.device}")

    async def connected(self, plan: DevicePlan, started: Started) -> None:
        self._faults.step(f"connected {plan.device}")

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        self._faults.step(f"attach {plan.device}")

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        self._faults.step(f"detach {plan.device}")

    async def change(self, old: DevicePlan, new: DevicePlan, started: Started) -> None:
        self._faults.step(f"change {new.device}")


class FakeListener:
    """Listens nowhere, and says where it would."""

    certificate = to_pem(b"the server's certificate")

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.address = ""
        self.dropped: list[str] = []

    async def move(self, address: str) -> None:
        self._faults.step(f"listen on {address or 'nothing'}")
        self.address = address

    def addresses(self) -> list[str]:
        return [self.address] if self.address else []

    def drop(self, fingerprint: str) -> None:
        self.dropped.append(fingerprint)


class FakePeers:
    """Hosts that reach each other within the process. Each socket is the end of a pair of queues."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        """By the beginning of their URLs, `wss://HOST`."""
        self.opened: list[FakeSocket] = []
        self._held: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def connect(self, urls: Sequence[str], certificate: str) -> AsyncIterator[tuple[Socket, ...]]:
        for url in urls:
            place, _, rest = url.partition("/1.0/operations/")
            if place not in self.hosts:
                raise HostFailed(f"cannot reach {place}")
            id, _, secret = rest.partition("/websocket?secret=")
            ours, theirs = FakeSocket.pair()
            held = asyncio.create_task(self.hosts[place].operations.get(id).connect(secret, theirs))
            self._held.add(held)
            held.add_done_callback(self._held.discard)
            self.opened.append(ours)
        yield tuple(self.opened[-len(urls) :])


class FakeSocket:
    """One end of a websocket in memory; it holds a few frames, like one on the network."""

    def __init__(self, incoming: "asyncio.Queue[bytes | str | None]") -> None:
        self._incoming = incoming
        self.other: FakeSocket
        self.closed = False
        self.broken = False

    @classmethod
    def pair(cls) -> "tuple[FakeSocket, FakeSocket]":
        one, other = cls(asyncio.Queue(4)), cls(asyncio.Queue(4))
        one.other, other.other = other, one
        return one, other

    async def receive(self) -> bytes | str | None:
        if self.closed and self._incoming.empty():
            return None
        return await self._incoming.get()

    async def send(self, frame: bytes | str) -> None:
        if not (self.closed or self.other.closed):
            await self.other._incoming.put(frame)

    async def close(self) -> None:
        self.cut()

    def hang_up(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Nothing goes through any more, in either direction."""
        for end in (self, self.other):
            end.closed = True
            while end._incoming.full():
                end._incoming.get_nowait()
            end._incoming.put_nowait(None)

    def give_up_after(self, silence_s: int) -> None:
        pass


def make_host(root: Path, faults: Faults | None = None) -> Host:
    """A host of fakes below the folder, ready to serve and with nothing in it."""
    faults = faults or Faults()
    paths = Paths.of(str(root))
    for folder in (paths.images, paths.containers, paths.snapshots, paths.backups, paths.logs):
        folder.mkdir(parents=True)
    events = Events()
    host = Host(
        paths=paths,
        records=Records(MemoryStore(faults)),
        events=events,
        operations=Operations(events),
        runtime=FakeRuntime(paths.logs, faults),
        storage=FakeStorageDrivers(paths.pools, faults),
        bridge=FakeBridge(faults),
        rootfs=FakeRootfs(faults),
        files=FakeFiles(),
        guests=FakeGuests(root / "devlxd"),
        downloads=FakeDownloads(faults),
        peers=FakePeers(),
        addresses=FakeAddresses(),
        hotplug=FakeHotplug(),
        listener=FakeListener(faults),
        devices={kind.name: FakeDevice(faults) for kind in devices.TYPES},
        idmap=IdMap.contiguous(1000000, 65536 * 10),
        machine=Machine(
            architectures=("x86_64", "i686"),
            kernel="Linux",
            kernel_version="6.1",
            memory_total=8 * 1024**3,
            control_files=frozenset(),
        ),
        stop=lambda: None,
    )
    host.watcher = Watcher(host)
    for event in (host.ready, host.opened, host.started):
        event.set()
    return host
