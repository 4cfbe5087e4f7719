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
from wardian.drivers.runtime.checkpoint import Job
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


async def save(job: Job, init_pid: int, *, stop: bool) -> None:
    """Write the memory of a running container into the folder, which is made anew.

    stop: the container ends with it, in the same moment; else it goes on. On failure it goes on, and
    the folder is gone. HostFailed with the cause.
    """
    criu = await checkpoint.find()
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
        argv = [criu.path, *arguments(job, init_pid, console, _groups(init_pid), stop=stop)]
        await _dump(job, argv)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, job.folder, True)
        raise


def arguments(job: Job, init_pid: int, console: str, groups: str, *, stop: bool) -> list[str]:
    """The words for CRIU. console: see `_console`; groups: the text of /proc/PID/cgroup of the init."""
    words = ["dump", *OPTIONS, "-t", str(init_pid), "-D", str(job.folder), "-o", str(job.log)]
    for root in _roots(groups):
        words += ["--cgroup-root", root]
    if freezer := cgroups.freezer(groups):
        words += ["--freeze-cgroup", str(freezer)]
    for entry in ENTRY.findall(job.config):
        target = OCTAL.sub(lambda found: chr(int(found[1], 8)), entry).lstrip("/")
        words += ["--ext-mount-map", f"/{target}:{target}"]
    if console:
        words += ["--ext-mount-map", f"/{CONSOLE}:console", "--external", console]
    return words if stop else [*words, "--leave-running"]


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
        if await asyncio.to_thread(_is_full, job.folder):
            raise OutOfSpace(
                f'cannot save the state of container "{job.name}": its storage pool is full; see {job.log}'
            )
        unread = UNREAD.search(checkpoint.text_of(job.log))
        if not (again and unread and await _ends(int(unread[1]))):
            raise checkpoint.failure(f'cannot save the state of container "{job.name}"', job.log, done)


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
