"""The seams on one page: what `core` asks of a host, and what drivers and stores provide.

Each port has one contract suite (tests/contracts/) that every implementation passes.
All methods that touch the host are coroutines; a driver moves blocking calls to a thread.
A driver turns OSError into errors.HostFailed (OutOfSpace for ENOSPC/EDQUOT) naming the thing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from wardian.model.confinement import Confinement
from wardian.model.container import Network, Pool
from wardian.model.idmap import IdMap
from wardian.model.limits import Knob
from wardian.model.plans import DevicePlan, Node
from wardian.model.proxies import Proxies

T = TypeVar("T")

# --- store -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """A value in the store. The revision grows with each write to any key."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True)
class Write:
    """Put `value` at `key`, or delete the key if `value` is None."""

    key: str
    value: bytes | None


class Store(Protocol):
    """Key-value documents with revisions and compare-and-swap over several keys.

    Keys are `/`-separated, e.g. `containers/c1`. A finished `commit` survives kill -9 and power loss.
    """

    async def get(self, key: str) -> Document | None:
        """The document, or None."""

    async def list(self, prefix: str) -> list[Document]:
        """All documents whose key starts with the prefix, sorted by key."""

    async def commit(self, writes: Sequence[Write], expect: Mapping[str, int] | None = None) -> int:
        """Apply all writes or none; returns the new revision.

        expect: key -> revision it must still have (0: must not exist). Else raises
        errors.StaleRevision naming the first key that differs, and nothing is written.
        A caller that is cancelled meanwhile still gets the answer, and the cancellation at its next
        await: what was written is known, so that it can be taken back.
        """

    async def close(self) -> None:
        """Finish what was begun and release the files."""


# --- storage -----------------------------------------------------------------------------------

VolumeKind = Literal["container", "image", "snapshot", "custom", "custom-snapshot"]


@dataclass(frozen=True, order=True)
class Volume:
    """A tree of files in a pool.

    name: of the container, the image's fingerprint, `container/snapshot`; of a custom volume, which
    belongs to nobody and is nothing but files, `volume/snapshot`.
    """

    kind: VolumeKind
    name: str

    @property
    def is_snapshot(self) -> bool:
        """Whether it is what another volume was."""
        return self.kind in ("snapshot", "custom-snapshot")


@dataclass(frozen=True)
class Space:
    """Bytes of a pool's file system."""

    used: int
    total: int


@dataclass(frozen=True)
class Traits:
    """What a storage driver can do beyond keeping trees."""

    clones: bool
    """`copy` shares blocks and takes milliseconds."""
    quotas: bool
    """`set_quota` works."""
    usage: bool
    """`usage` answers."""
    atomic: bool = False
    """`snapshot` keeps one moment, even while the source is written to."""


