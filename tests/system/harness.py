"""A daemon of the tests' own: its folder, bridge and pool, and the real client to drive it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.system import busybox

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
CLIENT = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); from wardian.cli.main import run; run()"
PATIENCE = int(os.environ.get("WARDIAN_TEST_PATIENCE", "1"))
"""By how much to wait longer for everything, on a machine that is slower (tests/vm)."""
READY_S = 30 * PATIENCE
RUN_S = 180 * PATIENCE


class Daemon:
    """A running `lxd` with everything that belongs to it; `close` leaves nothing behind."""

    def __init__(
        self,
        name: str,
        *,
        backend: str = "btrfs",
        pool_size: str = "2GB",
        environment: Mapping[str, str] | None = None,
        place: Path | None = None,
        program: str = "wardian.daemon.main",
        within: Sequence[str] = (),
    ) -> None:
        self.backend, self.program = backend, program
        self.within = within
        """What goes before each command: a way into other namespaces."""
        self.bridge = f"wt{name}{os.getpid() % 10000}"
        self.folder = Path(tempfile.mkdtemp(prefix="wardian-", dir=place or "/var/tmp"))
        self.folder.chmod(0o711)
        self.environment = os.environ | {
            "LXD_DIR": str(self.folder / "lxd"),
            "LXD_CONF": str(self.folder / "client"),
            "PYTHONWARNINGS": "default",
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        self.preseed(backend, pool_size)

    def preseed(self, backend: str, size: str) -> None:
        """Set up the pool, the bridge and the default profile."""
        config = f"{{size: {size}}}" if backend == "btrfs" else "{}"
        text = f"""
storage_pools: [{{name: default, driver: {backend}, config: {config}}}]
networks: [{{name: {self.bridge}}}]
profiles:
- name: default
  devices:
    root: {{type: disk, path: /, pool: default}}
    eth0: {{type: nic, nictype: bridged, parent: {self.bridge}, name: eth0}}
"""
        self.lxd("init", "--preseed", stdin=text)

    def start(self) -> None:
        """Start the daemon and wait until it has started its containers."""
        self.launch()
        self.lxd("waitready", "--timeout", str(READY_S))

    def launch(self, *flags: str) -> None:
        """Start the daemon."""
        log = open(self.folder / "lxd.log", "ab")  # noqa: SIM115 (the child keeps it)
        argv = [*self.within, PYTHON, "-m", self.program, "--verbose", *flags]
        self.process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log, cwd=ROOT)
        log.close()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the daemon by a signal; its containers go on."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()

    def lxd(self, *words: str, stdin: str = "", status: int = 0) -> str:
        """Output of an `lxd` command, with its errors if it is to fail."""
        argv = [PYTHON, "-m", "wardian.daemon.main", *words]
        done = self._run(argv, stdin.encode(), check=not status)
        assert done.returncode == status, done.stderr.decode()
        return (done.stdout + done.stderr if status else done.stdout).decode()

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """An `lxc` command that may fail."""
        return self._run([PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *words], stdin, check=False)

    def lxc(self, *words: str, stdin: str = "") -> str:
        """Output of an `lxc` command that must succeed."""
        completed = self.run(*words, stdin=stdin.encode())
        said = completed.stderr.decode(errors="replace")
        assert completed.returncode == 0, f"lxc {' '.join(words)}: {said}\n{self.log()[-3000:]}"
        return completed.stdout.decode()

    def error(self, *words: str, stdin: str = "") -> str:
        """The error of an `lxc` command that must fail."""
        completed = self.run(*words, stdin=stdin.encode())
        assert completed.returncode != 0, f"lxc {' '.join(words)} did not fail"
        return completed.stderr.decode().strip()

    def _run(self, argv: list[str], stdin: bytes, *, check: bool) -> subprocess.CompletedProcess[bytes]:
        completed = subprocess.run(
            [*self.within, *argv],
            env=self.environment,
            input=stdin,
            capture_output=True,
            cwd=ROOT,
            timeout=RUN_S,
            check=False,
        )
        if check:
            assert completed.returncode == 0, completed.stderr.decode()
        return completed

    def log(self) -> str:
        """What the daemon logged."""
        return (self.folder / "lxd.log").read_text(errors="replace")

    def names(self, column: str = "n") -> list[str]:
        """A column of `lxc list`."""
        return self.lxc("list", "-c", column, "--format", "csv").splitlines()

    def wait_address(self, name: str, *, within_s: float = 30) -> str:
        """The IPv4 address of a container, once it has one."""
        deadline = time.monotonic() + within_s * PATIENCE
        while time.monotonic() < deadline:
            cell = self.lxc("list", f"^{name}$", "-c", "4", "--format", "csv").strip()
            if cell:
                return cell.split(" ")[0]
            time.sleep(0.05)  # what we wait for happens in another system: there is no event to wait on
        raise AssertionError(f"{name} has no address: {self.lxc('info', name)}")

    def wait_idle(self) -> None:
        """Return once nothing is under way any more; tokens wait for whoever has them."""
        while running := [one["id"] for one in self.operations() if one["class"] != "token"]:
            self.request("GET", f"/1.0/operations/{running[0]}/wait?timeout={READY_S}")

    def operations(self) -> list[dict[str, Any]]:
        """Those that run."""
        listed = json.loads(self.request("GET", "/1.0/operations?recursion=1"))["metadata"]
        found: list[dict[str, Any]] = listed.get("running", [])
        return found

    def import_busybox(self, alias: str = "bb") -> str:
        """Import the test image; its fingerprint."""
        tree = self.folder / f"tree-{alias}"
        busybox.make_tree(tree, alias)
        image = busybox.unified(tree, self.folder / f"{alias}.tar.xz")
        said = self.lxc("image", "import", str(image), "--alias", alias)
        return said.rsplit(": ", 1)[1].strip()

    def close(self) -> None:
        """Remove everything; AssertionError naming what would be left behind."""
        if self.process is not None and self.process.poll() is not None:
            self.start()
        for name in self.names():
            self.lxc("delete", "-f", name)
        self.lxc("profile", "edit", "default", stdin="config: {}\ndevices: {}\n")
        self.lxc("network", "delete", self.bridge)
        self.request("DELETE", "/1.0/storage-pools/default")
        self.kill(signal.SIGTERM)
        assert not Path(f"/sys/class/net/{self.bridge}").exists(), "the bridge is left"
        left = [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(self.folder) in line
        ]
        assert not left, f"mounts are left: {left}"
        shutil.rmtree(self.folder)

    def request(self, verb: str, path: str, body: str = "") -> str:
        """The raw answer of the API to a request."""
        argv = ["curl", "-s", "-X", verb, "--unix-socket", str(self.folder / "lxd/unix.socket")]
        completed = subprocess.run(
            [*self.within, *argv, "--data-binary", body, f"http://lxd{path}"],
            capture_output=True,
            check=True,
            timeout=RUN_S,
        )
        return completed.stdout.decode()


SITE = [path for path in sys.path if path.endswith("-packages")]
CLIENT_WITH_SITE = (
    f"import sys; sys.path[0:0] = {[str(ROOT / 'src'), *SITE]!r}; from wardian.cli.main import run; run()"
)


def snapshots(daemon: Daemon, name: str) -> list[str]:
    """Names of the snapshots of a container, oldest first."""
    shown = daemon.lxc("info", name).partition("Snapshots:\n")[2].splitlines()
    return [line.split()[0] for line in shown]
