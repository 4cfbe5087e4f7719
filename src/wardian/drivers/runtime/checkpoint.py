"""The memory of containers, to files and back: by lxc-checkpoint, and CRIU below it.

A container is dumped with all that liblxc gave it. What it gets back is made before CRIU runs, because
liblxc and CRIU do not: an idmapped mount of the root file system, pairs of interfaces of which CRIU
moves one end inside, and a terminal as console, which a small process of its own empties. liblxc's
process that restored a container becomes its monitor, as after a start; it cannot boot it again.
"""

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from wardian.drivers.runtime import images, services
from wardian.errors import HostFailed, InvalidInput, OutOfSpace
from wardian.linux import iproute, process, syscalls, userns
from wardian.linux import mounts as mounts_of
from wardian.model.plans import Nic
from wardian.ports.runtime import StartPlan

T = TypeVar("T")

FOLDERS = ("/var/cache/wardian-criu/bin",)
"""Where CRIU is looked for besides PATH: what packaging/get-criu makes."""

OLDEST = (((6, 16), (4, 2)), ((5, 0), (4, 0)))
"""From which kernel on which version is needed: SO_PASSCRED, then the vDSO."""

AHEAD = "ahead"
"""The folder, in that of the state, of what was saved ahead of it: `1`, `2`, ..."""
COMPLETE = "stats-dump"
"""The file that CRIU writes last."""

ROOT = "restored"
CONSOLE = "console.tty"
"""What CRIU calls the terminal that was the console; empty if there was none."""
DEVICES = "devices.json"
WATCHED = "watched.json"
"""Where what programs watch is: [device, inode, path]."""
COMMON = ("enable-fs ramfs",)
"""Lines for CRIU in both directions: systemd has empty ones left of what it gave services at their start."""

TTY_GROUP = 5
"""What the terminals of a container belong to, as its devpts has it."""

CONSOLE_LOG_BYTES = 1 << 20

READS_CONSOLE = f"""
exec >>"$1"
head -c {CONSOLE_LOG_BYTES}
exec cat >/dev/null
"""

ERROR_LINE = re.compile(r"Error \([\w./-]+:\d+\): (.*)$")
"""Of CRIU's log."""

HARMLESS = re.compile(r"Can't setup RLIMIT_NOFILE for self|ip6?tables|reported by netlink: File exists")
"""What CRIU calls an error, and goes on."""

CAUSES = (
    (
        re.compile(r"session leader of (?:zombie process )?\d+\((\d+)\) is outside"),
        "process {0} (in the container) was started by `lxc exec` and still runs; end it, "
        "or start such programs with `setsid`",
    ),
    (re.compile(r"Can't dump nested (\w+) namespace"), "a process in it has a {0} namespace of its own"),
    (
        re.compile(r"netlink: The socket has data to read"),
        "a program in it does not read what the kernel tells it",
    ),
    (re.compile(r"Can't dump that handle"), "a program in it watches a file that is not found any more"),
    (re.compile(r"Can't (?:dump|lookup) .*io_uring"), "a program in it uses io_uring"),
    (re.compile(r"anon_inode:\[(?!event|signal|inotify|timer)([\w-]+)\]"), "a program in it uses {0}"),
)
"""What CRIU says, and what that means."""


@dataclass(frozen=True)
class Criu:
    """The program. version: as it says."""

    path: str
    version: str


async def find() -> Criu:
    """CRIU as it is installed; HostFailed if it is missing or too old."""
    path = shutil.which("criu", path=os.pathsep.join((process.ENVIRONMENT["PATH"], *FOLDERS)))
    if path is None:
        raise HostFailed("CRIU isn't installed: install the package criu (docs/state.md)")
    said = (await process.check("run criu", [path, "--version"])).decode(errors="replace")
    found = re.search(r"Version: (\d+)\.(\d+)[\w.]*", said)
    version = found[0].removeprefix("Version: ") if found else "of an unknown version"
    wanted = oldest(os.uname().release)
    if found is None or (int(found[1]), int(found[2])) < wanted:
        raise HostFailed(
            f"this kernel needs CRIU {'.'.join(map(str, wanted))} or newer, and {path} is {version}; "
            "docs/state.md tells how to get it"
        )
    return Criu(path, version)


