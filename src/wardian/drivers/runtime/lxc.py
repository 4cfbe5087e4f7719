"""The Runtime port on liblxc, through its own programs; the daemon never calls liblxc in process.

What runs is found in the kernel: each container has a monitor process (`lxc-start -d`, 1.6 MB of C,
not our child), whose pid is in a file and whose end is an event on a pidfd. A reboot inside a
container is a new init under the same monitor; liblxc's start-host hook tells us its pid through
a FIFO (start_hook.sh).
"""

import asyncio
import contextlib
import errno
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wardian.drivers.runtime import checkpoint, dump, halting, logs, monitors, obstacles, render, services
from wardian.drivers.runtime.apparmor import AppArmor
from wardian.drivers.runtime.attached import ConsoleProcess, LxcProcess
from wardian.errors import HostFailed, InvalidInput
from wardian.linux import cgroups, prlimit, process, userns
from wardian.linux.files import write_private
from wardian.linux.sealed import SealedProgram
from wardian.model import cpus, idmap, kernel_limits
from wardian.model.confinement import Confinement
from wardian.model.limits import Knob
from wardian.model.paths import Paths
from wardian.model.plans import Node
from wardian.ports.runtime import Command, Process, Started, StartPlan, Usage

log = logging.getLogger(__name__)


STARTS_WITHIN_S = 60.0
"""How long liblxc may take to set a container up. It waits for ever for one whose seccomp policy keeps it
from telling how far it is."""

LXCFS = Path("/var/lib/lxcfs")
LXCFS_SYS = "sys/devices/system/cpu/online"
LOG_ERROR = re.compile(r" ERROR\s+\S+ - \S+:\w+:\d+ - (.*)$")
"""A line of lxc.log: `lxc-start c1 2026... ERROR start - ../src/lxc/start.c:lxc_spawn:1788 - text`."""

MODULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
FIFO_LINE = re.compile(rb"^(\S+) (\d+)$")

_NO_PARAMETER = 3
"""Status of the script that finds no file of a kernel parameter."""
_MOST_FILES = Path("/proc/sys/fs/nr_open")


