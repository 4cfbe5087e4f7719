"""Files of containers: pushed, pulled and removed, running or stopped, without a way to the host."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon


def owner_and_mode(daemon: Daemon, container: str, path: str) -> str:
    return daemon.lxc("exec", container, "--", "stat", "-c", "%u:%g %a", path).strip()


@pytest.fixture
def stopped(daemon: Daemon, name: str) -> str:
    """A container that does not run."""
    daemon.lxc("init", "bb", name)
    return name


@pytest.fixture(params=["running", "stopped", "privileged", "privileged stopped"])
def any_container(daemon: Daemon, name: str, request: pytest.FixtureRequest) -> str:
    """The same container in each of its states."""
    privileged = ["-c", "security.privileged=true"] if request.param.startswith("privileged") else []
    daemon.lxc("init" if request.param.endswith("stopped") else "launch", "bb", name, *privileged)
    return name


def test_a_file_comes_back_as_it_went(daemon: Daemon, any_container: str, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_bytes(os.urandom(3 << 20))
    daemon.lxc(
        "file", "push", "--uid", "7", "--gid", "8", "--mode", "640", str(source), f"{any_container}/etc/"
    )
    daemon.lxc("file", "pull", f"{any_container}/etc/data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o640
    if (
        any_container not in daemon.names("n")
        or daemon.lxc("list", any_container, "-c", "s", "--format", "csv") != "RUNNING\n"
    ):
        daemon.lxc("start", any_container)
    assert owner_and_mode(daemon, any_container, "/etc/data") == "7:8 640"


def test_owner_and_mode_of_what_is_there_stay(daemon: Daemon, container: str) -> None:
    daemon.lxc("exec", container, "--", "sh", "-c", "echo a > /f; chown 55:55 /f; chmod 555 /f")
    daemon.lxc("file", "edit", f"{container}/f", stdin="edited")
    assert owner_and_mode(daemon, container, "/f") == "55:55 555"
    daemon.lxc("file", "push", "-", f"{container}/f", stdin="pushed")
    assert owner_and_mode(daemon, container, "/f") == "55:55 555"
    assert daemon.lxc("exec", container, "cat", "/f") == "pushed"


def test_a_new_file_belongs_to_the_containers_root(daemon: Daemon, container: str) -> None:
    daemon.lxc("file", "push", "-", f"{container}/root/new", stdin="x")
    assert owner_and_mode(daemon, container, "/root/new") == "0:0 640"


def test_source_decides_unless_told(daemon: Daemon, container: str, tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.write_text("x")
    source.chmod(0o751)
    os.chown(source, 33, 34)
    daemon.lxc("file", "push", str(source), f"{container}/one", "--uid", "3")
    assert owner_and_mode(daemon, container, "/one") == "3:34 751"


def test_what_cannot_be(daemon: Daemon, container: str, tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.write_text("x")
    assert "Invalid source nowhere" in daemon.error("file", "pull", "nowhere", str(tmp_path))
    assert "Invalid target nowhere" in daemon.error("file", "push", str(source), "nowhere")
    assert "Path already exists as a directory" in daemon.error(
        "file", "push", str(source), f"{container}/etc"
    )
    assert '"/no/f": No such file' in daemon.error("file", "push", str(source), f"{container}/no/f")
    assert '"/none": No such file' in daemon.error("file", "pull", f"{container}/none", str(tmp_path))
    assert "is a folder; use -r" in daemon.error("file", "pull", f"{container}/etc", str(tmp_path))
    assert "not empty" in daemon.error("file", "delete", f"{container}/etc")
    many = [f"{container}/etc/passwd", f"{container}/etc/group"]
    assert "target is not a directory" in daemon.error("file", "pull", *many, str(source))
    assert "is not an octal mode" in daemon.error(
        "file", "push", "--mode", "8", str(source), f"{container}/f"
    )
    huge = daemon.error("file", "push", "--uid", "4000000000", str(source), f"{container}/f")
    assert "Invalid argument" in huge, "an id that the container does not have"


def test_several_files_into_folders_that_are_made(daemon: Daemon, container: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    daemon.lxc("file", "push", "-p", str(tmp_path / "a"), str(tmp_path / "b"), f"{container}/x/y/")
    daemon.lxc("file", "pull", f"{container}/x/y/a", f"{container}/x/y/b", str(tmp_path / "out/"))
    assert [(tmp_path / "out" / n).read_text() for n in "ab"] == ["a", "b"]
    assert owner_and_mode(daemon, container, "/x/y") == "0:0 755"


def test_folders_are_made_and_things_removed(daemon: Daemon, container: str) -> None:
    daemon.lxc("file", "mkdir", "-p", "--mode", "700", "--uid", "9", f"{container}/srv/a/b")
    assert owner_and_mode(daemon, container, "/srv/a/b") == "9:0 700"
    daemon.lxc("exec", container, "--", "sh", "-c", "ln -s /etc/passwd /srv/a/b/l")
    daemon.lxc("file", "delete", f"{container}/srv/a/b/l", f"{container}/srv/a/b")
    assert daemon.lxc("exec", container, "ls", "/srv/a") == ""
    assert "root" in daemon.lxc("exec", container, "cat", "/etc/passwd")


# --- whole trees -------------------------------------------------------------------------------


def make_tree(folder: Path) -> None:
    (folder / "empty").mkdir(parents=True)
    (folder / "empty").chmod(0o711)
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").write_text("content")
    os.chown(folder / "deep/er/file", 12, 13)
    (folder / "deep/link").symlink_to("er/file")
    (folder / "deep/out").symlink_to("/etc/shadow")
    (folder / "readonly").mkdir()
    (folder / "readonly/f").write_text("f")
    (folder / "readonly").chmod(0o555)
    (folder / os.fsdecode(b"caf\xe9 'x' \n")).write_text("no UTF-8")


def shape(folder: Path) -> list[str]:
    argv = ["find", ".", "-printf", "%p %y %m %U:%G %l\n"]
    return sorted(
        subprocess.run(argv, cwd=folder, capture_output=True, check=True)
        .stdout.decode("latin-1")
        .splitlines()
    )


def test_a_tree_comes_back_as_it_went(daemon: Daemon, any_container: str, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    daemon.lxc("file", "push", "-r", "-p", str(tmp_path / "tree"), f"{any_container}/srv/here/")
    daemon.lxc(
        "file", "push", "-r", str(tmp_path / "tree"), f"{any_container}/srv/here/"
    )  # over what is there
    daemon.lxc("file", "pull", "-r", f"{any_container}/srv/here/tree", str(tmp_path / "back"))
    assert shape(tmp_path / "back/tree") == shape(tmp_path / "tree")
    assert (tmp_path / "back/tree/deep/er/file").read_text() == "content"


def test_ids_of_a_tree_can_be_given(daemon: Daemon, container: str, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    daemon.lxc("file", "push", "-rp", "--uid", "1", "--gid", "2", str(tmp_path / "tree"), f"{container}/srv")
    assert owner_and_mode(daemon, container, "/srv/tree/deep/er/file") == "1:2 644"


def test_thousands_of_files_go_in_one_request(daemon: Daemon, container: str, tmp_path: Path) -> None:
    for number in range(5000):
        place = tmp_path / "many" / str(number % 10)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_text(str(number))
    daemon.lxc("file", "push", "-r", str(tmp_path / "many"), f"{container}/root/")
    assert daemon.lxc("exec", container, "--", "sh", "-c", "cat /root/many/*/* | wc -c") == "18890\n"
    daemon.lxc("file", "pull", "-r", f"{container}/root/many", str(tmp_path / "back"))
    assert shape(tmp_path / "back/many") == shape(tmp_path / "many")


def test_special_files_and_kernel_file_systems_are_left_out(
    daemon: Daemon, container: str, tmp_path: Path
) -> None:
    daemon.lxc(
        "exec",
        container,
        "--",
        "sh",
        "-c",
        "mkdir -p /t/proc; mkfifo /t/pipe; echo > /t/f; chmod 4755 /t/f; mount -t proc proc /t/proc",
    )
    completed = daemon.run("file", "pull", "-r", f"{container}/t", str(tmp_path))
    assert completed.returncode == 0
    assert b'pipe" is left out: it is a fifo' in completed.stderr
    assert b'proc" is left out: it belongs to the kernel' in completed.stderr
    assert os.listdir(tmp_path / "t") == ["f"]
    assert stat.S_IMODE((tmp_path / "t/f").stat().st_mode) == 0o755, "set-user-ID does not come out"


def test_a_tree_without_a_bottom_is_cut(daemon: Daemon, container: str, tmp_path: Path) -> None:
    script = "mkdir /r; cd /r; i=0; while [ $i -lt 600 ]; do mkdir d; cd d; i=$((i+1)); done; echo x > f"
    daemon.lxc("exec", container, "--", "sh", "-c", script)
    completed = daemon.run("file", "pull", "-r", f"{container}/r", str(tmp_path))
    assert completed.returncode == 0
    assert b"is left out: it is nested too deeply" in completed.stderr
    assert (tmp_path / "r/d/d/d").is_dir()


# --- no way out --------------------------------------------------------------------------------


def test_links_lead_nowhere_but_inside(daemon: Daemon, any_container: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of the host")
    tree = tmp_path / "links"
    tree.mkdir()
    (tree / "absolute").symlink_to(outside)
    (tree / "upward").symlink_to("../" * 20 + str(outside)[1:])
    (tree / "folder").symlink_to(tmp_path)
    daemon.lxc("file", "push", "-r", str(tree), f"{any_container}/srv", "-p")
    for path in ("absolute", "upward", "folder/outside"):
        assert "No such file" in daemon.error("file", "pull", f"{any_container}/srv/links/{path}", "-")
        daemon.run("file", "push", "-", f"{any_container}/srv/links/{path}", stdin=b"inside")
        daemon.run("file", "push", "-p", "-", f"{any_container}{tmp_path}/outside", stdin=b"inside")
        assert daemon.lxc("file", "pull", f"{any_container}/srv/links/{path}", "-") == "inside"
        daemon.lxc("file", "delete", f"{any_container}{tmp_path}/outside")
    assert outside.read_text() == "of the host"
    assert "No such file" in daemon.error("file", "pull", f"{any_container}/../../../../../{outside}", "-")


def test_links_of_proc_are_not_followed(daemon: Daemon, container: str) -> None:
    for path in ("proc/1/root/etc/passwd", "proc/1/cwd/etc/passwd", "proc/self/root/etc/passwd"):
        assert daemon.run("file", "pull", f"{container}/{path}", "-").returncode == 1


def test_the_kernel_is_asked_with_the_containers_rights(daemon: Daemon, container: str) -> None:
    """A link to a setting of the whole host is followed, and the container's root may not write it."""
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    daemon.lxc("exec", container, "--", "ln", "-s", "/proc/sys/kernel/core_pattern", "/root/motd")
    daemon.error("file", "push", "-", f"{container}/root/motd", stdin="|/bin/evil")
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_fifos_and_devices_are_never_opened(daemon: Daemon, container: str, tmp_path: Path) -> None:
    daemon.lxc("exec", container, "mkfifo", "/fifo")
    assert '"/fifo": is a fifo' in daemon.error("file", "push", "-", f"{container}/fifo", stdin="x").replace(
        '" is', '": is'
    )
    assert "a fifo, which is not fetched" in daemon.error("file", "pull", f"{container}/fifo", "-")
    assert "a character device" in daemon.error("file", "pull", f"{container}/dev/zero", "-")
    assert "a character device" in daemon.error("file", "push", "-", f"{container}/dev/null", stdin="x")