def oldest(kernel: str) -> tuple[int, int]:
    """The first version of CRIU that understands a kernel, given its release."""
    numbers = re.match(r"(\d+)\.(\d+)", kernel)
    release = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return next((version for first, version in OLDEST if release >= first), OLDEST[-1][1])


def is_complete(folder: Path) -> bool:
    """Whether a container can be restored from what is in the folder."""
    return (folder / COMPLETE).is_file()


async def ended(lxcpath: Path) -> None:
    """Return once what an earlier daemon had begun to save or to restore is done, or has failed."""
    for pid in process.everyone():
        if _is_at_work(process.arguments(pid), lxcpath):
            await end_of(pid)
    for place in lxcpath.glob(f"*/{ROOT}"):
        await _unmount(place)


def _is_at_work(words: Sequence[str], lxcpath: Path) -> bool:
    """Whether a command line is that of a dump or restore for the daemon."""
    if words[:1] == ["lxc-checkpoint"]:
        return str(lxcpath) in words
    return "dump" in words and any(word.startswith(f"{lxcpath.parent}/") for word in words)


async def end_of(pid: int) -> None:
    """Return once a process has ended, of whoever it is the child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await process.wait_readable(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Job:
    """What both directions need. folder: of the state; config: for liblxc; log: where CRIU's log goes."""

    plan: StartPlan
    lxcpath: Path
    folder: Path
    config: str
    log: Path

    @property
    def name(self) -> str:
        """Of the container."""
        return self.plan.name

    def argv(self, *words: str) -> list[str]:
        """The command line of lxc-checkpoint."""
        common = ["-n", self.name, "-P", str(self.lxcpath), "-D", str(self.folder)]
        files = ["--rcfile", str(self.folder / "lxc.conf"), "-o", str(self.folder / "lxc.log"), "-l", "warn"]
        return ["lxc-checkpoint", *common, *files, *words]


# --- bringing back -----------------------------------------------------------------------------


async def restore(job: Job) -> int:
    """Have the container go on where it was; the pid of its init. The state stays where it is.

    HostFailed with the cause; then nothing runs and what was made for it is gone.
    """
    criu = await find()
    _check_devices(job)
    await asyncio.to_thread(_complete, job)
    async with _readable(job), _root(job), _console(job) as slave, AsyncExitStack() as on_failure:
        await _make_pairs(job, on_failure)
        write(job.folder / "lxc.conf", job.config)
        write(job.folder / "criu.conf", "".join(f"{line}\n" for line in _resources(job, slave)))
        environment = _environment(criu, job.folder, WARDIAN_CONSOLE=os.ttyname(slave))
        done = await to_its_end(_become_monitor(job.argv("-r", "-d"), environment, slave))
        _keep_log(job.folder / "restore.log", job.log)
        if done.status:
            raise failure(f'cannot restore the state of container "{job.name}"', job.log, done)
        said = await process.check(
            f'find the init of "{job.name}"',
            ["lxc-info", "-n", job.name, "-P", str(job.lxcpath), "-p", "-H"],
        )
        on_failure.pop_all()
        return int(said)


def _environment(criu: Criu, folder: Path, **more: str) -> Mapping[str, str]:
    """For liblxc, which takes the first criu in PATH, and for CRIU, which reads a file, too."""
    stand_in = folder / "bin" / "criu"
    stand_in.parent.mkdir(mode=0o700, exist_ok=True)
    write(stand_in, Path(__file__).with_name("criu.sh").read_text(), mode=0o700)
    return {
        **process.ENVIRONMENT,
        "PATH": f"{stand_in.parent}:{process.ENVIRONMENT['PATH']}",
        "CRIU_CONFIG_FILE": str(folder / "criu.conf"),
        "WARDIAN_CRIU": criu.path,
        **more,
    }


def _check_devices(job: Job) -> None:
    """InvalidInput naming what the state refers to and the container has no more, or has besides."""
    if not is_complete(job.folder):
        raise InvalidInput(f'the saved state of container "{job.name}" is not complete')
    try:
        had = set(json.loads((job.folder / DEVICES).read_text()))
    except (OSError, ValueError):
        raise InvalidInput(f'the saved state of container "{job.name}" is damaged') from None
    if different := sorted(had ^ set(devices(job.plan))):
        raise InvalidInput(
            f'the devices, ids or pool of container "{job.name}" have changed since its state was saved '
            f"({', '.join(different)}); change them back, or use `lxc start --stateless {job.name}`"
        )


