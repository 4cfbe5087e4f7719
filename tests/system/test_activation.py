"""A daemon that is started by systemd when somebody connects to its socket, as sd_listen_fds(3) says."""

import contextlib
import os
import pstats
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.farhost import free_port
from tests.system.harness import PYTHON, ROOT, Daemon

LAUNCHER = """
import os, select, sys
os.dup2(int(sys.argv[1]), 3)
select.select([3], [], [])
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "wardian.daemon.main"])
"""
"""Waits for a connection, leaves it where it is, and becomes the daemon."""


@pytest.fixture(scope="module")
def dormant() -> Iterator[Daemon]:
    """A daemon with the container c1, that does not run."""
    made = Daemon("s", backend="dir")
    made.import_busybox()
    made.lxc("init", "bb", "c1")
    made.kill()
    yield made
    made.close()


@contextlib.contextmanager
def waiting(daemon: Daemon) -> Iterator[socket.socket]:
    """The daemon starts once somebody connects; yields where it tells systemd. It is killed at the end."""
    path = daemon.folder / "lxd/unix.socket"
    path.unlink()
    told = daemon.folder / "notify"
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
    ):
        listener.bind(str(path))
        listener.listen(100)
        ready.bind(str(told))
        ready.settimeout(60)
        daemon.process = subprocess.Popen(
            [PYTHON, "-c", LAUNCHER, str(listener.fileno())],
            env={**daemon.environment, "NOTIFY_SOCKET": str(told)},
            pass_fds=[listener.fileno()],
            cwd=ROOT,
        )
        try:
            yield ready
        finally:
            daemon.kill()
            told.unlink()


def is_up(daemon: Daemon) -> bool:
    """Whether the launcher has become the daemon."""
    assert daemon.process is not None
    return b"wardian.daemon.main\0" in Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()


def test_it_starts_when_somebody_connects_or_containers_need_it(dormant: Daemon) -> None:
    with waiting(dormant) as ready:
        dormant.lxd("activateifneeded")
        assert not is_up(dormant), "no container needs it"
        assert dormant.names() == ["c1"]
        assert is_up(dormant) and ready.recv(100) == b"READY=1"
        dormant.lxd("activateifneeded")  # nothing to do: it runs
        dormant.lxc("config", "set", "c1", "boot.autostart", "true")
    with waiting(dormant):
        dormant.lxd("activateifneeded")
        assert is_up(dormant)
        assert dormant.wait_address("c1")
        dormant.lxc("config", "unset", "c1", "boot.autostart")
        dormant.lxc("stop", "-f", "c1")
        dormant.lxc("config", "set", "core.https_address", f"127.0.0.1:{free_port()}")
    with waiting(dormant):
        dormant.lxd("activateifneeded")
        assert is_up(dormant), "it is to listen on the network"
        dormant.lxc("config", "unset", "core.https_address")
    with waiting(dormant):
        dormant.lxd("activateifneeded")
        assert not is_up(dormant)
        with pytest.raises(AssertionError, match="not running"):
            dormant.lxd("shutdown")
        assert not is_up(dormant), "it is not started to be stopped"


def test_why_it_has_to_run_is_told_also_while_it_does(daemon: Daemon, name: str) -> None:
    def told() -> str:
        argv = [PYTHON, "-m", "wardian.daemon.main", "activateifneeded", "--debug"]
        return subprocess.run(
            argv, env=daemon.environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stderr

    daemon.lxc("init", "bb", name)
    assert "activating" not in told()
    daemon.lxc("config", "set", "core.https_address", f"127.0.0.1:{free_port()}")
    assert "Daemon has core.https_address set, activating..." in told()
    daemon.lxc("config", "unset", "core.https_address")
    daemon.lxc("start", name)
    assert "Daemon has auto-started containers, activating..." in told()
    daemon.lxc("stop", "-f", name)
    assert "activating" not in told()


def test_what_systemd_gets_is_in_order(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = [ROOT / "packaging" / name for name in ("lxd.service", "lxd.socket", "lxd-containers.service")]
    for unit in units:
        text = unit.read_text().replace("/usr/local/bin/lxd", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    argv = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
    found = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    about_ours = [line for line in found.stderr.splitlines() if "lxd" in line or str(tmp_path) in line]
    assert (found.returncode, about_ours) == (0, [])


def test_in_setup_mode_containers_wait_for_lxd_ready(dormant: Daemon, tmp_path: Path) -> None:
    marker = dormant.folder / "lxd/.setup_mode"
    marker.touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as up:
        up.bind(str(tmp_path / "up"))
        up.settimeout(60)
        dormant.environment["NOTIFY_SOCKET"] = str(tmp_path / "up")
        dormant.launch("--cpuprofile", str(tmp_path / "time"), "--memprofile", str(tmp_path / "memory"))
        del dormant.environment["NOTIFY_SOCKET"]
        assert up.recv(100) == b"READY=1"
    dormant.lxd("waitready", "--timeout", "0.1", status=1)
    dormant.lxc("config", "set", "c1", "boot.autostart", "true")
    assert dormant.names("s") == ["STOPPED"]
    dormant.lxd("ready")
    assert dormant.names("s") == ["RUNNING"]
    assert "isn't currently in setup mode" in dormant.lxd("ready", status=1)
    assert dormant.wait_address("c1")  # its init hears now that it is to stop
    assert dormant.process is not None
    dormant.process.send_signal(signal.SIGUSR1)
    marker.unlink()
    dormant.lxd("shutdown")
    dormant.process.wait()
    assert "bytes in" in (tmp_path / "memory").read_text()
    assert pstats.Stats(str(tmp_path / "time")).get_stats_profile().func_profiles
    dormant.start()
    assert dormant.names("s") == ["RUNNING"], "waitready waits for containers that are due"
