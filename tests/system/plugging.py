"""What the tests of devices share."""

import time

from tests.system.harness import Daemon


def inside(daemon: Daemon, container: str, *words: str) -> str:
    """What a command in the container prints."""
    return daemon.lxc("exec", container, "--", *words).strip()


def add(daemon: Daemon, container: str, device: str, kind: str, *options: str) -> None:
    daemon.lxc("config", "device", "add", container, device, kind, *options)


def fails(daemon: Daemon, container: str, *words: str) -> bool:
    return daemon.run("exec", container, "--", *words).returncode != 0


def init_pid(daemon: Daemon, container: str) -> int:
    return int(daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv"))


def reboot(daemon: Daemon, container: str) -> None:
    """Reboot from inside, and wait until the container runs anew."""
    before = daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv")
    daemon.run("exec", container, "--", "reboot", "-f")
    deadline = time.monotonic() + 30
    while daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv").strip() in ("", before.strip()):
        assert time.monotonic() < deadline


def wait_until(daemon: Daemon, container: str, condition: str) -> None:
    """Wait for something that the daemon does after an event inside the container."""
    deadline = time.monotonic() + 30
    while daemon.run("exec", container, "--", "sh", "-c", condition).returncode != 0:
        assert time.monotonic() < deadline, f"{condition}: {daemon.log()[-2000:]}"