def _complete(job: Job) -> None:
    """Add to what CRIU has written what only we know; here, since the daemon may have died before it had."""
    try:
        watched = {
            (device, number): path for device, number, path in json.loads(text_of(job.folder / WATCHED))
        }
        images.complete(job.folder, watched)
    except (OSError, TypeError, ValueError):
        raise InvalidInput(f'the saved state of container "{job.name}" is damaged') from None


async def _become_monitor(
    argv: Sequence[str], environment: Mapping[str, str], slave: int
) -> process.Completed:
    """Run what leaves a process behind, which keeps the files that it is given."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        pass_fds=[slave],
        start_new_session=True,
    )
    return process.Completed(tuple(argv), await child.wait(), b"", b"")


@asynccontextmanager
async def _readable(job: Job) -> AsyncIterator[None]:
    """The container's root can pass into the folder meanwhile: CRIU is that for a part of its work.

    Into the folders of what was saved ahead it looks, too.
    """
    ahead = job.folder / AHEAD
    group = job.plan.idmap.host_id("gid", 0) or 0
    places = [(job.folder, 0o710), (ahead, 0o710), *((place, 0o750) for place in ahead.glob("*"))]
    for place, mode in places:
        _give(place, group, mode)
    try:
        yield
    finally:
        for place, _ in places:
            _give(place, 0, 0o700)


def _give(folder: Path, group: int, mode: int) -> None:
    """Give a folder a group and a mode; what is none, or is not there, is left alone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fchown(fd, 0, group)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def root_place(lxcpath: Path, name: str) -> Path:
    """Where the root file system is shown with the owners that the container sees, for CRIU to bind."""
    return lxcpath / name / ROOT


@asynccontextmanager
async def _root(job: Job) -> AsyncIterator[None]:
    place = root_place(job.lxcpath, job.name)
    place.mkdir(exist_ok=True)
    fd = await userns.create(job.plan.idmap) if _is_mapped(job.plan) else 0
    try:
        try:
            await asyncio.to_thread(_bind_root, job.plan, place, fd)
        except OSError as error:
            what = f'cannot mount the files of container "{job.name}"'
            raise HostFailed(f"{what}: {error.strerror}") from error
        yield
    finally:
        if fd:
            os.close(fd)
        await _unmount(place)


def _is_mapped(plan: StartPlan) -> bool:
    return bool(plan.idmap.ranges) and not plan.shifted


def _bind_root(plan: StartPlan, place: Path, namespace: int) -> None:
    tree = syscalls.open_tree(syscalls.AT_FDCWD, plan.rootfs, syscalls.OPEN_TREE_CLONE)
    try:
        flags = syscalls.MOUNT_ATTR_IDMAP if namespace else 0
        flags |= syscalls.MOUNT_ATTR_NODEV if plan.idmap.ranges else 0
        flags |= syscalls.MOUNT_ATTR_RDONLY if plan.read_only else 0
        syscalls.mount_setattr(tree, attr_set=flags, propagation=syscalls.MS_PRIVATE, userns_fd=namespace)
        syscalls.move_mount(tree, place)
    finally:
        os.close(tree)


async def _unmount(place: Path) -> None:
    def work() -> None:
        with suppress(OSError):
            while True:  # an attempt that was cut short may have left one below
                syscalls.umount2(place, syscalls.MNT_DETACH)
        with suppress(OSError):
            place.rmdir()

    await asyncio.to_thread(work)


def for_restore(plan: StartPlan, lxcpath: Path) -> StartPlan:
    """The plan with the root file system where `restore` shows it."""
    return replace(plan, rootfs=root_place(lxcpath, plan.name), shifted=True)


PAIRED = ("bridged", "p2p", "routed")


def _nics(plan: StartPlan) -> Iterator[tuple[Nic, str]]:
    """Each interface, and the name on the host of the end that goes inside."""
    for device in plan.devices:
        for nic in device.nics:
            yield nic, f"in{nic.host_name.removeprefix('veth')}"[:15]