def test_mounts_inside_are_seen(daemon: Daemon, container: str) -> None:
    daemon.lxc("exec", container, "mount", "-t", "tmpfs", "none", "/tmp")
    daemon.lxc("file", "push", "-", f"{container}/tmp/f", stdin="on tmpfs")
    assert daemon.lxc("exec", container, "cat", "/tmp/f") == "on tmpfs"


# --- nothing half-way --------------------------------------------------------------------------


def test_a_full_file_system_leaves_the_old_file(daemon: Daemon, container: str, tmp_path: Path) -> None:
    daemon.lxc("exec", container, "--", "sh", "-c", "mount -t tmpfs -o size=1m none /tmp; echo old > /tmp/f")
    big = tmp_path / "big"
    big.write_bytes(bytes(8 << 20))
    said = daemon.error("file", "push", str(big), f"{container}/tmp/f")
    assert said == 'error: cannot write "/tmp/f": No space left on device'
    (tmp_path / "tree").mkdir()
    big.rename(tmp_path / "tree/big")
    assert "No space left" in daemon.error("file", "push", "-r", str(tmp_path / "tree"), f"{container}/tmp")
    assert daemon.lxc("exec", container, "cat", "/tmp/f") == "old\n"
    assert (
        daemon.lxc("exec", container, "--", "ls", "-A", "/tmp", "/tmp/tree")
        == "/tmp:\nf\ntree\n\n/tmp/tree:\n"
    )


