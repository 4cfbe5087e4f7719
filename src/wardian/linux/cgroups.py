"""Control groups, v1 and v2: where a container's are and what they say (cgroups(7))."""

import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

ROOT = Path("/sys/fs/cgroup")
ISOLATED = Path("/sys/devices/system/cpu/isolated")
DELEGATED = Path("/sys/kernel/cgroup/delegate")
PAYLOAD = "lxc.payload"
"""liblxc puts what runs inside a container below a group whose name begins so."""

Kind = Literal["v1", "v2"]


def kind_of(root: Path = ROOT) -> Kind:
    """v2 if the root of the unified tree is mounted there, else v1 (also for hybrid hosts)."""
    return "v2" if (root / "cgroup.controllers").exists() else "v1"


def payload(text: str, controller: str) -> str | None:
    """The path of a container's group from the text of /proc/PID/cgroup of its init, or None.

    controller: a v1 controller, or "" for the unified tree. Groups that init made for itself
    below the payload's (as systemd does) are cut off.
    """
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        parts = path.strip("/").split("/")
        for number, part in enumerate(parts):
            if part.startswith(PAYLOAD):
                return "/".join(parts[: number + 1])
    return None


def freezer(text: str, root: Path = ROOT) -> Path | None:
    """The folder of a container's group that freezes, from the text of /proc/PID/cgroup of its init."""
    if kind_of(root) == "v2":
        group = payload(text, "")
        return root / group if group else None
    group = payload(text, "freezer")
    return root / "freezer" / group if group else None


def present(
    names: Collection[str], root: Path = ROOT, *, look: Callable[[Path], Collection[str]] | None = None
) -> frozenset[str]:
    """Which of these control files a container's group will have. OSError if groups cannot be made.

    look: the files of a new group below a folder; `files_of_new_group` unless a test says otherwise.
    """
    look = look or files_of_new_group
    if kind_of(root) == "v2":
        seen = look(root)
        # A controller that nobody has switched on yet shows no files; liblxc switches it on.
        off = _words(root / "cgroup.controllers") - _words(root / "cgroup.subtree_control")
        return frozenset(name for name in names if name in seen or name.partition(".")[0] in off)
    controllers = {name.partition(".")[0] for name in names}
    mounted = [root / controller for controller in controllers if (root / controller).is_dir()]
    return frozenset(file for folder in mounted for file in look(folder) if file in names)


def files_of_new_group(parent: Path) -> list[str]:
    """Make a group for a moment to see its files: the root group lacks some of them."""
    group = parent / f"wardian.probe.{os.getpid()}"
    group.mkdir(exist_ok=True)
    try:
        return os.listdir(group)
    finally:
        group.rmdir()


def effective_cpus(root: Path = ROOT) -> str:
    """The CPUs that a new group may use, in the kernel's list format; FileNotFoundError without cpuset."""
    name = "cpuset.cpus.effective" if kind_of(root) == "v2" else "cpuset/cpuset.effective_cpus"
    return (root / name).read_text().strip()


def delegate(init_pid: int, root: Path = ROOT, delegated: Path = DELEGATED) -> None:
    """Have whoever has a group in a container's unified tree have its control files, too.

    So it is with groups that are made inside; those that CRIU has made again are root's. OSError if they are
    gone.
    """
    group = payload(Path(f"/proc/{init_pid}/cgroup").read_text(), "")
    tree = root if kind_of(root) == "v2" else root / "unified"
    if group is None or not (tree / group).is_dir():
        return
    names = delegated.read_text().split()
    for folder, _, files in os.walk(tree / group):
        has = os.stat(folder)
        for name in set(names) & set(files):
            path = Path(folder, name)
            os.chown(path, has.st_uid, has.st_gid)
            path.chmod(path.stat().st_mode & 0o777 | has.st_mode & stat.S_IWGRP)


def isolated_cpus() -> str:
    """The CPUs that are kept from the scheduler (`isolcpus=`), in the kernel's list format."""
    return ISOLATED.read_text().strip() if ISOLATED.exists() else ""


def _words(path: Path) -> set[str]:
    return set(path.read_text().split())


class Group:
    """The control groups of one container. Reading a file that is not there gives None."""

    def __init__(self, init_pid: int, root: Path = ROOT) -> None:
        self._root = root
        self._kind = kind_of(root)
        try:
            self._text = Path(f"/proc/{init_pid}/cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            self._text = ""

    def read(self, v1_controller: str, v1_file: str, v2_file: str) -> str | None:
        """The content of a control file, under its name in the kind of tree that this host has."""
        folder = self._folder(v1_controller)
        try:
            return (folder / (v2_file if self._kind == "v2" else v1_file)).read_text() if folder else None
        except OSError:
            return None

    def write(self, v1_controller: str, v1: tuple[str, str], v2: tuple[str, str]) -> None:
        """Write a control file; v1, v2: (name, value) in either kind of tree. OSError if it fails."""
        folder = self._folder(v1_controller)
        if folder is None:
            raise FileNotFoundError(2, f"no {v1_controller} control group")
        name, value = v2 if self._kind == "v2" else v1
        (folder / name).write_text(value)

    def _folder(self, v1_controller: str) -> Path | None:
        """The container's group in the tree that has the controller."""
        group = payload(self._text, "" if self._kind == "v2" else v1_controller)
        if group is None:
            return None
        return (self._root if self._kind == "v2" else self._root / v1_controller) / group

    def number(self, v1_controller: str, v1_file: str, v2_file: str) -> int | None:
        """The content as a number; None if it is missing or "max"."""
        text = self.read(v1_controller, v1_file, v2_file)
        return int(text) if text is not None and text.strip().isdigit() else None
