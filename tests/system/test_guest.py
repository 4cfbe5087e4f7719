"""What a container learns about itself at /dev/lxd, and that it learns nothing else."""

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import PYTHON, Daemon


def init_of(daemon: Daemon, container: str) -> str:
    return daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv").strip()


def as_user(daemon: Daemon, container: str, uid: int = 0) -> list[str]:
    """The beginning of a command line: the host's programs as a user in the container's namespaces."""
    return ["nsenter", "-t", init_of(daemon, container), "-U", "-p", "-S", str(uid), "-G", str(uid), "--"]


def door(daemon: Daemon, container: str) -> str:
    return f"/proc/{init_of(daemon, container)}/root/dev/lxd/sock"


def ask(daemon: Daemon, container: str, path: str, *, uid: int = 0, at: str = "") -> tuple[int, str]:
    """(status, body) of a request that a process in the container makes."""
    curl = ["curl", "-s", "-w", "\n%{http_code}", "--unix-socket", at or door(daemon, container)]
    argv = [*as_user(daemon, container, uid), *curl, f"http://lxd{path}"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
    body, _, status = said.rpartition("\n")
    return int(status or 0), body


@pytest.fixture
def second(daemon: Daemon, container: str) -> Iterator[str]:
    """Another container, with a secret of its own."""
    name = f"{container[:40]}-2"
    daemon.lxc("launch", "bb", name, "-c", "user.secret=of the second")
    yield name
    daemon.lxc("delete", "-f", name)


def test_it_reads_its_own_keys(daemon: Daemon, container: str) -> None:
    assert ask(daemon, container, "/") == (200, '["/1.0"]')
    assert ask(daemon, container, "/1.0") == (200, '{"api_version":"1.0"}')
    daemon.lxc("config", "set", container, "user.foo", "bar")
    daemon.lxc("config", "set", container, "user.meta-data", "more: yes")
    daemon.lxc("config", "set", container, "limits.memory", "100MB")
    urls = json.loads(ask(daemon, container, "/1.0/config")[1])
    assert urls == ["/1.0/config/user.foo", "/1.0/config/user.meta-data"]
    assert ask(daemon, container, "/1.0/config/user.foo") == (200, "bar")
    assert ask(daemon, container, "/1.0/config/user.none") == (404, "not found\n")
    assert ask(daemon, container, "/1.0/config/limits.memory") == (403, "not authorized\n")
    expected = f"#cloud-config\ninstance-id: {container}\nlocal-hostname: {container}\nmore: yes"
    assert ask(daemon, container, "/1.0/meta-data") == (200, expected)
    assert ask(daemon, container, "/1.0/containers")[0] == 404


def test_keys_of_profiles_are_seen(daemon: Daemon, container: str) -> None:
    daemon.lxc("profile", "create", "guest")
    try:
        daemon.lxc("profile", "set", "guest", "user.shared", "for all")
        daemon.lxc("profile", "apply", container, "default,guest")
        assert ask(daemon, container, "/1.0/config/user.shared") == (200, "for all")
    finally:
        daemon.lxc("profile", "apply", container, "default")
        daemon.lxc("profile", "delete", "guest")


INSIDE = """
import ctypes, os, socket, sys
spaces = [os.open(f"/proc/{sys.argv[1]}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt", "pid")]
os.setgroups([])
for fd in spaces:
    assert ctypes.CDLL(None).setns(fd, 0) == 0
os.setresgid(1000, 1000, 1000)
os.setresuid(1000, 1000, 1000)
if os.fork() == 0:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect("/dev/lxd/sock")
    sock.sendall(b"GET /1.0 HTTP/1.0\\r\\n\\r\\n")
    while data := sock.recv(4096):
        os.write(1, data)
    os._exit(0)
os.wait()
"""


def test_only_its_root_may_ask(daemon: Daemon, container: str) -> None:
    argv = [PYTHON, "-I", "-S", "-c", INSIDE, init_of(daemon, container)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said.startswith("HTTP/1.0 401 ") and said.endswith("Access denied for non-root user\n")


def test_a_privileged_container_too(daemon: Daemon, name: str) -> None:
    daemon.lxc("launch", "bb", name, "-c", "security.privileged=true", "-c", "user.foo=bar")
    pid = init_of(daemon, name)
    curl = ["curl", "-s", "--unix-socket", "/dev/lxd/sock", "http://lxd/1.0/config/user.foo"]
    at = ["nsenter", "-t", pid, "-p", "--", "curl", "-s", "--unix-socket", door(daemon, name), curl[-1]]
    assert subprocess.run(at, capture_output=True, text=True, check=True).stdout == "bar"


def test_nobody_else_may_ask(daemon: Daemon, container: str, second: str) -> None:
    """Not root of another container, were it to get hold of the socket, and not root of the host."""
    assert ask(daemon, second, "/1.0/config/user.secret") == (200, "of the second")
    pid = init_of(daemon, container)
    theirs = door(daemon, second)
    in_first = ["nsenter", "-t", pid, "-p", "--"]  # the host's root, in the first one's processes
    for start in (in_first, []):
        argv = [*start, "curl", "-s", "--unix-socket", theirs, "http://lxd/1.0/config/user.secret"]
        assert (
            subprocess.run(argv, capture_output=True, text=True, check=True).stdout
            == "pid not in container?\n"
        )


def test_a_process_in_a_nested_namespace_belongs_to_it(daemon: Daemon, container: str) -> None:
    argv = [*as_user(daemon, container), "unshare", "--pid", "--fork", "--"]
    argv += ["curl", "-s", "--unix-socket", door(daemon, container), "http://lxd/1.0"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == '{"api_version":"1.0"}'


def test_it_can_be_turned_off_and_on_while_it_runs(daemon: Daemon, container: str) -> None:
    daemon.lxc("config", "set", container, "security.devlxd", "false")
    assert daemon.lxc("exec", container, "ls", "/dev/lxd") == ""
    assert ask(daemon, container, "/1.0")[0] == 0
    daemon.lxc("config", "set", container, "security.devlxd", "true")
    assert ask(daemon, container, "/1.0")[0] == 200


def test_it_works_again_after_a_restart_of_the_daemon_and_of_the_container(
    daemon: Daemon, container: str
) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        daemon.kill(number)
        daemon.start()
        assert ask(daemon, container, "/1.0")[0] == 200
    daemon.lxc("restart", "-f", container)
    assert ask(daemon, container, "/1.0")[0] == 200
    daemon.lxc("stop", "-f", container)
    assert not (daemon.folder / "lxd/devlxd" / container).exists()


LISTEN = """
import sys
sys.path.insert(0, sys.argv[2])
from wardian.client.connection import UnixPlace
from wardian.client.websocket import open_websocket
socket = open_websocket(UnixPlace(sys.argv[1]), "/1.0/events")
print("listening", flush=True)
while not socket.closed:
    for kind, payload in socket.receive():
        print(payload.decode(), flush=True)
"""


def test_it_hears_of_changes(daemon: Daemon, container: str) -> None:
    source = str(Path(__file__).parents[2] / "src")
    argv = [*as_user(daemon, container), PYTHON, "-c", LISTEN, door(daemon, container), source]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "listening\n"
        daemon.lxc("config", "set", container, "limits.memory", "200MB")  # is not told
        daemon.lxc("config", "set", container, "user.foo", "1")
        daemon.lxc("config", "unset", container, "user.foo")
        daemon.lxc("config", "device", "add", container, "net9", "none")
        daemon.lxc("config", "device", "remove", container, "net9")
        events = [json.loads(child.stdout.readline()) for _ in range(4)]
        child.kill()
    assert [event["type"] for event in events] == ["config", "config", "device", "device"]
    assert [event["metadata"] for event in events] == [
        {"key": "user.foo", "old_value": "", "value": "1"},
        {"key": "user.foo", "old_value": "1", "value": ""},
        {"action": "added", "name": "net9", "config": {"type": "none"}},
        {"action": "removed", "name": "net9", "config": {"type": "none"}},
    ]


CROWD = """
import socket, sys
held = []
try:
    while len(held) < 400:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].settimeout(0.5)
        held[-1].connect(sys.argv[1])
except OSError:
    pass
print(len(held), flush=True)
sys.stdin.read()
"""


def test_a_crowd_in_one_container_holds_up_nobody_else(daemon: Daemon, container: str, second: str) -> None:
    argv = [*as_user(daemon, container), PYTHON, "-c", CROWD, door(daemon, container)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdin is not None
        assert int(child.stdout.readline()) < 400, "the kernel makes it wait"
        assert ask(daemon, second, "/1.0/config/user.secret") == (200, "of the second")
        assert container in daemon.names()
        child.stdin.close()
    assert ask(daemon, container, "/1.0")[0] == 200


def test_nonsense_is_harmless(daemon: Daemon, container: str) -> None:
    for text in (
        b"\0" * 100000,
        b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
        b"PUT /1.0 HTTP/1.1\r\n\r\n",
    ):
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(ConnectionError):
            sock.connect(door(daemon, container))
            sock.sendall(text)
            assert sock.recv(12).startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4"))
    assert ask(daemon, container, "/1.0/config/" + "x" * 5000)[0] == 403
    assert ask(daemon, container, "/1.0/config/user.%0a%00")[0] == 404