class Lxc:
    """Containers of one daemon, by the programs of liblxc."""

    def __init__(self, paths: Paths, version: str, *, log_level: str = "warn") -> None:
        self.version = version
        self.cgroups = cgroups.kind_of()
        self.guards_devices = userns.is_initial()
        self._paths = paths
        self._log_level = log_level
        self._fifo = paths.containers / ".starts"
        self._units = paths.containers / ".units"
        self._seccomp = paths.security / "seccomp"
        self._apparmor = AppArmor(paths.security / "apparmor", paths.root)
        self._attach: SealedProgram | None = None
        self._fifo_fd = -1
        self._fifo_rest = b""
        self._reboots: asyncio.Queue[Started] = asyncio.Queue()
        self._starting: set[str] = set()

    def open(self) -> None:
        """Write what all containers share and begin to listen for reboots. Needs a running loop."""
        if self._seccomp.is_file():  # earlier versions had one policy for all
            self._seccomp.unlink()
        self._seccomp.mkdir(mode=0o700, exist_ok=True)
        services.write(self._units)
        if not self._fifo.is_fifo():
            os.mkfifo(self._fifo, 0o600)
        self._fifo_fd = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._fifo_fd, self._read_fifo)

    def close(self) -> None:
        """Stop listening; containers go on."""
        if self._fifo_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fifo_fd)
            os.close(self._fifo_fd)
            self._fifo_fd = -1
        if self._attach:
            self._attach.close()

    # --- starting and finding ------------------------------------------------------------------

    def check_idmap(self, wanted: idmap.IdMap) -> None:
        """See ports.Runtime: liblxc will ask newuidmap and newgidmap, whose refusal explains nothing."""
        if not all(map(shutil.which, ("newuidmap", "newgidmap"))):
            return
        files = [Path(path) for path in ("/etc/subuid", "/etc/subgid")]
        try:
            subuid, subgid = (file.read_text(errors="replace") for file in files)
        except OSError:  # default_map knows what this means
            return
        idmap.check_allotted(wanted, subuid=subuid, subgid=subgid, owners=("root", "0"))

    async def start(self, plan: StartPlan) -> Started:
        """See ports.Runtime."""
        self.check_idmap(plan.idmap)
        logs = self.log_folder(plan.name)
        config = logs / "lxc.conf"
        _prepare_log_folder(logs)
        (self._paths.containers / plan.name).mkdir(mode=0o711, exist_ok=True)
        write_private(self._seccomp / plan.name, plan.confinement.seccomp)
        write_private(config, render.container_config(plan, self._surroundings(plan.name, logs)))
        await self._apparmor.load(plan.name, plan.confinement)
        self._starting.add(plan.name)
        try:
            argv = ["lxc-start", "-n", plan.name, "-P", str(self._paths.containers), "-f", str(config)]
            # liblxc 6 ignores the level and writes nothing if they come from the configuration.
            argv += ["-o", str(logs / "lxc.log"), "-l", self._log_level]
            argv += ["-d", "-p", str(self._pid_file(plan.name))]
            async with asyncio.timeout(STARTS_WITHIN_S):
                completed = await process.run([*self._apparmor.launcher, *argv])
            started = self._find(plan.name) if completed.status == 0 else None
        except TimeoutError:
            self._give_up(plan.name)
            raise HostFailed(
                f'cannot start container "{plan.name}": it was not set up within {STARTS_WITHIN_S:.0f} s; '
                '"security.syscalls.*" or "raw.seccomp" may refuse what is needed for that'
            ) from None
        finally:
            self._starting.discard(plan.name)
        if started is None:
            raise HostFailed(f'cannot start container "{plan.name}": {_cause(logs / "lxc.log", completed)}')
        return started

    def _give_up(self, name: str) -> None:
        """Kill a monitor that waits for a container which will never be set up, and what it started."""
        try:
            pid = int(self._pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return
        if monitors.is_monitor(pid, str(self._paths.containers), name):
            for each in (pid, *process.descendants(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def _surroundings(self, name: str, logs: Path) -> render.Surroundings:
        start, end = (Path(__file__).with_name(f"{event}_hook.sh") for event in ("start", "reboot"))
        return render.Surroundings(
            log_folder=logs,
            seccomp_profile=self._seccomp / name,
            apparmor_profile=self._apparmor.name_for(name),
            start_hook=f"/bin/sh {start} {self._fifo}",
            end_hook=f"/bin/sh {end} {self._fifo}",
            present=frozenset(filter(os.path.exists, render.HOST_SOURCES)),
            units=self._units,
            lxcfs=_lxcfs_files(),
            guards_devices=self.guards_devices,
        )

    # --- memory state --------------------------------------------------------------------------

    async def criu(self) -> str:
        """See ports.Runtime."""
        return (await checkpoint.find()).version

    def obstacles(self, started: Started) -> list[str]:
        """See ports.Runtime."""
        return obstacles.of_processes(started.init_pid)

    async def can_save_ahead(self) -> bool:
        """See ports.Runtime."""
        return await dump.can_tell_changes()

    async def save_ahead(self, plan: StartPlan, folder: Path, number: int) -> None:
        """See ports.Runtime."""
        job, init_pid = self._dump_job(plan, folder)
        await dump.save_ahead(job, init_pid, number)

    async def save(self, plan: StartPlan, folder: Path, *, stop: bool, ahead: int = 0) -> None:
        """See ports.Runtime."""
        job, init_pid = self._dump_job(plan, folder)
        await dump.save(job, init_pid, stop=stop, ahead=ahead)

    def _dump_job(self, plan: StartPlan, folder: Path) -> tuple[checkpoint.Job, int]:
        logs = self.log_folder(plan.name)
        config = render.container_config(plan, self._surroundings(plan.name, logs))
        started = self._find(plan.name)
        if started is None:
            raise HostFailed(f'container "{plan.name}" does not run any more')
        kept = logs / checkpoint.log_name("dump")
        return checkpoint.Job(plan, self._paths.containers, folder, config, kept), started.init_pid

    def is_saved(self, folder: Path) -> bool:
        """See ports.Runtime."""
        return checkpoint.is_complete(folder)

    async def restore(self, plan: StartPlan, folder: Path) -> Started:
        """See ports.Runtime."""
        logs = self.log_folder(plan.name)
        _prepare_log_folder(logs)
        (self._paths.containers / plan.name).mkdir(mode=0o711, exist_ok=True)
        write_private(self._seccomp / plan.name, plan.confinement.seccomp)
        await self._apparmor.load(plan.name, plan.confinement)
        shown = checkpoint.for_restore(plan, self._paths.containers)
        config = render.container_config(shown, self._surroundings(plan.name, logs), restored=True)
        kept = logs / checkpoint.log_name("restore")
        job = checkpoint.Job(plan, self._paths.containers, folder, config, kept)
        init = await checkpoint.restore(job)
        self._pid_file(plan.name).write_text(f"{monitors.status_field(init, 'PPid')}\n")
        started = self._find(plan.name)
        if started is None:
            raise HostFailed(f'container "{plan.name}" ended as soon as it was restored; see {kept}')
        try:
            cgroups.delegate(init)
        except OSError as error:
            log.warning('container "%s": its control groups stay root\'s: %s', plan.name, error)
        if self.is_frozen(started):  # as it was when a snapshot was taken of it
            await self.unfreeze(started)
        return started

    # --- finding -------------------------------------------------------------------------------

    async def find_all(self) -> list[Started]:
        """See ports.Runtime. What a daemon that was killed had begun to save or restore ends first."""
        await checkpoint.ended(self._paths.containers)
        for name, pid in monitors.of(str(self._paths.containers)):  # restored, and nobody wrote that down
            if not self._find(name) and self._pid_file(name).parent.is_dir():
                self._pid_file(name).write_text(f"{pid}\n")
        names = sorted(path.parent.name for path in self._paths.containers.glob("*/monitor.pid"))
        return [started for name in names if (started := self._find(name))]

    def _find(self, name: str) -> Started | None:
        try:
            pid = int(self._pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        if not monitors.is_monitor(pid, str(self._paths.containers), name):
            return None
        init = monitors.current_init(pid)
        return Started(name, pid, init) if init else None

    def _pid_file(self, name: str) -> Path:
        return self._paths.containers / name / "monitor.pid"

    # --- ends and reboots ----------------------------------------------------------------------

    async def wait_stopped(self, started: Started) -> None:
        """See ports.Runtime."""
        try:
            fd = os.pidfd_open(started.monitor_pid)
        except ProcessLookupError:
            return
        try:
            if monitors.is_monitor(started.monitor_pid, str(self._paths.containers), started.name):
                await process.wait_readable(fd)
        finally:
            os.close(fd)
        await self._apparmor.unload(started.name)

    async def next_reboot(self) -> Started:
        """See ports.Runtime."""
        return await self._reboots.get()

    def _read_fifo(self) -> None:
        data = self._fifo_rest + os.read(self._fifo_fd, 65536)
        *lines, self._fifo_rest = data.split(b"\n")
        for line in lines:
            match = FIFO_LINE.match(line)
            if match is None:
                continue
            name = match[1].decode(errors="replace")
            if match[2] == b"0":
                self._reboots.put_nowait(Started(name, 0, 0))
            elif name not in self._starting and (started := self._find(name)):
                self._reboots.put_nowait(Started(name, started.monitor_pid, int(match[2])))

    # --- signals -------------------------------------------------------------------------------

    def request_halt(self, started: Started) -> bool:
        """See ports.Runtime."""
        blocked, caught = (monitors.signals(started.init_pid, field) for field in ("SigBlk", "SigCgt"))
        number = halting.choose(self._config_text(started.name), blocked, caught)
        monitors.signal_init(started, number)
        return halting.is_heard(number, blocked, caught)

    def _config_text(self, name: str) -> str:
        try:
            return (self.log_folder(name) / "lxc.conf").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def kill(self, started: Started) -> None:
        """See ports.Runtime."""
        monitors.signal_init(started, signal.SIGKILL)

    async def freeze(self, started: Started) -> None:
        """See ports.Runtime."""
        self._set_freezer(started, "FROZEN", "1")

    async def unfreeze(self, started: Started) -> None:
        """See ports.Runtime."""
        self._set_freezer(started, "THAWED", "0")

    def _set_freezer(self, started: Started, v1: str, v2: str) -> None:
        # By file: lxc-freeze tries the unified tree only, which on hybrid hosts does not freeze.
        try:
            cgroups.Group(started.init_pid).write("freezer", ("freezer.state", v1), ("cgroup.freeze", v2))
        except OSError as error:
            raise HostFailed(
                f'cannot freeze or thaw container "{started.name}": {error.strerror}'
            ) from error

    def is_frozen(self, started: Started) -> bool:
        """See ports.Runtime."""
        state = cgroups.Group(started.init_pid).read("freezer", "freezer.state", "cgroup.freeze")
        return state is not None and state.strip() in ("FROZEN", "FREEZING", "1")

    # --- use -----------------------------------------------------------------------------------

    def cpus(self) -> tuple[int, ...]:
        """See ports.Runtime."""
        try:
            effective = cpus.parse_list(cgroups.effective_cpus())
            isolated = set(cpus.parse_list(cgroups.isolated_cpus()))
        except FileNotFoundError:  # no cpuset controller: limits.cpu is ignored
            return tuple(sorted(os.sched_getaffinity(0)))
        except OSError as error:
            raise HostFailed(f"cannot read which CPUs this host has: {error.strerror}") from error
        return tuple(number for number in effective if number not in isolated) or tuple(effective)

    def usage(self, started: Started) -> Usage:
        """See ports.Runtime."""
        group = cgroups.Group(started.init_pid)
        memory = group.number("memory", "memory.usage_in_bytes", "memory.current") or 0
        peak = group.number("memory", "memory.max_usage_in_bytes", "memory.peak") or 0
        if self.cgroups == "v2":
            swap = group.number("", "", "memory.swap.current") or 0
            swap_peak = group.number("", "", "memory.swap.peak") or 0
            stat = group.read("", "", "cpu.stat") or ""
            cpu_ns = next(
                (int(line.split()[1]) * 1000 for line in stat.splitlines() if "usage_usec" in line), 0
            )
        else:
            both = group.number("memory", "memory.memsw.usage_in_bytes", "") or 0
            both_peak = group.number("memory", "memory.memsw.max_usage_in_bytes", "") or 0
            swap, swap_peak = (
                max(both - memory, 0) if both else 0,
                max(both_peak - peak, 0) if both_peak else 0,
            )
            cpu_ns = group.number("cpuacct", "cpuacct.usage", "") or 0
        processes = group.number("pids", "pids.current", "pids.current")
        return Usage(-1 if processes is None else processes, cpu_ns, memory, peak, swap, swap_peak)

    def limit(self, started: Started, knobs: Sequence[Knob]) -> None:
        """See ports.Runtime."""
        group = cgroups.Group(started.init_pid)
        for name, value in knobs:
            try:
                group.write(name.partition(".")[0], (name, value), (name, value))
            except OSError as error:
                in_use = name.startswith("memory.") and error.errno == errno.EBUSY
                why = "more is in use that the kernel cannot take back" if in_use else error.strerror
                raise HostFailed(
                    f'cannot set {name} of container "{started.name}" to "{value}": {why}'
                ) from error

    async def permit(self, started: Started, nodes: Collection[Node], *, allowed: bool) -> None:
        """See ports.Runtime. By liblxc's program: on cgroup v2 the monitor has to change a BPF program."""
        file = "devices.allow" if allowed else "devices.deny"
        for rule in sorted({node.rule for node in nodes} - set(render.DEVICES)):
            what = f'set {file} of container "{started.name}" to "{rule}"'
            argv = ["lxc-cgroup", "-n", started.name, "-P", str(self._paths.containers), file, rule]
            await process.check(what, argv)

    async def execute(self, started: Started, command: Command, fds: tuple[int, int, int]) -> Process:
        """See ports.Runtime."""
        attach = process.program("lxc-attach")
        argv = [attach, "-n", started.name, "-P", str(self._paths.containers)]
        argv += ["-u", str(command.uid), "-g", str(command.gid)]
        # The command inherits the environment of lxc-attach, which only root can read; arguments are
        # in everybody's list of processes.
        inherited, given = render.split_environment(command.environment)
        argv += ["--keep-env", *(f"--set-var={name}={value}" for name, value in sorted(given.items()))]
        argv += ["--", *command.argv]
        # Where lxc-attach is run, it enters the folder of the same name inside, if there is one.
        on_terminal = os.isatty(fds[0])
        if on_terminal:  # lxc-attach talks to its controlling terminal, which only a session leader gets
            argv = [process.program("setsid"), "--ctty", *argv]
        if command.kernel_limits:  # lxc-attach does not know them: the container's are those of its start
            limits = [f"--{n}={kernel_limits.render_limit(b)}" for n, b in command.kernel_limits.items()]
            argv = [process.program("prlimit"), *limits, *argv]
        child = await asyncio.create_subprocess_exec(
            *argv,
            executable=self._sealed(attach) if argv[0] == attach else None,
            stdin=fds[0],
            stdout=fds[1],
            stderr=fds[2],
            env=inherited,
            start_new_session=not on_terminal,
            cwd=command.cwd if os.path.isdir(command.cwd) else "/",
        )
        return LxcProcess(child, started.name)

    async def console(self, started: Started, fds: tuple[int, int, int]) -> Process:
        """See ports.Runtime."""
        argv = [process.program("setsid"), "--ctty", process.program("lxc-console")]
        argv += ["-n", started.name, "-P", str(self._paths.containers), "-t", "0"]
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=fds[0], stdout=fds[1], stderr=fds[2], env=process.ENVIRONMENT, cwd="/"
        )
        return ConsoleProcess(child)

    def _sealed(self, attach: str) -> str | None:
        """A copy of lxc-attach that need not copy itself; None: it is called as it is, and does."""
        if self._attach is None:
            self._attach = SealedProgram(attach)
        try:
            return self._attach.path()
        except OSError as error:
            log.info("%s is not kept in memory: %s", attach, error)
            return None

    def limit_kernel(self, started: Started, wanted: Mapping[str, tuple[int, int] | None]) -> None:
        """See ports.Runtime."""
        for name, bounds in wanted.items():
            number = kernel_limits.LIMITS[name]
            target = bounds or prlimit.get(number)
            try:
                if target != prlimit.get(number, started.init_pid):
                    prlimit.set_for(started.init_pid, number, target)
            except (OSError, ValueError) as error:
                what = f'limits.kernel.{name} of container "{started.name}"'
                if bounds is None and isinstance(error, PermissionError):
                    log.warning("%s stays as it is until the next start: %s", what, error.strerror)
                    continue
                raise HostFailed(f"cannot set {what} while it runs: {_refused(name, error)}") from error

    async def set_sysctls(self, started: Started, wanted: Mapping[str, str]) -> None:
        """See ports.Runtime."""
        # As root of the container, which owns them, in its namespaces but with our files and programs.
        enter = ["nsenter", f"--target={started.init_pid}", "--net", "--ipc", "--uts"]
        if monitors.has_own_users(started):
            enter += ["--user", "--setuid=0", "--setgid=0"]
        for name, value in wanted.items():
            path = f"/proc/sys/{kernel_limits.sysctl_path(name)}"
            what = f'set kernel parameter {name} of container "{started.name}" to "{value}"'
            script = f'[ -e "$1" ] || exit {_NO_PARAMETER}; printf %s "$2" >"$1"'
            done = await process.run([*enter, "--", "sh", "-c", script, "sh", path, value])
            if done.status == _NO_PARAMETER:
                raise InvalidInput(f"linux.sysctl.{name}: a container has no such kernel parameter here")
            if done.status:
                raise process.ProgramFailed(what, done)

    async def confine(self, started: Started, confinement: Confinement) -> None:
        """See ports.Runtime."""
        as_started = replace(confinement, privileged=not monitors.has_own_users(started))
        await self._apparmor.load(started.name, as_started)

    def log_folder(self, name: str) -> Path:
        """See ports.Runtime."""
        return self._paths.logs / name

    async def load_modules(self, names: Sequence[str]) -> None:
        """See ports.Runtime."""
        for name in names:
            if not MODULE_NAME.fullmatch(name):
                raise InvalidInput(f'"{name}" in linux.kernel_modules is not the name of a kernel module')
            what = f'load kernel module "{name}" of linux.kernel_modules'
            if not Path("/proc/modules").exists():
                log.warning("cannot %s: this kernel has no modules, and all it can do is built in", what)
                continue
            await process.check(what, ["modprobe", "-q", "--", name])

    def forget(self, name: str) -> None:
        """See ports.Runtime."""
        self._pid_file(name).unlink(missing_ok=True)
        (self._seccomp / name).unlink(missing_ok=True)
        self._apparmor.forget(name)
        with contextlib.suppress(OSError):  # not there, or links are in it
            (self._paths.containers / name).rmdir()

    def forget_logs(self, name: str) -> None:
        """See ports.Runtime."""
        shutil.rmtree(self.log_folder(name), ignore_errors=True)

    def expire_logs(self, known: Collection[str], running: Collection[str]) -> None:
        """See ports.Runtime."""
        logs.expire(self._paths.logs, known, running, time.time())

    def rename(self, name: str, new: str) -> None:
        """See ports.Runtime."""
        self.forget(name)
        old_logs, new_logs = self.log_folder(name), self.log_folder(new)
        self.forget_logs(new)
        try:
            os.rename(old_logs, new_logs)
        except FileNotFoundError:
            pass


def _refused(name: str, error: OSError | ValueError) -> str:
    """Why a process does not get a limit."""
    if not isinstance(error, PermissionError):
        return str(error)
    most = kernel_limits.render_limit(prlimit.get(kernel_limits.LIMITS[name])[1:])
    files = (
        f", nor any process above {_MOST_FILES.read_text().strip()} (fs.nr_open)" if name == "nofile" else ""
    )
    return f"without CAP_SYS_RESOURCE the daemon cannot go above its own, {most}{files}"


def _prepare_log_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.replace(folder / "lxc.log", folder / "lxc.log.old")
    except FileNotFoundError:
        pass


def _cause(log_file: Path, completed: process.Completed) -> str:
    """The first error that liblxc logged: later ones are its consequences."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    errors = [match[1] for line in lines if (match := LOG_ERROR.search(line))]
    return errors[0] if errors else process.last_words(completed)


def _lxcfs_files() -> tuple[str, ...]:
    """What lxcfs offers; empty if it does not run, or died and left its mount."""
    try:
        files = tuple(f"proc/{name}" for name in sorted(os.listdir(LXCFS / "proc")))
    except OSError:
        return ()
    return (*files, LXCFS_SYS) if os.path.exists(LXCFS / LXCFS_SYS) else files
