"""The memory of a running container, to files, by CRIU.

lxc-checkpoint is not asked: it looks for a controller "freezer", which hosts with control groups of
version 2 alone do not have. It restores (checkpoint.py), so CRIU is told here what it would say.
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from wardian.drivers.runtime import checkpoint, watches
from wardian.drivers.runtime.checkpoint import AHEAD, Job
from wardian.errors import HostFailed, OutOfSpace
from wardian.linux import cgroups, process, syscalls

PROBE_BYTES = 256 << 10
GHOST_LIMIT = 256 << 20
"""Bytes of a file that was deleted but is still open, which is saved too."""

UNREAD = re.compile(r"netlink: The socket has data to read.*Dump files \(pid: (\d+)\) failed", re.DOTALL)
"""A process that has answers of the kernel unread, as workers of systemd-udevd have until they end."""
ENDS_WITHIN_S = 5.0
"""How long such a process is waited for; they end after three seconds without work."""
DUMPS = 5
"""How often CRIU is asked, with such waits between."""

OPTIONS = (
    *("--tcp-established", "--skip-in-flight", "--file-locks", "--link-remap", "--manage-cgroups=full"),
    *("--ext-mount-map", "auto", "--enable-external-sharing", "--enable-external-masters"),
    *("--enable-fs", "hugetlbfs", "--enable-fs", "tracefs"),
)
"""What liblxc tells CRIU of every container."""
CONSOLE = "dev/console"
ENTRY = re.compile(r"^lxc\.mount\.entry\s*=\s*\S+\s+(\S+)", re.MULTILINE)
OCTAL = re.compile(r"\\([0-7]{3})")


async def can_tell_changes() -> bool:
    """Whether this kernel tells which pages of memory have changed since (CONFIG_MEM_SOFT_DIRTY)."""
    criu = await checkpoint.find()
    return (await process.run([criu.path, "check", "--feature", "mem_dirty_track"])).status == 0


async def save_ahead(job: Job, init_pid: int, number: int) -> None:
    """Write the memory of a container that goes on running, or what has changed since the time before.

    number: 1, for all of it, into a folder that is made anew; then 2, 3, ... On failure the folder is gone.
    HostFailed with the cause.
    """
    criu = await checkpoint.find()
    try:
        place = await asyncio.to_thread(_make_ahead, job.folder, number)
        words = ["pre-dump", *_common(place, job.log, init_pid, _groups(init_pid))]
        words += _since(f"../{number - 1}" if number > 1 else "")
        done = await checkpoint.to_its_end(process.run([criu.path, *words]))
        if done.status:
            raise await _failure(job, done)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, job.folder, True)
        raise


def _make_ahead(folder: Path, number: int) -> Path:
    if number == 1:
        _make_empty(folder)
    place = folder / AHEAD / str(number)
    place.mkdir(mode=0o700, parents=True)
    return place


async def save(job: Job, init_pid: int, *, stop: bool, ahead: int = 0) -> None:
    """Write the memory of a running container into the folder, which is made anew.

    stop: the container ends with it, in the same moment; else it goes on. ahead: the number of the last
    `save_ahead`, which this is a difference to; then the folder is that. On failure the container goes
    on, and the folder is gone. HostFailed with the cause.
    """
    criu = await checkpoint.find()
    if not ahead:
        await asyncio.to_thread(_make_empty, job.folder)
    try:
        console = await asyncio.to_thread(_console, init_pid)
        checkpoint.write(job.folder / checkpoint.CONSOLE, console)
        checkpoint.write(job.folder / checkpoint.DEVICES, json.dumps(checkpoint.devices(job.plan)))
        watched = await asyncio.to_thread(watches.find, init_pid, job.plan.rootfs)
        known = json.dumps([[*inode, path] for inode, path in watched.items()])
        checkpoint.write(job.folder / checkpoint.WATCHED, known)
        lines = (*checkpoint.COMMON, "network-lock nftables", f"ghost-limit {GHOST_LIMIT}")
        text = "".join(f"{line}\n" for line in (*lines, *watches.options(watched)))
        checkpoint.write(job.folder / "criu.conf", text)
        words = arguments(job, init_pid, console, _groups(init_pid), stop=stop, ahead=ahead)
        argv = [criu.path, *words]
        await _dump(job, argv)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, job.folder, True)
        raise


def arguments(
    job: Job, init_pid: int, console: str, groups: str, *, stop: bool, ahead: int = 0
) -> list[str]:
    """The words for CRIU. console: see `_console`; groups: the text of /proc/PID/cgroup of the init."""
    words = ["dump", *_common(job.folder, job.log, init_pid, groups)]
    words += _since(f"{AHEAD}/{ahead}") if ahead else []
    for entry in ENTRY.findall(job.config):
        target = OCTAL.sub(lambda found: chr(int(found[1], 8)), entry).lstrip("/")
        words += ["--ext-mount-map", f"/{target}:{target}"]
    if console:
        words += ["--ext-mount-map", f"/{CONSOLE}:console", "--external", console]
    return words if stop else [*words, "--leave-running"]


def _common(folder: Path, log: Path, init_pid: int, groups: str) -> list[str]:
    """What a dump and one ahead of it are told."""
    words = [*OPTIONS, "-t", str(init_pid), "-D", str(folder), "-o", str(log)]
    for root in _roots(groups):
        words += ["--cgroup-root", root]
    if freezer := cgroups.freezer(groups):
        words += ["--freeze-cgroup", str(freezer)]
    return words


def _since(before: str) -> list[str]:
    """Words to save what has changed since what is in a folder, and to be told from now on. "": all."""
    return ["--track-mem", *(("--prev-images-dir", before) if before else ())]


def _roots(groups: str) -> Iterator[str]:
    """The container's control group in each tree, as CRIU names it."""
    for line in groups.splitlines():
        for controller in line.split(":")[1].split(","):
            if group := cgroups.payload(groups, controller):
                yield f"{controller}:/{group}" if controller else f"/{group}"


