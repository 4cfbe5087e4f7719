"""What CRIU says in plain words, which version a kernel needs, and the text for liblxc to restore with."""

import itertools
from pathlib import Path

import pytest

from wardian.drivers.runtime import checkpoint, dump, obstacles, render
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Nic
from wardian.ports.runtime import StartPlan


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            "(00.1) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not\n"
            "(00.2) Error (criu/cr-dump.c:1664): A session leader of 13159(12) is outside of its pid ns\n",
            "process 12 (in the container) was started by `lxc exec` and still runs",
        ),
        (
            "     1: Error (criu/mount.c:25): mnt: Can't bind-mount at /dev\nError (a.c:1): FAILED\n",
            "mnt: Can't bind-mount at /dev",
        ),
        ("Error (criu/fsnotify.c:284): fsnotify: \tCan't dump that handle\n", "watches a file"),
        ("Warn (criu/x.c:1): nothing\n", "CRIU does not say why"),
    ],
)
def test_the_cause_is_told(log: str, told: str) -> None:
    assert told in checkpoint.cause(log)


@pytest.mark.parametrize(
    ("kernel", "version"),
    [("6.18.44-cloud", (4, 2)), ("6.16", (4, 2)), ("6.15.9", (4, 0)), ("4.19.0", (4, 0)), ("x", (4, 0))],
)
def test_newer_kernels_need_a_newer_criu(kernel: str, version: tuple[int, int]) -> None:
    assert checkpoint.oldest(kernel) == version


def test_what_is_restored_gets_console_and_interfaces_from_elsewhere() -> None:
    nic = Nic(kind="bridged", name="eth0", parent="br0", host_name="veth1", hwaddr="00:16:3e:00:00:01")
    plan = StartPlan("c1", "x86_64", Path("/pool/c1/rootfs"), IdMap(), devices=[DevicePlan("e", (nic,))])
    around = render.Surroundings(Path("/logs"), Path("/seccomp"), "/bin/sh start", end_hook="/bin/sh end")
    first = render.container_config(plan, around)
    shown = checkpoint.for_restore(plan, Path("/lxd/containers"))
    again = render.container_config(shown, around, restored=True)
    assert "lxc.net.0.type = veth" in first and "lxc.hook.start-host = /bin/sh start" in first
    for line in (
        "lxc.net.0.type = empty",
        "lxc.console.path = none",
        "lxc.hook.post-stop = /bin/sh end",
        "lxc.rootfs.path = dir:/lxd/containers/c1/restored",
    ):
        assert line in again.splitlines()
    assert "idmap=container" not in again and "apparmor" not in again


def process(proc: Path, number: int, inner: int, **links: str) -> None:
    folder = proc / str(number)
    (folder / "ns").mkdir(parents=True)
    (folder / "fd").mkdir()
    (folder / "comm").write_text("job\n")
    session = links.pop("sid", str(inner))
    text = f"PPid:\t1\nNSpid:\t{number}\t{inner}\nNSsid:\t{number}\t{session}\n"
    (folder / "status").write_text(text)
    (folder / "fd/3").symlink_to(links.pop("file", "/dev/null"))
    for kind in ("pid", "mnt", "uts", "ipc", "user", "cgroup"):
        (folder / "ns" / kind).symlink_to(links.get(kind, f"{kind}:[1]"))


def test_processes_that_are_in_the_way(tmp_path: Path) -> None:
    process(tmp_path, 100, 1)
    process(tmp_path, 101, 2, sid="0")
    process(tmp_path, 102, 3, uts="uts:[2]")
    process(tmp_path, 103, 4, file="anon_inode:[io_uring]")
    process(tmp_path, 104, 5, pid="pid:[9]", file="anon_inode:[io_uring]")  # of another container
    found = obstacles.of_processes(100, tmp_path)
    assert sorted(word for line in found for word in line.split() if word.isdigit()) == ["2", "3", "4"]
    assert any("lxc exec" in line for line in found) and any("migration.stateful" in line for line in found)
    assert any("io_uring" in line for line in found)


HYBRID = "\n".join(
    (
        *("9:name=systemd:/lxc.payload.c1/init.scope", "2:cpu,cpuacct:/lxc.payload.c1"),
        *("6:freezer:/lxc.payload.c1", "0::/"),
    )
)


def test_criu_is_told_what_liblxc_gave_the_container() -> None:
    config = (
        "lxc.mount.entry = /dev/fuse dev/fuse none bind 0 0\n"
        "lxc.mount.entry = /a\\040b srv/a\\040b none bind 0 0\n"
    )
    plan = StartPlan("c1", "x86_64", Path("/pool/c1/rootfs"), IdMap())
    job = checkpoint.Job(plan, Path("/lxd/containers"), Path("/state"), config, Path("/logs/dump.log"))
    words = dump.arguments(job, 7, "tty[8800:ab]", HYBRID, stop=False)
    said = list(itertools.pairwise(words))
    for pair in (
        *(("-t", "7"), ("-D", "/state"), ("-o", "/logs/dump.log"), ("--external", "tty[8800:ab]")),
        ("--cgroup-root", "name=systemd:/lxc.payload.c1"),
        *(("--cgroup-root", f"{name}:/lxc.payload.c1") for name in ("cpu", "cpuacct", "freezer")),
        ("--ext-mount-map", "/dev/fuse:dev/fuse"),
        ("--ext-mount-map", "/srv/a b:srv/a b"),
        ("--ext-mount-map", "/dev/console:console"),
    ):
        assert pair in said
    assert "--leave-running" in words
    alone = dump.arguments(job, 7, "", "0::/lxc.payload.c1/init.scope\n", stop=True)
    assert alone[alone.index("--cgroup-root") + 1] == "/lxc.payload.c1"
    assert "--leave-running" not in alone and "--external" not in alone
    assert "--track-mem" not in alone
    after = dump.arguments(job, 7, "", "0::/lxc.payload.c1/init.scope\n", stop=True, ahead=2)
    assert after[after.index("--prev-images-dir") + 1] == "ahead/2" and "--track-mem" in after