class Storage(Protocol):
    """One storage pool. Deals in volumes, never in containers.

    A volume is a folder at `path(volume)` (owner root, closed to others), holding for containers and images
    `metadata.yaml`, `templates/` and `rootfs/` with unshifted owners (container root = uid 0 on disk).
    Where the driver keeps the files apart, `rootfs/` is empty until `mount`.
    Each change is atomic: after a crash a volume is there whole or `sweep` removes its remains.
    """

    driver: str
    version: str
    """Version of the tools or kernel part, for `lxc info`."""
    traits: Traits

    async def create_pool(self) -> None:
        """Make the pool (loop file, file system, folders) from its configuration; all or nothing."""

    async def delete_pool(self) -> None:
        """Remove the pool and what `create_pool` made; InvalidInput if volumes are left."""

    async def open(self) -> None:
        """Make the pool usable after a boot or daemon restart (attach loop, mount); idempotent."""

    async def close(self) -> None:
        """Undo `open` if nothing uses the pool any more."""

    async def grow(self, size_bytes: int) -> None:
        """Enlarge a pool that has a size of its own; InvalidInput if it has none, or is larger."""

    def path(self, volume: Volume) -> Path:
        """The folder of the volume; valid while it exists."""

    async def mount(self, volume: Volume, idmap: IdMap | None = None) -> bool:
        """Put the files of the volume in place below `path(volume)`; harmless where they always are.

        idmap: that of a container about to start on the volume, which keeps it until `unmount`.
        Returns whether owners below `rootfs/` are now the host ids of that map (no mount of it is
        to be shifted again); without an idmap whether that is so for the container that has it.
        """

    async def unmount(self, volume: Volume) -> None:
        """Take the files from below `path(volume)` again; no container runs on them. Idempotent."""

    async def volumes(self) -> list[Volume]:
        """All volumes that exist, sorted."""

    async def create(self, volume: Volume) -> None:
        """An empty volume; AlreadyExists if there is one."""

    async def copy(self, source: Volume, target: Volume) -> None:
        """`target` becomes an independent, writable copy of `source`; a clone where the pool can."""

    async def snapshot(self, source: Volume, target: Volume) -> None:
        """`target` (kind snapshot) becomes a read-only copy of `source` as it is now."""

    async def restore(self, snapshot: Volume, target: Volume) -> None:
        """`target` gets the content of `snapshot`; on failure it keeps its own."""

    async def rename(self, volume: Volume, new: Volume) -> None:
        """Same content under a new name (its snapshots are volumes of their own)."""

    async def delete(self, volume: Volume) -> None:
        """Remove the volume and all that is nested in it; harmless if it does not exist."""

    def transports(self) -> tuple[str, ...]:
        """Ways in which volumes of this pool travel, best first, e.g. ("btrfs", "rsync").

        "rsync" is always the last and understood by every pool.
        """

    async def send(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """Write the volume to the connected stream socket `fd`, which the caller owns and closes.

        One volume per socket: it is made blocking, and its end is the end of the stream. Both sides talk.
        base: a snapshot that the receiver has with the same content, if its `origin` there is the same:
        only the difference is sent (btrfs; rsync ignores it). HostFailed if the other side gives up.
        """

    async def receive(self, volume: Volume, fd: int, transport: str, base: Volume | None = None) -> None:
        """Make a volume from what `send` writes to the other end of the socket `fd`, all or nothing.

        base: the local volume that holds the sender's base; with rsync any volume much like the one that
        comes: what they share need not travel. The stream is not trusted: it reaches nothing but the
        new volume. After a failure or cancellation nothing is left, after a crash `sweep` removes it.
        AlreadyExists; InvalidInput for what is no volume; OutOfSpace; HostFailed if the other side gives up.
        """

    async def refresh(self, volume: Volume, fd: int) -> None:
        """Give a volume that exists the content that comes by "rsync", all or nothing; as `receive`.

        No container runs on it.
        """

    async def origin(self, snapshot: Volume) -> str:
        """What is the same for a snapshot and for those that were received from it, by another transport
        than "rsync"; empty where that is not known: it can be nobody's base then."""

    async def sweep(self) -> None:
        """Remove what interrupted calls left behind; called once at start-up."""

    async def usage(self, volume: Volume) -> int | None:
        """Bytes that the volume uses, or None where the pool cannot tell."""

    async def set_quota(self, volume: Volume, size_bytes: int | None) -> None:
        """Bound the volume (None: unbounded); InvalidInput where the pool cannot."""

    async def space(self) -> Space:
        """Used and total bytes of the pool."""


class StorageDrivers(Protocol):
    """Every storage pool of this host, by name."""

    def kinds(self) -> list[str]:
        """Names of the drivers that work on this host, best first."""

    def make(self, pool: Pool) -> Storage:
        """The driver for a pool (InvalidInput: unknown driver or configuration); kept by name."""

    def get(self, name: str) -> Storage:
        """The driver made earlier for the pool of this name; NotFound otherwise."""

    def drop(self, name: str) -> None:
        """Forget the pool."""


# --- root file systems -------------------------------------------------------------------------

Progress = Callable[[str], None]
"""Called with a text for people, e.g. `42% (120.00MB/s)`; at most a few times a second."""


Received = Callable[[int], None]
"""Called with the bytes of a file that are here by now; often."""


class Counted(Protocol):
    """Called with the bytes that are done by now; often. about: how many it will be, once guessed."""

    def __call__(self, position: int, about: int | None = None) -> None: ...


@dataclass(frozen=True)
class ImageFiles:
    """The one or two files of an image. rootfs None: unified tarball."""

    metadata: Path
    rootfs: Path | None


@dataclass(frozen=True)
class TemplateJob:
    """One template. source: file name below `templates/`; target: absolute path in the container."""

    source: str
    target: str
    create_only: bool
    context: Mapping[str, object]


@dataclass(frozen=True)
class PackedFile:
    """A file of ours in an archive: owned by root, its time fixed."""

    name: str
    content: bytes


@dataclass(frozen=True)
class PackedTree:
    """Files of a volume in an archive. names: which of the folder; prefix: what goes before each name."""

    folder: Path
    names: Sequence[str]
    prefix: str = ""


@dataclass(frozen=True)
class Packed:
    """An archive that was written. size: bytes."""

    sha256: str
    size: int


class Rootfs(Protocol):
    """Puts trees of files into volumes and takes them out, confined: content is never trusted."""

    async def read_metadata(self, image: ImageFiles, idmap: IdMap) -> bytes:
        """The bytes of `metadata.yaml` (at most 1 MiB); InvalidInput if missing, huge or no archive."""

    async def unpack(self, image: ImageFiles, folder: Path, idmap: IdMap, received: Received) -> None:
        """Fill an empty volume folder with `metadata.yaml`, `templates/`, `rootfs/`.

        received: called with the bytes of the image's files that are unpacked by now.
        InvalidInput for hostile or broken archives, OutOfSpace when the disk is full. The caller
        removes the folder on failure.
        """

    async def bootstrap(
        self, suite: str, architecture: str, target: ImageFiles, proxies: Proxies, progress: Progress
    ) -> dict[str, str]:
        """Build a split image of a Debian suite from the distribution's packages; returns its properties."""

    async def apply_templates(self, folder: Path, jobs: Sequence[TemplateJob]) -> None:
        """Render templates of the volume into its root file system; neither leaves the volume."""

    def can_patch(self) -> bool:
        """Whether `patch` works on this host."""

    async def patch(self, base: Path, delta: Path, target: Path, size: int, idmap: IdMap) -> None:
        """Make a new file, of `size` bytes at most, out of an old one and a VCDIFF beside the new one.

        InvalidInput if the difference is broken or for another file. The caller verifies the result.
        """

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
        """Write a tar archive to a new path; the same parts always make the same bytes.

        compression: as of images.compression_algorithm. seal: name of a last file that holds the
        sha256 of all that comes before it, uncompressed. counted: for uncompressed bytes. The caller
        removes the target on failure.
        """

    async def read_member(self, archive: Path, name: str, idmap: IdMap) -> bytes:
        """The bytes of a file in a tar archive (at most 1 MiB); InvalidInput if missing or huge."""

    def stream_member(self, archive: Path, name: str, idmap: IdMap) -> AsyncGenerator[bytes, None]:
        """The bytes of a file in a tar archive, piece by piece; InvalidInput at the end if it is missing."""

    async def refuse_devices(self, folder: Path) -> None:
        """InvalidInput if there are device nodes in a tree that nobody changes; whiteouts are none."""

    async def extract(self, archive: Path, member: str, folder: Path, idmap: IdMap) -> None:
        """Fill an empty volume folder with a folder of a tar archive; errors as of `unpack`."""

    async def check_seal(self, archive: Path, seal: str, idmap: IdMap) -> None:
        """InvalidInput unless the archive is whole: its last file, of that name, is a `pack` seal."""

    async def can_map(self, folder: Path) -> bool:
        """Whether owners below the folder can be shown through an id map instead of being rewritten."""

    async def shift_owners(self, tree: Path, old: IdMap, new: IdMap) -> None:
        """Give the tree the owners that it has under `new` instead of `old` (empty: unshifted).

        What a failure leaves is a mixture of both: call it on a copy.
        """

    def kind_of(self, path: Path) -> str:
        """The format of an image file: bz2 gz xz zst lzma squashfs tar; InvalidInput otherwise."""


# --- downloads ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Via:
    """How a server is reached."""

    proxies: Proxies
    certificate: str = ""
    """PEM of the one certificate that the server must have; empty: one that the system trusts."""


@dataclass(frozen=True)
class Expected:
    """What a file must be. size: bytes, None if nobody said."""

    sha256: str
    size: int | None


class Downloads(Protocol):
    """Fetches from the web over https. Answers are never trusted: all that is kept is bounded.

    Redirects lead to https only, and never to this host or its link unless the server is there itself.
    Raises HostFailed naming the host (no route, TLS, no answer, cut), NotFound for what is not there.
    """

    async def document(
        self, url: str, via: Via, read: Callable[[bytes], T], *, limit: int, fresh_s: float
    ) -> T:
        """What `read` makes of a small document; it runs in a thread, and raises InvalidInput for nonsense.

        The document is kept on disk if it could be read; the server is asked again if that is older
        than `fresh_s`. What is kept is used, too, when the server fails, unless `fresh_s` is 0.
        InvalidInput if it is larger than `limit`.
        """

    async def headers(self, url: str, via: Via, request: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of a HEAD request with these headers; names in lower case."""

    async def ask(self, url: str, via: Via, *, limit: int) -> bytes:
        """The body of a GET, at most `limit` bytes. It is not kept, and no message shows the URL's query."""

    async def bundle(
        self, url: str, via: Via, targets: Sequence[Path], received: Received, *, limit: int
    ) -> int:
        """Write the file of an answer, or the files of a multipart one, to new paths; how many there were.

        limit: bytes of all together. What they are is for the caller to verify; he removes them on failure.
        """

    async def file(self, url: str, via: Via, target: Path, expected: Expected, received: Received) -> None:
        """Write the file to a new path; a cut transfer is resumed where it broke.

        InvalidInput if it is not what is expected. The caller removes the file on failure.
        """

    async def sweep(self) -> None:
        """Remove what interrupted calls left behind; called once at start-up."""


# --- network -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lease:
    """A DHCP lease on a managed bridge."""

    hostname: str
    hwaddr: str
    address: str


@dataclass(frozen=True)
class Reservation:
    """Addresses that DHCP gives to one system only."""

    hostname: str
    hwaddr: str
    addresses: tuple[str, ...]


class Bridge(Protocol):
    """Managed bridges: link, addresses, DHCP, DNS and firewall of a `Network`."""

    def choosing(self) -> AbstractAsyncContextManager[None]:
        """Held from `choose` to the end of `up`, so that no two daemons choose the same."""

    def is_taken(self, name: str) -> bool:
        """Whether this host has an interface of that name."""

    async def choose(self, config: Mapping[str, str]) -> dict[str, str]:
        """The configuration with `auto` and absent subnets replaced by ones that are free on this host."""

    async def up(self, network: Network) -> None:
        """Make the host match: bridge, addresses, dnsmasq, firewall. Idempotent, adopts what runs."""

    async def down(self, network: Network) -> None:
        """Remove all of it; harmless if nothing is there. InvalidInput if ports are attached."""

    async def leases(self, network: Network) -> list[Lease]:
        """Present leases."""

    async def reserve(self, network: Network, reserved: Sequence[Reservation]) -> None:
        """Give these systems their addresses by DHCP, and nobody else; in place of earlier ones."""

    async def problem(self, network: Network) -> str:
        """One line saying what keeps traffic from flowing (another firewall, ...), or ""."""


@dataclass(frozen=True)
class Interface:
    """A network interface as seen inside a network namespace."""

    name: str
    index: int
    hwaddr: str
    mtu: int
    up: bool
    kind: str
    """broadcast, loopback, point-to-point or unknown"""
    link: int
    """Interface index of the other end (veth) in the parent namespace, or 0."""
    addresses: tuple[tuple[str, str, int, str], ...]
    """(inet|inet6, address, prefix length, local|link|global), sorted"""


@dataclass(frozen=True)
class Counters:
    """Traffic of an interface since it was made."""

    bytes_received: int
    bytes_sent: int
    packets_received: int
    packets_sent: int


class AddressWatch(Protocol):
    """Knows the addresses of containers without asking: a netlink socket left in each namespace."""

    async def watch(self, name: str, pid: int) -> None:
        """Begin (or begin again, after a reboot) to follow the network namespace of `pid`."""

    def forget(self, name: str) -> None:
        """Stop following; harmless if unknown."""

    def interfaces(self, name: str) -> list[Interface]:
        """What is known now, sorted by name; empty if not followed. Costs nothing."""

    def counters(self, name: str) -> dict[str, Counters]:
        """Interface name -> counters, read now through the socket that is there."""

    async def wait_change(self, name: str) -> None:
        """Return at the next change of an address."""


HostPart = Literal["devices", "cpus"]
"""What of a host may come and go."""


class Hotplug(Protocol):
    """Knows when devices and CPUs of the host come or go."""

    def open(self) -> None:
        """Begin to listen. Needs a running loop."""

    def close(self) -> None:
        """Stop listening."""

    async def next_change(self) -> frozenset[HostPart]:
        """What came or went since the last time, once something did: device nodes, CPUs."""


# --- runtime -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """A container that runs."""

    name: str
    monitor_pid: int
    init_pid: int


@dataclass(frozen=True)
class DeviceContext:
    """The container that a device is planned for."""

    container: str
    folder: Path
    """Where drivers keep what they make for devices of this container; made by `prepare`."""
    own_volume: Path
    """The files of the container itself."""
    idmap: IdMap
    """Empty: privileged."""
    volatile: Mapping[str, str]
    """What `volatile.DEVICE.*` holds, by the last word of the key."""
    volume: Path | None = None
    """The files of the custom volume that a disk names, with unshifted owners."""

    @property
    def is_privileged(self) -> bool:
        return not self.idmap.ranges


class DeviceDriver(Protocol):
    """One type of device; validation is in the tables of `model.devices`.

    Order of calls: `prepare`, the container starts, `connected`; on a running container `prepare`,
    `attach`, `connected`. Taken away by `detach` (if it still runs), then `release`. After a reboot
    inside, the runtime has made again what was there at the start: `connected` follows. The methods
    that take away are harmless where there is nothing (any more), and may be called again.
    """

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """What the device needs. Reads the host (does the parent exist?), changes nothing.

        Raises InvalidInput naming the device and what is missing.
        """

    async def prepare(self, plan: DevicePlan) -> None:
        """Make on the host what must be there before the container has the device; all or nothing."""

    async def release(self, plan: DevicePlan) -> None:
        """Take back what `prepare` made."""

    async def connected(self, plan: DevicePlan, started: Started) -> None:
        """The container has the device now: do what needs that (traffic limits, ...). Idempotent."""

    async def attach(self, plan: DevicePlan, started: Started) -> None:
        """Give the device to a running container, all or nothing."""

    async def detach(self, plan: DevicePlan, started: Started) -> None:
        """Take the device from a running container."""

    async def change(self, old: DevicePlan, new: DevicePlan, started: Started) -> None:
        """Follow a change of options that `model.devices` calls live, in place; all or nothing."""


@dataclass(frozen=True)
class StartPlan:
    """Everything a start needs; a value that can be printed and compared."""

    name: str
    architecture: str
    rootfs: Path
    idmap: IdMap
    """Empty: privileged."""
    shifted: bool = False
    """True: owners on disk are host ids already, no idmapped mount is needed."""
    read_only: bool = False
    confinement: Confinement = field(default_factory=Confinement)
    kernel_limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """limits.kernel.*: name -> (soft, hard), -1 for none."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """linux.sysctl.*"""
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Sequence[tuple[str, str]] = ()
    """Further liblxc keys and values (limits)."""
    devices: Sequence[DevicePlan] = ()
    raw: str = ""
    """raw.lxc, appended last."""


@dataclass(frozen=True)
class Command:
    """A program to run in a container."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    uid: int = 0
    gid: int = 0
    cwd: str = ""
    """Empty: the container's root folder."""
    kernel_limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """limits.kernel.*, as in StartPlan."""


class Process(Protocol):
    """A program that runs in a container."""

    async def wait(self) -> int:
        """Its exit status; 128+n when killed by signal n."""

    def signal(self, number: int) -> None:
        """Send a signal to it; harmless when it is gone."""

    def resized(self) -> None:
        """Its terminal has a new size."""


class Runtime(Protocol):
    """Starts and finds containers; knows nothing of the store. Containers outlive the daemon."""

    version: str
    cgroups: Literal["v1", "v2"]
    """Which kind holds the controllers of this host."""
    guards_devices: bool
    """Whether containers are kept from devices of the host that they were not given."""

    def open(self) -> None:
        """Write what all containers share and begin to listen for reboots. Needs a running loop."""

    def close(self) -> None:
        """Stop listening; containers go on."""

    async def start(self, plan: StartPlan) -> Started:
        """Run the container; returns once init runs. HostFailed with the cause the runtime logged."""

    async def criu(self) -> str:
        """The version of the program that saves memory; HostFailed saying what is missing."""

    def obstacles(self, started: Started) -> list[str]:
        """What runs in the container and cannot be saved; a phrase for each reason."""

    async def save(self, plan: StartPlan, folder: Path, *, stop: bool) -> None:
        """Write the memory of a running container into a folder, which is made anew, for root only.

        plan: with the devices that it has now. stop: it ends in the moment that is saved; else it goes
        on. HostFailed with the cause; then it goes on, and the folder is gone.
        """

    async def restore(self, plan: StartPlan, folder: Path) -> Started:
        """Have a container that does not run go on from a saved state, which is left as it is.

        HostFailed with the cause, InvalidInput if it was saved with other devices; then nothing runs.
        """

    async def find_all(self) -> list[Started]:
        """The containers of this daemon that run, found in the kernel."""

    async def wait_stopped(self, started: Started) -> None:
        """Return once the container's monitor is gone: nothing of the container runs any more."""

    async def next_reboot(self) -> Started:
        """The next container whose init was started anew by its monitor.

        init_pid 0: it asked for that, but its monitor cannot do it after a `restore`, and ends.
        """

    def request_halt(self, started: Started) -> bool:
        """Ask init to shut down, with the signal that it understands; False if it is not listening yet."""

    def kill(self, started: Started) -> None:
        """Kill init, and so all that runs inside."""

    async def freeze(self, started: Started) -> None:
        """Stop all processes of the container where they are."""

    async def unfreeze(self, started: Started) -> None:
        """Let them go on."""

    def is_frozen(self, started: Started) -> bool:
        """Whether it is frozen now."""

    def cpus(self) -> tuple[int, ...]:
        """Numbers of the CPUs that containers may use now, ascending; HostFailed if that is not told."""

    def usage(self, started: Started) -> "Usage":
        """What the container uses now, read from its control groups."""

    def limit(self, started: Started, knobs: Sequence[Knob]) -> None:
        """Write control files of the container in this order; HostFailed naming the first that fails."""

    def limit_kernel(self, started: Started, wanted: Mapping[str, tuple[int, int] | None]) -> None:
        """Set limits of init, which what it starts from now on gets, too; None: that of this daemon.

        HostFailed naming the first that fails.
        """

    async def set_sysctls(self, started: Started, wanted: Mapping[str, str]) -> None:
        """Set kernel parameters of the container's own; HostFailed naming the first that is refused."""

    async def confine(self, started: Started, confinement: Confinement) -> None:
        """Have the AppArmor profile of what runs follow; `privileged` stays what it was at the start."""

    async def permit(self, started: Started, nodes: Collection[Node], *, allowed: bool) -> None:
        """Let a privileged container use device nodes of these numbers, or not any more.

        Those that every container has stay allowed.
        """

    async def execute(self, started: Started, command: Command, fds: tuple[int, int, int]) -> Process:
        """Run a command with fds as stdin, stdout and stderr; the caller closes its own copies."""

    def log_folder(self, name: str) -> Path:
        """Where lxc.log, lxc.conf and console.log of the container are."""

    async def load_modules(self, names: Sequence[str]) -> None:
        """Have the kernel load these modules; HostFailed naming the first that it refuses."""

    def forget(self, name: str) -> None:
        """Remove the run-time folder of a container that is deleted; its logs stay."""

    def rename(self, name: str, new: str) -> None:
        """A stopped container has a new name: its logs follow, its run-time folder goes."""


@dataclass(frozen=True)
class Usage:
    """Resources of a running container. Zero where the kernel does not tell; processes -1."""

    processes: int = -1
    cpu_ns: int = 0
    memory: int = 0
    memory_peak: int = 0
    swap: int = 0
    swap_peak: int = 0


# --- files of containers -----------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a container's files are. started: None if it does not run; then they are in `rootfs`."""

    name: str
    started: Started | None
    rootfs: Path
    idmap: IdMap
    """Empty: privileged. Of no matter while it runs, like `shifted`."""
    shifted: bool = False
    """True: owners below `rootfs` are host ids of the map."""


@dataclass(frozen=True)
class FileInfo:
    """What is at a path. kind: file, directory, symlink, or words for what is never opened."""

    kind: str
    uid: int
    """As seen in the container, like gid."""
    gid: int
    mode: int
    size: int
    names: tuple[str, ...] = ()
    """What is in a directory, sorted."""
    target: str = ""
    """Where a symlink leads."""


@dataclass(frozen=True)
class FileWrite:
    """What a path becomes. None: what is there stays as it is, what is new gets a default."""

    kind: Literal["file", "directory", "symlink"] = "file"
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    target: str = ""
    """Of a symlink."""
    append: bool = False


class Inside(Protocol):
    """The files of one container, by a process that has its rights and its root folder.

    Raises NotFound, InvalidInput (no such action on what is there), OutOfSpace and HostFailed, all
    naming the path. Neither a path nor what it finds leads out of the container.
    """

    async def look(self, path: str, *, follow: bool = True) -> FileInfo:
        """What is there; without `follow` a link at the end is not followed."""

    async def read(self, path: str, *, follow: bool = True) -> tuple[FileInfo, AsyncIterator[bytes]]:
        """The same, and of a file exactly `size` bytes; HostFailed if it shrinks meanwhile."""

    async def write(self, path: str, wanted: FileWrite, content: AsyncIterator[bytes]) -> None:
        """Make or replace what is there. A file is there whole, or as it was before."""

    async def delete(self, path: str) -> None:
        """Remove a file, a link or an empty directory."""

    async def read_tree(self, path: str) -> AsyncIterator[bytes]:
        """A directory and all in it as a stream of model.entries."""

    async def write_tree(
        self, path: str, content: AsyncIterator[bytes], *, parents: bool, owner: Mapping[str, int]
    ) -> int:
        """Put the entries of such a stream below a directory; how many there were.

        parents: make the directory first. owner: `uid` and `gid` in place of what the entries say.
        """


class Files(Protocol):
    """The way to files of containers, whether they run or not."""

    def enter(self, place: Place) -> AbstractAsyncContextManager[Inside]:
        """A conversation with the container's files; HostFailed if it cannot be entered."""

    async def leave(self, name: str) -> None:
        """End what is under way with a container, so that nothing holds its files any more."""

    async def close(self) -> None:
        """End all."""


# --- /dev/lxd ----------------------------------------------------------------------------------


class Guests(Protocol):
    """Folders with a socket that containers see as /dev/lxd, at which each asks about itself."""

    def folder(self, name: str) -> Path:
        """The folder of a container; made by `open`."""

    async def open(self, name: str, *, listening: bool, group: int | None = None) -> None:
        """Make the folder, and the socket in it or not; idempotent.

        group: who may reach the folder besides root; None: as it is, or nobody.
        """

    def close(self, name: str) -> None:
        """The container does not run any more: remove both; harmless if there is nothing."""

    def close_all(self) -> None:
        """Stop listening; the folders stay, for they are mounted in containers that run."""

    def sweep(self, running: set[str]) -> None:
        """Remove what containers that ended without us have left."""


# --- network access ----------------------------------------------------------------------------


class Listener(Protocol):
    """The API on the network: HTTPS on one address, or nowhere."""

    certificate: str
    """The server's certificate (PEM); empty while there is none."""

    async def move(self, address: str) -> None:
        """Listen on this address (as of core.https_address) instead of the present one; "": nowhere.

        HostFailed if it cannot be had; then the present one stays. Connections that are being
        answered go on.
        """

    def addresses(self) -> list[str]:
        """Where others can reach the API, as `host:port`; empty while it does not listen."""

    def drop(self, fingerprint: str) -> None:
        """End all connections whose peer has shown this certificate."""


# --- other hosts -------------------------------------------------------------------------------


class Socket(Protocol):
    """A connected websocket, accepted from or opened to a peer."""

    async def receive(self) -> bytes | str | None:
        """The next frame: bytes (binary), str (text), or None once the peer has closed, or is gone."""

    async def send(self, frame: bytes | str) -> None:
        """Send one frame; waits while the peer is slow. Does nothing on a closed socket."""

    async def close(self) -> None:
        """Say goodbye; harmless on a closed socket."""

    @property
    def broken(self) -> bool:
        """True if the peer vanished without a close frame (close code 1006)."""

    def give_up_after(self, silence_s: int) -> None:
        """End the connection once the peer's kernel has not answered for so long, as when a cable is cut."""

    def hang_up(self) -> None:
        """End the connection without a goodbye: nobody is there to hear it."""


class Peers(Protocol):
    """The way to streams of operations on other hosts."""

    def connect(
        self, urls: Sequence[str], certificate: str
    ) -> AbstractAsyncContextManager[tuple[Socket, ...]]:
        """Open websockets, all to one host, which must show this certificate (PEM).

        An empty certificate: one that the system trusts. HostFailed, naming the host and never a
        secret of the URLs, if they cannot be had.
        """