def _groups(init_pid: int) -> str:
    try:
        return Path(f"/proc/{init_pid}/cgroup").read_text()
    except OSError as error:
        raise HostFailed(
            f"cannot read the control groups of process {init_pid}: {error.strerror}"
        ) from error


def _console(init_pid: int) -> str:
    """The terminal of the host that the container has as console, as CRIU names it; empty if it has none."""
    try:
        root = os.open(f"/proc/{init_pid}/root", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fd = syscalls.openat2(root, CONSOLE, os.O_PATH | os.O_CLOEXEC, resolve=syscalls.RESOLVE_IN_ROOT)
    except OSError:
        return ""
    finally:
        os.close(root)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return f"tty[{found.st_rdev:x}:{found.st_dev:x}]"


async def _dump(job: Job, argv: list[str]) -> None:
    """Have CRIU write the images; HostFailed with the cause if they are not there then."""
    environment = {**process.ENVIRONMENT, "CRIU_CONFIG_FILE": str(job.folder / "criu.conf")}
    for again in reversed(range(DUMPS)):
        done = await checkpoint.to_its_end(process.run(argv, environment=environment))
        if done.status == 0 and checkpoint.is_complete(job.folder):
            return
        unread = UNREAD.search(checkpoint.text_of(job.log))
        if not (again and unread and await _ends(int(unread[1]))):
            raise await _failure(job, done)


async def _failure(job: Job, done: process.Completed) -> HostFailed:
    what = f'cannot save the state of container "{job.name}"'
    if await asyncio.to_thread(_is_full, job.folder):
        return OutOfSpace(f"{what}: its storage pool is full; see {job.log}")
    return checkpoint.failure(what, job.log, done)


async def _ends(pid: int) -> bool:
    """Whether a process ends soon; returns once it has."""
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await checkpoint.end_of(pid)
    except TimeoutError:
        return False
    return True


def _is_full(folder: Path) -> bool:
    """Whether nothing more can be written there."""
    try:
        with open(folder / "probe", "wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return True
    return False


def _make_empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