def test_a_cut_upload_leaves_the_old_file(daemon: Daemon, container: str) -> None:
    daemon.lxc("file", "push", "-", f"{container}/root/f", stdin="old")
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "file", "push", "-", f"{container}/root/f"]
    with subprocess.Popen(argv, env=daemon.environment, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(bytes(1 << 20))
        child.stdin.flush()
        child.kill()
    assert daemon.lxc("file", "pull", f"{container}/root/f", "-") == "old"
    assert daemon.lxc("exec", container, "ls", "-A", "/root") == "f\n"


def test_a_stop_ends_transfers_and_keeps_nothing_mounted(daemon: Daemon, container: str) -> None:
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "file", "push", "-", f"{container}/root/f"]
    with subprocess.Popen(
        argv, env=daemon.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stderr is not None
        child.stdin.write(bytes(1 << 20))
        child.stdin.flush()
        daemon.lxc("stop", "-f", container)
        child.stdin.close()
        assert b"changed its state" in child.stderr.read()
    daemon.lxc("delete", container)


# --- the API of other clients ------------------------------------------------------------------


def curl(daemon: Daemon, *words: str) -> tuple[dict[str, str], bytes]:
    """(headers, body) of a request; the status is in `status`."""
    socket = str(daemon.folder / "lxd/unix.socket")
    argv = ["curl", "-s", "-i", "--unix-socket", socket, *words[:-1], f"http://lxd{words[-1]}"]
    head, _, body = subprocess.run(argv, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().splitlines()
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    return {**headers, "status": status.split()[1]}, body


def test_the_headers_of_other_clients(daemon: Daemon, container: str) -> None:
    old, new = f"/1.0/containers/{container}/files", f"/1.0/instances/{container}/files"
    daemon.lxc(
        "exec",
        container,
        "--",
        "sh",
        "-c",
        "mkdir /d; echo hi > /d/f; ln -s f /d/l; chmod 700 /d; chmod 604 /d/f",
    )
    headers, body = curl(daemon, f"{old}?path=/d/f")
    assert (headers["x-lxd-uid"], headers["x-lxd-mode"], headers["x-lxd-type"], body) == (
        "0",
        "0604",
        "file",
        b"hi\n",
    )
    assert headers["content-disposition"] == "inline;filename=f"
    headers, body = curl(daemon, f"{new}?path=/d")
    assert (headers["x-lxd-type"], json.loads(body)["metadata"]) == ("directory", ["f", "l"])
    assert curl(daemon, f"{old}?path=/d/l")[1] == b"hi\n"
    headers, body = curl(daemon, f"{new}?path=/d/l")
    assert (headers["x-lxd-type"], body) == ("symlink", b"f")
    headers, body = curl(daemon, "-I", f"{new}?path=/d/f")
    assert (headers["status"], headers["content-length"], body) == ("200", "3", b"")
    assert curl(daemon, f"{old}?path=/none")[0]["status"] == "404"
    assert b"missing path argument" in curl(daemon, old)[1]
    curl(daemon, "-H", "X-LXD-write: append", "--data-binary", "more", f"{old}?path=/d/f")
    assert curl(daemon, f"{old}?path=/d/f")[1] == b"hi\nmore"
    curl(daemon, "-H", "X-LXD-type: symlink", "--data-binary", "/etc/passwd", f"{new}?path=/d/m")
    curl(daemon, "-H", "X-LXD-type: directory", "-H", "X-LXD-mode: 0711", "-X", "POST", f"{new}?path=/d/n")
    assert (
        daemon.lxc("exec", container, "--", "sh", "-c", "ls -A /d; stat -c %a /d/n") == "f\nl\nm\nn\n711\n"
    )
    assert curl(daemon, "-X", "DELETE", f"{new}?path=/d/n")[0]["status"] == "200"
    assert curl(daemon, "-X", "DELETE", f"{new}?path=/d/n")[0]["status"] == "404"


# --- other pools, and races --------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["overlay", "dir"])
def test_files_go_in_and_out_on_every_kind_of_pool(daemon: Daemon, name: str, backend: str) -> None:
    pool = f"files-{backend}"
    daemon.lxc("storage", "create", pool, backend)
    try:
        daemon.lxc("init", "bb", name, "-s", pool)
        daemon.lxc("file", "push", "--uid", "5", "-", f"{name}/root/f", stdin="while stopped")
        assert daemon.lxc("file", "pull", f"{name}/root/f", "-") == "while stopped"
        daemon.lxc("start", name)
        assert owner_and_mode(daemon, name, "/root/f") == "5:0 640"
        daemon.lxc("file", "push", "-", f"{name}/root/f", stdin="while running")
        assert daemon.lxc("exec", name, "cat", "/root/f") == "while running"
        daemon.lxc("stop", "-f", name)
        assert daemon.lxc("file", "pull", f"{name}/root/f", "-") == "while running"
    finally:
        daemon.run("delete", "-f", name)
        daemon.lxc("storage", "delete", pool)


def test_a_race_for_a_link_leads_nowhere(daemon: Daemon, container: str, tmp_path: Path) -> None:
    """While files go in and out, the container swaps a folder for a link to a folder of the host."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/f").write_text("of the host")
    (tmp_path / "d").mkdir()
    for number in range(300):
        (tmp_path / f"d/f{number}").write_text("pushed")
    swap = f"mkdir /r; ln -s {tmp_path}/victim /r/l; mkdir /r/d; cd /r; echo ready; "
    swap += "while :; do mv d t; mv l d; mv d l; mv t d; done"
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "exec", container, "--", "sh", "-c", swap]
    with subprocess.Popen(
        argv,
        env=daemon.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        for _ in range(10):
            daemon.run("file", "push", "-r", str(tmp_path / "d"), f"{container}/r/")
            daemon.run("file", "push", "-", f"{container}/r/d/f", stdin=b"pushed")
            assert b"of the host" not in daemon.run("file", "pull", f"{container}/r/d/f", "-").stdout
            daemon.run("file", "delete", f"{container}/r/d/f")
            daemon.run("file", "pull", "-r", f"{container}/r", str(tmp_path / "out"))
        child.terminate()
    assert os.listdir(tmp_path / "victim") == ["f"]
    assert (tmp_path / "victim/f").read_text() == "of the host"
