"""What runs: start plans, processes, devices of containers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from wardian.model.confinement import Confinement
from wardian.model.idmap import IdMap
from wardian.model.limits import Knob
from wardian.model.plans import DevicePlan, Node


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

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """Refuse a device as it is being configured, of which this host knows now that it cannot be.

        Raises InvalidInput naming it.
        """

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """What the device needs. Reads the host (does the parent exist?), changes nothing.

        Raises InvalidInput naming the device and what is missing.
        """

    async def prepare(self, plan: DevicePlan) -> None:
        """Make on the host what must be there before the container has the device; all or nothing."""

    async def release(self, plan: DevicePlan) -> None:
        """Take back what `prepare` made."""

    async def cut_off(self, plan: DevicePlan) -> None:
        """The container has been killed: take now what its end would wait for. `release` follows."""

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
    stateful: bool = False
    """migration.stateful: its init is to start services so that their memory can be saved."""
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

    def reworded(self, said: bytes) -> bytes | None:
        """What came first on stderr; that the program could not be run, in words for people.

        None: more must come before that can be told.
        """


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

    def check_idmap(self, wanted: IdMap) -> None:
        """InvalidInput naming what is missing, if this host would not give a container this map."""

    async def start(self, plan: StartPlan) -> Started:
        """Run the container; returns once init runs. HostFailed with the cause the runtime logged."""

    async def criu(self) -> str:
        """The version of the program that saves memory; HostFailed saying what is missing."""

    def obstacles(self, started: Started) -> list[str]:
        """What runs in the container and cannot be saved; a phrase for each reason."""

    async def can_save_ahead(self) -> bool:
        """Whether the kernel tells which memory has changed, so that `save_ahead` makes sense."""

    async def save_ahead(self, plan: StartPlan, folder: Path, number: int) -> None:
        """Write the memory of a container that goes on running into a folder, for root only.

        number: 1 makes the folder anew and saves all; 2, 3, ... add what has changed since the one before.
        HostFailed with the cause; then the folder is gone.
        """

    async def save(self, plan: StartPlan, folder: Path, *, stop: bool, ahead: int = 0) -> None:
        """Write the memory of a running container into a folder, which is made anew, for root only.

        plan: with the devices that it has now. stop: it ends in the moment that is saved; else it goes
        on. ahead: of the last `save_ahead` into the folder, which stays part of it; only what has changed
        since is added. HostFailed with the cause; then it goes on, and the folder is gone.
        """

    def is_saved(self, folder: Path) -> bool:
        """Whether a container can go on from what is in the folder, which need not be there."""

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
        """Ask init to shut down, with the signal that it understands; False if that is to be repeated.

        An init that boots does not listen yet; of some it cannot be told.
        """

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

    async def console(self, started: Started, fds: tuple[int, int, int]) -> Process:
        """Connect these, which are a terminal, with the container's console until Ctrl-a q or its end."""

    def log_folder(self, name: str) -> Path:
        """Where lxc.log, lxc.conf and console.log of the container are."""

    async def load_modules(self, names: Sequence[str]) -> None:
        """Have the kernel load these modules; HostFailed naming the first that it refuses."""

    def forget(self, name: str) -> None:
        """Remove the run-time folder of a container that is deleted; its logs stay."""

    def forget_logs(self, name: str) -> None:
        """A container is new: remove the logs of an earlier one of this name."""

    def expire_logs(self, known: Collection[str], running: Collection[str]) -> None:
        """Remove logs that did not change for two days, and those of containers that are gone after one.

        known, running: names of the containers there are, and of those that run. Blocks.
        """

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