async def _make_pairs(job: Job, on_failure: AsyncExitStack) -> None:
    """Pairs of interfaces: one end connected, the other waiting on the host for CRIU to move it inside."""
    for nic, inner in _nics(job.plan):
        if nic.kind not in PAIRED:
            continue
        what = f'make interface "{nic.name}" of container "{job.name}"'
        mtu = ("mtu", nic.mtu) if nic.mtu else ()
        peer = ("peer", "name", inner, *(("address", nic.hwaddr) if nic.hwaddr else ()), *mtu)
        commands = [("link", "add", "dev", nic.host_name, *mtu, "type", "veth", *peer)]
        if nic.kind == "bridged":
            commands.append(("link", "set", "dev", nic.host_name, "master", nic.parent))
        commands.append(("link", "set", "dev", nic.host_name, "up"))
        await iproute.ip(what, commands[:1])
        on_failure.push_async_callback(_remove_pair, nic.host_name)
        await iproute.ip(what, commands[1:])


async def _remove_pair(host_name: str) -> None:
    with suppress(HostFailed):  # it went with the container's namespace
        await iproute.ip(f"remove {host_name}", [("link", "del", "dev", host_name)])


@asynccontextmanager
async def _console(job: Job) -> AsyncIterator[int]:
    """The fd of a terminal that the container can have as console, and that its monitor will keep open.

    What is written to it is read away by a process that ends when nobody has the terminal any more.
    """
    master, slave = os.openpty()
    ids = job.plan.idmap
    owner, group = (ids.host_id("uid", 0) or 0, ids.host_id("gid", TTY_GROUP) or 0)
    try:
        os.fchown(slave, *((owner, group) if ids.ranges else (0, TTY_GROUP)))
        await _read_away(master, job.log.with_name("console.log"))
        os.close(master)
        master = -1
        yield slave
    finally:
        os.close(slave)
        if master >= 0:
            os.close(master)


async def _read_away(master: int, log: Path) -> None:
    """Leave a process behind that reads what comes, and keeps the beginning of it in the log."""
    argv = ["setsid", "--fork", "sh", "-c", READS_CONSOLE, "sh", str(log)]
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=master,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=process.ENVIRONMENT,
    )
    await child.wait()


def _resources(job: Job, slave: int) -> Iterator[str]:
    """Lines for CRIU: what of the host takes the place of what the state refers to."""
    yield from COMMON
    if console := text_of(job.folder / CONSOLE):
        yield f"inherit-fd fd[{slave}]:{console}"
    for nic, inner in _nics(job.plan):
        if nic.kind in PAIRED:
            yield f"external netdev[{nic.name}]:{inner}"
        elif nic.kind == "macvlan":
            yield f"external macvlan[{nic.name}]:{nic.parent}"


# --- both --------------------------------------------------------------------------------------


def devices(plan: StartPlan) -> list[str]:
    """What the state refers to, and has to be there again."""
    nics = [f"interface {nic.name}" for device in plan.devices for nic in device.nics]
    mounts = [f"/{mount.target}" for device in plan.devices for mount in device.mounts]
    mounts += [f"/{services.PLACE}"] if plan.stateful else []
    ids = [f"{r.kind}s {r.container_id}={r.host_id}+{r.count}" for r in plan.idmap.ranges]
    holding = mounts_of.holding(plan.rootfs)  # CRIU gives it the options that its file system had
    return sorted([*nics, *mounts, *ids, f"files on {holding.kind if holding else 'nothing'}"])


def text_of(log: Path) -> str:
    return log.read_text(errors="replace") if log.is_file() else ""


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is not cut short: CRIU, killed half way, leaves processes broken."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(fd, "w") as file:
        file.write(text)


def log_name(what: str) -> str:
    """The name of a log of now; what: `dump`, `restore`."""
    return f"snapshot_{what}_{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}.log"


def _keep_log(made: Path, kept: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.move(made, kept)
        kept.chmod(0o600)


def failure(what: str, log: Path, done: process.Completed) -> HostFailed:
    """The error with the cause that CRIU's log, or else liblxc, tells."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return HostFailed(f"{what}: {process.last_words(done)}")
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return OutOfSpace(f"{what}: its storage pool is full; see {log}")
    return HostFailed(f"{what}: {cause(text)}; see {log}")


def cause(text: str) -> str:
    """The first error in a log of CRIU, in plain words where we have them."""
    errors = [found[1] for line in text.splitlines() if (found := ERROR_LINE.search(line))]
    for line in errors:
        for pattern, meaning in CAUSES:
            if found := pattern.search(line):
                return meaning.format(*found.groups())
    told = [line for line in errors if not HARMLESS.search(line)]
    return told[0] if told else "CRIU does not say why"
