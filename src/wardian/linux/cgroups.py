"""Control groups, v1 and v2: where a container's are and what they say (cgroups(7))."""

from pathlib import Path
from typing import Literal

ROOT = Path("/sys/fs/cgroup")
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
        controller = "" if self._kind == "v2" else v1_controller
        group = payload(self._text, controller)
        if group is None:
            return None
        folder = self._root if self._kind == "v2" else self._root / v1_controller
        try:
            return (folder / group / (v2_file if self._kind == "v2" else v1_file)).read_text()
        except OSError:
            return None

    def number(self, v1_controller: str, v1_file: str, v2_file: str) -> int | None:
        """The content as a number; None if it is missing or "max"."""
        text = self.read(v1_controller, v1_file, v2_file)
        return int(text) if text is not None and text.strip().isdigit() else None
