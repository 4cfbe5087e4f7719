"""Commands in containers: streams, statuses, signals, terminals."""

import hashlib
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from wardian.client.connection import UnixPlace
from wardian.client.websocket import open_websockets


def test_streams_are_separate_and_the_status_is_the_commands(daemon: Daemon, container: str) -> None:
    completed = daemon.run("exec", container, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (completed.stdout, completed.stderr, completed.returncode) == (b"out\n", b"err\n", 7)


def test_statuses_of_what_cannot_run_and_of_signals(daemon: Daemon, container: str) -> None:
    assert daemon.run("exec", container, "--", "nosuch").returncode == 127
    assert daemon.run("exec", container, "--", "/etc/passwd").returncode == 126
    assert daemon.run("exec", container, "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_large_input_arrives_complete(daemon: Daemon, container: str) -> None:
    data = os.urandom(4 << 20)
    completed = daemon.run("exec", container, "--", "md5sum", stdin=data)
    assert completed.stdout.split()[0].decode() == hashlib.md5(data).hexdigest()


def test_large_output_arrives_complete(daemon: Daemon, container: str) -> None:
    completed = daemon.run("exec", container, "--", "dd", "if=/dev/zero", "bs=1M", "count=32")
    assert len(completed.stdout) == 32 << 20


def test_environment_and_folder(daemon: Daemon, container: str) -> None:
    assert daemon.lxc("exec", container, "pwd") == "/root\n"
    said = daemon.lxc("exec", container, "--env", "A=b c", "env")
    assert "A=b c\n" in said and "HOME=/root\n" in said and "USER=root\n" in said
    assert daemon.lxc("exec", container, "--user", "1000", "--", "id", "-u") == "1000\n"


def test_the_environment_is_in_no_argument_list_and_keeps_out_of_the_hosts_programs(
    daemon: Daemon, container: str
) -> None:
    script = "echo ready; read line; env"
    words = [
        "exec",
        container,
        "--env",
        "TOKEN=se\ncret",
        "--env",
        "LD_PRELOAD=/nowhere.so",
        "--env",
        "PATH=/bin",
    ]
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *words, "--", "sh", "-c", script]
    with subprocess.Popen(
        argv, env=daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        arguments = [
            path.read_bytes()
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if path.parent.name != str(child.pid)
        ]
        said, errors = child.communicate(b"\n")
    assert not [line for line in arguments if b"cret" in line]
    shown = set(said.decode().splitlines())
    assert {"TOKEN=se", "cret", "LD_PRELOAD=/nowhere.so", "PATH=/bin", "container=lxc"} <= shown
    assert not [line for line in shown if line.startswith(("LXD_DIR", "PYTHON", "OLDPWD"))]
    assert errors == b""


def test_fifty_at_once(daemon: Daemon, container: str) -> None:
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "exec", container, "--", "echo", "x"]
    running = [
        subprocess.Popen(argv, env=daemon.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(50)
    ]
    assert all(child.communicate()[0] == b"x\n" for child in running)
    assert all(child.returncode == 0 for child in running)


def test_without_websockets_the_status_is_in_the_operation(daemon: Daemon, container: str) -> None:
    body = json.dumps({"command": ["sh", "-c", "exit 3"]})
    started = json.loads(daemon.request("POST", f"/1.0/containers/{container}/exec", body))
    waited = json.loads(daemon.request("GET", f"{started['operation']}/wait"))
    assert waited["metadata"]["metadata"]["return"] == 3


@pytest.mark.parametrize(("interactive", "needed"), [(False, "012"), (True, "0")])
def test_a_command_starts_once_its_streams_are_connected_with_or_without_control(
    daemon: Daemon, container: str, interactive: bool, needed: str
) -> None:
    body = {"command": ["sh", "-c", "echo > /tmp/ran; echo said"], "wait-for-websocket": True}
    path = f"/1.0/containers/{container}/exec"
    started = json.loads(daemon.request("POST", path, json.dumps(body | {"interactive": interactive})))
    fds = started["metadata"]["metadata"]["fds"]
    assert set(fds) == {*needed, "control"}
    place = UnixPlace(str(daemon.folder / "lxd/unix.socket"))
    urls = [f"{started['operation']}/websocket?secret={fds[stream]}" for stream in needed]
    sockets = open_websockets(place, urls[:-1])
    assert daemon.run("exec", container, "--", "test", "-e", "/tmp/ran").returncode == 1
    sockets += open_websockets(place, urls[-1:])
    assert sockets[0 if interactive else 1].receive()[0][1].strip() == b"said"
    for socket in sockets:
        socket.close()


def test_a_terminal_has_a_size_and_carries_what_is_typed(daemon: Daemon, container: str) -> None:
    master, slave = pty.openpty()
    subprocess.run(["stty", "rows", "33", "cols", "99"], stdin=slave, check=True)
    script = "stty size; seq 3000; read line; echo got:$line; exit 5"
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "exec", container, "--", "sh", "-c", script]
    with subprocess.Popen(
        argv, env=daemon.environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as child:
        os.close(slave)
        said = b""
        try:
            while chunk := os.read(master, 4096):
                said += chunk
                if b"\n3000\r\n" in said and b"typed" not in said:
                    os.write(master, b"typed\r")
                    said += b"typed"
        except OSError:  # the other end is closed
            pass
    os.close(master)
    assert b"33 99\r\n" in said
    assert b"\r\r" not in said
    assert b"got:typed\r\n" in said
    assert child.returncode == 5


def test_what_cannot_run_is_told_in_one_line(daemon: Daemon, container: str) -> None:
    told = {
        ("nosuch",): f'error: command "nosuch" not found in container "{container}"\n',
        ("/etc/passwd",): f'error: cannot run "/etc/passwd" in container "{container}": Permission denied\n',
    }
    for words, line in told.items():
        assert daemon.run("exec", container, "--", *words).stderr.decode() == line
    daemon.lxc("exec", container, "--", "mkdir", "-p", "/only/here")
    assert daemon.lxc("exec", container, "--cwd", "/only/here", "pwd") == "/only/here\n"
    nowhere = daemon.run("exec", container, "--cwd", "/nowhere", "pwd")
    assert nowhere.returncode != 0 and nowhere.stdout == b"" and b"can't cd to /nowhere" in nowhere.stderr


def test_what_a_command_says_is_kept_among_the_logs(daemon: Daemon, container: str) -> None:
    path = f"/1.0/containers/{container}/exec"

    def run(script: str, **more: object) -> dict[str, object]:
        body = {"command": ["sh", "-c", script], "record-output": True, **more}
        began = json.loads(daemon.request("POST", path, json.dumps(body)))
        ended = json.loads(daemon.request("GET", f"{began['operation']}/wait"))["metadata"]
        assert ended["status_code"] == 200, ended
        metadata: dict[str, object] = ended["metadata"]
        return metadata

    said = run("echo out; echo err >&2; sleep 1000 & exit 3")  # which holds the streams open
    assert said["return"] == 3
    output = said["output"]
    assert isinstance(output, dict) and set(output) == {"1", "2"}
    assert [daemon.request("GET", output[fd]) for fd in "12"] == ["out\n", "err\n"]
    logs = json.loads(daemon.request("GET", f"/1.0/containers/{container}/logs"))["metadata"]
    assert set(output.values()) <= set(logs)
    for file in output.values():
        daemon.request("DELETE", file)
    left = json.loads(daemon.request("GET", f"/1.0/containers/{container}/logs"))["metadata"]
    assert not set(output.values()) & set(left)
    huge = run("dd if=/dev/zero bs=1M count=65 2>/dev/null; echo done >&2")["output"]
    assert isinstance(huge, dict)
    kept = daemon.folder / "lxd/logs" / container / huge["1"].rsplit("/", 1)[1]
    assert kept.stat().st_size == 64 << 20
    assert daemon.request("GET", huge["2"]) == "done\n"
    refused = {"command": ["true"], "record-output": True, "wait-for-websocket": True}
    assert "record-output" in json.loads(daemon.request("POST", path, json.dumps(refused)))["error"]
