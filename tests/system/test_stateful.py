"""The memory of real containers, saved and restored through CRIU; needs a CRIU that this kernel takes."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.system.harness import Daemon

WITHIN_S = 60
DROP_IN = "service.d/zz-migration-stateful.conf"
IN_GROUPS = "mkdir -p /tmp/cg && mount -t cgroup2 none /tmp/cg && {} /tmp/cg{}; umount /tmp/cg"
"""Does something with a control group, which nothing of busybox mounts."""
COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done"


@pytest.fixture(scope="module", params=["btrfs", "overlay"])
def place(request: pytest.FixtureRequest, criu: None) -> Iterator[Daemon]:
    """A daemon whose pool is of each kind in turn, with the image `bb`."""
    made = Daemon("m", backend=request.param)
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def c1(place: Daemon) -> Iterator[str]:
    """A container in which a counter runs, and has an address."""
    place.lxc("launch", "bb", "c1", "-c", "migration.stateful=true")
    place.wait_address("c1")
    count = f"({COUNTER}) </dev/null >/dev/null 2>&1 & until test -s /tmp/count; do sleep 0.01; done"
    place.lxc("exec", "c1", "--", "busybox", "setsid", "sh", "-c", count)
    yield "c1"
    place.lxc("delete", "-f", "c1")


def counted(daemon: Daemon) -> int:
    """What the counter has come to: it begins with 1 if the container was booted anew."""
    return int(
        daemon.lxc("exec", "c1", "--", "sh", "-c", "until test -s /tmp/count; do :; done; cat /tmp/count")
    )


def goes_on(daemon: Daemon) -> None:
    """The counter counts now."""
    script = 'a=$(cat /tmp/count); while test "$(cat /tmp/count)" = "$a"; do sleep 0.01; done'
    daemon.lxc("exec", "c1", "--", "sh", "-c", script)


def state_of(daemon: Daemon) -> bool:
    answer = json.loads(daemon.request("GET", "/1.0/containers/c1"))
    return bool(answer["metadata"]["stateful"])


def pid_of(daemon: Daemon) -> str:
    """The pid of init; empty while the container does not run."""
    return daemon.lxc("info", "c1").partition("Pid: ")[2].partition("\n")[0]


def logs(daemon: Daemon) -> str:
    found = sorted((daemon.folder / "lxd/logs/c1").glob("snapshot_*"))
    return "\n".join(path.read_text(errors="replace") for path in found)[-3000:]


def test_a_container_goes_on_where_it_was_stopped(place: Daemon, c1: str) -> None:
    assert "Nothing is in the way" in place.lxc("info", c1, "--criu")
    place.lxc("exec", c1, "--", "sh", "-c", IN_GROUPS.format("mkdir", "/mine"))
    assert "SYSTEMD_UNIT_PATH=/dev/.wardian/units:" in place.lxc("exec", c1, "--", "cat", "/proc/1/environ")
    address, before = place.wait_address(c1), counted(place)
    volume = place.folder / "lxd/storage-pools/default/containers/c1"
    place.lxc("stop", "--stateful", c1)
    assert state_of(place)
    state = next(volume.rglob("state"))
    assert state.stat().st_mode & 0o777 == 0o700 and state.stat().st_uid == 0
    place.kill()
    place.start()
    completed = place.run("start", c1)
    assert completed.returncode == 0, (completed.stderr.decode(), logs(place))
    goes_on(place)
    assert counted(place) > before
    assert place.wait_address(c1) == address and not state_of(place) and not state.exists()
    # It is a container like any other: files belong to its root, it reaches the host, it can be saved again.
    gateway = place.lxc(
        "exec", c1, "--", "sh", "-c", "ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'"
    )
    place.lxc("exec", c1, "--", "sh", "-c", f"touch /root/mine && ping -c 1 -w 5 {gateway.strip()}")
    assert place.lxc("exec", c1, "--", "stat", "-c", "%u:%g", "/root/mine").strip() == "0:0"
    owner = IN_GROUPS.format("stat -c %u:%g", "/mine/cgroup.procs")
    assert place.lxc("exec", c1, "--", "sh", "-c", owner).strip() == "0:0"
    assert "[Service]" in place.lxc("exec", c1, "--", "cat", f"/dev/.wardian/units/{DROP_IN}")
    place.lxc("stop", "--stateful", c1)
    place.kill()
    place.start()
    place.lxc("move", c1, "c2")
    place.lxc("move", "c2", c1)
    place.lxc("start", "--stateless", c1)
    assert place.lxc("exec", c1, "--", "sh", "-c", "busybox ps | grep -c [c]ount || true").strip() == "0"
    assert not list(volume.rglob("state"))


def test_a_snapshot_brings_the_memory_back(place: Daemon, c1: str) -> None:
    place.lxc("snapshot", c1, "then", "--stateful")
    assert "(stateful)" in place.lxc("info", c1)
    goes_on(place)
    place.lxc("exec", c1, "--", "touch", "/root/later")
    place.lxc("restore", c1, "then", "--stateful")
    goes_on(place)
    assert place.lxc("exec", c1, "--", "ls", "/root") == ""
    # What was restored cannot be booted anew by its monitor; the daemon does it.
    pid = pid_of(place)
    place.run("exec", c1, "--", "reboot")  # it may end with the system that it ends
    deadline = time.monotonic() + WITHIN_S
    while pid_of(place) in ("", pid):
        assert time.monotonic() < deadline, place.log()[-2000:]
        time.sleep(0.05)  # what we wait for happens in another system: there is no event to wait on


def test_what_is_in_the_way_is_told_and_the_container_runs_on(place: Daemon, c1: str) -> None:
    place.lxc("exec", c1, "--", "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 &")
    told = place.run("info", c1, "--criu")
    assert told.returncode == 1 and b"(sleep) was started by `lxc exec`" in told.stdout
    assert "was started by `lxc exec`" in place.error("stop", "--stateful", c1)
    assert "was started by `lxc exec`" in place.error("snapshot", "--stateful", c1)
    goes_on(place)
    pid = told.stdout.decode().partition("process ")[2].split()[0]
    kill = f"kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do :; done"
    place.lxc("exec", c1, "--", "sh", "-c", kill)
    place.lxc("stop", "--stateful", c1)
    damaged = next((place.folder / "lxd").rglob("state/inventory.img"))
    content = damaged.read_bytes()
    damaged.write_bytes(b"nonsense")
    said = place.error("start", c1)
    assert "cannot restore the state" in said and "snapshot_restore_" in said
    assert place.names("ns") == ["c1,STOPPED"] and state_of(place)
    damaged.write_bytes(content)
    place.lxc("start", c1)
    place.lxc("stop", "-f", c1)
