"""Finding a container's control groups, and which files they have."""

from pathlib import Path

import pytest

from wardian.linux import cgroups


def test_the_kind_of_tree_is_seen_at_its_root(tmp_path: Path) -> None:
    assert cgroups.kind_of(tmp_path) == "v1"
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    assert cgroups.kind_of(tmp_path) == "v2"


@pytest.mark.parametrize(
    ("text", "controller", "path"),
    [
        ("4:memory:/lxc.payload.c1\n", "memory", "lxc.payload.c1"),
        ("4:cpu,cpuacct:/a/lxc.payload.c1/init.scope\n0::/x\n", "cpuacct", "a/lxc.payload.c1"),
        ("0::/lxc.payload.c1-1/init.scope\n", "", "lxc.payload.c1-1"),
        ("4:memory:/user.slice\n", "memory", None),
        ("", "memory", None),
    ],
)
def test_the_payload_group_is_what_the_container_runs_in(
    text: str, controller: str, path: str | None
) -> None:
    assert cgroups.payload(text, controller) == path


def test_files_are_those_of_the_mounted_v1_controllers(tmp_path: Path) -> None:
    for controller in ("memory", "blkio"):
        (tmp_path / controller).mkdir()
    files = {"memory": ["tasks", "memory.limit_in_bytes"], "blkio": ["blkio.bfq.weight"]}
    wanted = [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "blkio.weight",
        "blkio.bfq.weight",
        "pids.max",
    ]
    found = cgroups.present(wanted, tmp_path, look=lambda folder: files[folder.name])
    assert found == {"memory.limit_in_bytes", "blkio.bfq.weight"}


def test_files_of_a_v2_controller_that_is_still_off_will_be_there(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    wanted = ["cpuset.cpus", "memory.max", "memory.swap.max", "io.weight"]
    found = cgroups.present(wanted, tmp_path, look=lambda _: ["cgroup.procs", "memory.max"])
    assert found == {"cpuset.cpus", "memory.max"}


def test_looking_leaves_no_group(tmp_path: Path) -> None:
    assert cgroups.files_of_new_group(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
def test_this_kernel_bounds_processes() -> None:
    assert "pids.max" in cgroups.present(["pids.max", "no.such"])


def test_where_a_container_is_frozen(tmp_path: Path) -> None:
    text = "6:freezer:/lxc.payload.c1\n0::/lxc.payload.c1/init.scope\n"
    assert cgroups.freezer(text, tmp_path) == tmp_path / "freezer/lxc.payload.c1"
    assert cgroups.freezer("0::/user.slice\n", tmp_path) is None
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.freezer(text, tmp_path) == tmp_path / "lxc.payload.c1"
