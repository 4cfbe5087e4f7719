"""Child processes and pidfds: start a program, explain its failure, wait for a process to end.

The daemon never forks Python code: everything here is exec (vfork) of another program.
"""

import asyncio
import functools
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardian.errors import HostFailed

KEPT_OUTPUT = 4000
"""Characters of a failed program's last output that an error quotes at most."""

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Begins the command line of a long program whose result nobody could use once the daemon is gone."""

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    "LC_ALL": "C.UTF-8",
}
"""What programs get to see of our environment, unless the caller says otherwise."""


@dataclass(frozen=True)
class Completed:
    """A program that ended. status: exit status, or minus the signal that killed it."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


class ProgramFailed(HostFailed):
    """A program ended with an error; the message has its last words and a line to paste."""

    def __init__(self, what: str, completed: Completed) -> None:
        self.completed = completed
        super().__init__(f"cannot {what}: {last_words(completed)}")


def last_words(completed: Completed) -> str:
    """One line on how a program failed: its last output line, how it ended, the command to paste."""
    output = (completed.stderr or completed.stdout).decode(errors="replace").strip()[-KEPT_OUTPUT:]
    line = output.splitlines()[-1].strip() if output else "it said nothing"
    if completed.status < 0:
        ending = f"killed by {signal.Signals(-completed.status).name}"
    else:
        ending = f"status {completed.status}"
    return f"{line} ({ending} of `{shlex.join(completed.argv)}`)"


def use_pidfds() -> None:
    """Have asyncio wait for children by pidfd instead of a thread each (its default from 3.12 on)."""
    if sys.version_info < (3, 12):
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())


@functools.cache
def program(name: str) -> str:
    """Where a program is, for a child whose own PATH must not count; HostFailed if it is not installed."""
    found = shutil.which(name, path=ENVIRONMENT["PATH"])
    if found is None:
        raise HostFailed(f'program "{name}" is not installed; install the package that has it')
    return found


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end with bounded patience for nothing: the caller sets timeouts.

    Raises HostFailed if it is not installed. When cancelled, the program is killed and reaped.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(ENVIRONMENT if environment is None else environment),
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostFailed(f'program "{argv[0]}" is not installed; install the package that has it') from error
    try:
        stdout, stderr = await child.communicate(stdin)
    except BaseException:
        await kill_group(child)
        raise
    assert child.returncode is not None
    return Completed(tuple(argv), child.returncode, stdout, stderr)


def python(file: str) -> list[str]:
    """A command line that runs a program of ours which needs modules, in an interpreter that finds ours.

    How we were started says little: the installed `lxd` is the system's python3 and a path.
    """
    code = f"import runpy, sys; sys.path[:] = {sys.path!r}; runpy.run_path({file!r}, run_name='__main__')"
    return [sys.executable, "-I", "-S", "-c", code]


async def check(
    what: str,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> bytes:
    """Run a program; its standard output. what: "start container "c1"" for the error."""
    completed = await run(argv, stdin=stdin, environment=environment, pass_fds=pass_fds)
    if completed.status:
        raise ProgramFailed(what, completed)
    return completed.stdout


async def kill_group(child: asyncio.subprocess.Process) -> None:
    """Kill a program that leads its own session, with all that it started, and reap it."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await child.wait()


async def wait_readable(fd: int) -> None:
    """Return once the fd is readable. On a pidfd: once the process has ended. The fd stays the caller's."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


def descendants(pid: int) -> list[int]:
    """Pids of all that a process has started, and they in turn."""
    found = children(pid)
    return found + [further for child in found for further in descendants(child)]


def bytes_read(pids: Sequence[int]) -> int:
    """Bytes that these processes have read so far (rchar of proc_pid_io(5)); those that are gone count 0."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/io") as file:
                total += int(file.readline().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total


def everyone() -> list[int]:
    """The pids of all processes that we see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def arguments(pid: int) -> list[str]:
    """What a process was started with, or what it has put in place of it; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().rstrip(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.decode(errors="replace").split("\0") if text else []


def title(pid: int) -> str:
    """What a process calls itself, if it has put that in place of its arguments; "" if it is gone."""
    return " ".join(arguments(pid)).rstrip()


def children(pid: int) -> list[int]:
    """Pids of the children of a process (all its threads'); empty if it is gone."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found
