"""Proxy devices: real connections both ways, over restarts of the container and of the daemon."""

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon
from tests.system.plugging import add, inside, reboot

WITHIN_S = 30
Serve = Callable[[str, str, int], None]
Echo = Callable[[int, int, object], None]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


ECHO = """
import socket, sys, threading
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
own = socket.socket(socket.AF_INET, kind)
own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
own.bind(("", int(sys.argv[2])))
kind == socket.SOCK_DGRAM or own.listen()
print(flush=True)
while kind == socket.SOCK_DGRAM:
    own.sendto(*own.recvfrom(100))
def answer(client, peer):
    while data := client.recv(100):
        client.sendall(peer[0].encode() if data == b"who\\n" else data)
    client.close()
while True:
    threading.Thread(target=answer, args=own.accept(), daemon=True).start()
"""
ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM) as own:
    own.settimeout(30)
    own.connect((sys.argv[3], int(sys.argv[2])))
    own.sendall(b"hello")
    sys.stdout.buffer.write(own.recv(100))
"""


def in_network(daemon: Daemon, container: str, program: str, *words: str) -> list[str]:
    """Command line of a Python program in the network namespace of the container."""
    pid = daemon.lxc("list", f"^{container}$", "-c", "p", "--format", "csv").strip()
    return ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", program, *words]


@pytest.fixture
def serve(daemon: Daemon) -> Iterator[Serve]:
    """Have a container echo what it gets at a port, from now on."""
    started = []

    def begin(container: str, kind: str, port: int) -> None:
        argv = in_network(daemon, container, ECHO, kind, str(port))
        server = subprocess.Popen(argv, stdout=subprocess.PIPE)
        started.append(server)
        assert server.stdout is not None
        server.stdout.readline()  # it listens

    yield begin
    for server in started:
        server.kill()
        server.communicate()


def asked(daemon: Daemon, container: str, kind: str, port: int, host: str = "127.0.0.1") -> bytes:
    """What a greeting to a port is answered with, seen from the container."""
    argv = in_network(daemon, container, ASK, kind, str(port), host)
    return subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout


def echoed(
    address: object, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, say: bytes = b"hello\n"
) -> bytes:
    """What comes back of a greeting that is sent there."""
    with socket.socket(family, kind) as client:
        client.settimeout(WITHIN_S)
        client.connect(address)  # type: ignore[arg-type]
        client.sendall(say)
        return client.recv(100)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    """Begins to echo at an address of the host."""
    servers: list[socket.socket] = []

    def answer(server: socket.socket) -> None:
        try:
            while True:
                if server.type == socket.SOCK_DGRAM:
                    data, sender = server.recvfrom(100)
                    server.sendto(data, sender)
                else:
                    client, _ = server.accept()
                    with client:
                        client.sendall(client.recv(100))
        except OSError:
            return

    def begin(family: int, kind: int, address: object) -> None:
        server = socket.socket(family, kind)
        server.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            server.listen()
        servers.append(server)
        threading.Thread(target=answer, args=(server,), daemon=True).start()

    yield begin
    for server in servers:
        server.close()


def test_tcp_leads_into_the_container_and_the_daemon_may_die(
    daemon: Daemon, container: str, serve: Serve
) -> None:
    serve(container, "tcp", 8080)
    port = free_port()
    listen, connect = f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:8080"
    add(daemon, container, "web", "proxy", listen, connect)
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as client:
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"
        daemon.kill()
        client.sendall(b"two\n")
        assert client.recv(100) == b"two\n"
        assert echoed(("127.0.0.1", port)) == b"hello\n"
        daemon.start()
        client.sendall(b"three\n")
        assert client.recv(100) == b"three\n"
    daemon.lxc("config", "device", "remove", container, "web")
    with pytest.raises(ConnectionRefusedError):
        echoed(("127.0.0.1", port))


def test_a_proxy_survives_restarts_and_reboots(daemon: Daemon, container: str, serve: Serve) -> None:
    port = free_port()
    add(daemon, container, "web", "proxy", f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:8080")
    daemon.lxc("restart", "-f", container)
    serve(container, "tcp", 8080)
    assert echoed(("127.0.0.1", port)) == b"hello\n"
    reboot(daemon, container)
    serve(container, "tcp", 8080)
    daemon.lxc("config", "set", container, "user.x", "1")  # waits for what the daemon does after a reboot
    assert echoed(("127.0.0.1", port)) == b"hello\n"
    daemon.lxc("stop", "-f", container)
    with pytest.raises(ConnectionRefusedError):
        echoed(("127.0.0.1", port))


def test_tcp_leads_out_of_the_container(daemon: Daemon, container: str, echo: Echo) -> None:
    port = free_port()
    echo(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
    options = ("bind=container", "listen=tcp:127.0.0.1:7000", f"connect=tcp:127.0.0.1:{port}")
    add(daemon, container, "out", "proxy", *options)
    assert asked(daemon, container, "tcp", 7000) == b"hello"


def test_udp_leads_both_ways(daemon: Daemon, container: str, serve: Serve, echo: Echo) -> None:
    serve(container, "udp", 5353)
    port, other = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    add(daemon, container, "in", "proxy", f"listen=udp:127.0.0.1:{port}", "connect=udp:127.0.0.1:5353")
    assert echoed(("127.0.0.1", port), kind=socket.SOCK_DGRAM) == b"hello\n"
    echo(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", other))
    options = ("bind=container", "listen=udp:127.0.0.1:5354", f"connect=udp:127.0.0.1:{other}")
    add(daemon, container, "out", "proxy", *options)
    assert asked(daemon, container, "udp", 5354) == b"hello"


@pytest.fixture
def neighbour(daemon: Daemon, name: str) -> Iterator[str]:
    """A second container on the bridge, with an address."""
    other = f"n-{name}"[:50].strip("-")
    daemon.lxc("launch", "bb", other)
    daemon.wait_address(other)
    yield other
    daemon.lxc("delete", "-f", other)


def test_the_kernel_leads_ports_to_a_container(
    daemon: Daemon, container: str, neighbour: str, serve: Serve
) -> None:
    daemon.wait_address(container)
    gateway = daemon.lxc("network", "get", daemon.bridge, "ipv4.address").partition("/")[0]
    nat = ("nat=true", "connect=tcp:0.0.0.0:8080")
    port, other = free_port(), free_port()
    ports = f"listen=tcp:0.0.0.0:{port}"
    error = daemon.error("config", "device", "add", container, "web", "proxy", ports, *nat)
    assert '"nat" leads to an address that a nic keeps; set "ipv4.address"' in error
    daemon.lxc("config", "device", "override", container, "eth0", "security.ipv4_filtering=true")
    serve(container, "tcp", 8080)
    add(daemon, container, "web", "proxy", ports, *nat)
    own = daemon.lxc("config", "get", container, "volatile.eth0.ipv4.address").strip()
    assert f"{own} . 8080" in led()
    # From the host, and from another container, to which the answers come back by way of the host.
    assert echoed((gateway, port), say=b"who\n") == gateway.encode()
    assert asked(daemon, neighbour, "tcp", port, gateway) == b"hello"
    # A port has one owner: another container's, or a program of the host.
    daemon.lxc("config", "device", "override", neighbour, "eth0", "security.ipv4_filtering=true")
    error = daemon.error("config", "device", "add", neighbour, "web", "proxy", ports, *nat)
    assert f"cannot listen on tcp port {port}: another proxy" in error and f"{own} . 8080" in led()
    error = daemon.error(
        "config", "device", "add", neighbour, "w2", "proxy", ports, "connect=tcp:127.0.0.1:80"
    )
    assert f"cannot listen on tcp port {port}: another proxy" in error
    with socket.create_server((gateway, other)):
        busy = f"listen=tcp:{gateway}:{other}"
        error = daemon.error("config", "device", "add", container, "web2", "proxy", busy, *nat)
        assert f"cannot listen on tcp port {other}: a program of the host does" in error
    daemon.lxc("restart", "-f", container)
    assert daemon.wait_address(container) == own
    serve(container, "tcp", 8080)
    assert asked(daemon, neighbour, "tcp", port, gateway) == b"hello"
    daemon.lxc("config", "device", "set", container, "web", f"listen=tcp:{gateway}:{other}")
    assert echoed((gateway, other)) == b"hello\n"
    with pytest.raises(ConnectionRefusedError):
        echoed((gateway, port))
    daemon.lxc("stop", "-f", container)
    assert own not in led()


def led() -> str:
    """The ports that the kernel leads to containers."""
    listing = ["nft", "list", "table", "inet", "wardian_ports"]
    return subprocess.run(listing, check=True, capture_output=True, text=True).stdout


def test_socket_files_on_both_sides(daemon: Daemon, container: str, tmp_path: Path, echo: Echo) -> None:
    echo(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "echo"))
    owner = ("uid=1000", "gid=1000", "mode=0660")
    options = ("bind=container", "listen=unix:/run/in.sock", f"connect=unix:{tmp_path}/echo", *owner)
    add(daemon, container, "agent", "proxy", *options)
    assert inside(daemon, container, "stat", "-c", "%F %u:%g %a", "/run/in.sock") == "socket 1000:1000 660"
    # And from the host through both: host file -> container's file -> host's echo.
    front = tmp_path / "front"
    add(
        daemon, container, "front", "proxy", f"listen=unix:{front}", "connect=unix:/run/in.sock", "mode=0600"
    )
    assert stat.S_IMODE(front.stat().st_mode) == 0o600
    assert echoed(str(front), socket.AF_UNIX) == b"hello\n"
    daemon.lxc("config", "device", "remove", container, "front")
    daemon.lxc("config", "device", "remove", container, "agent")
    assert not front.exists()
    assert daemon.run("exec", container, "--", "test", "-e", "/run/in.sock").returncode != 0


def test_links_of_the_container_never_lead_to_the_host(
    daemon: Daemon, container: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(secret))
        server.listen()
        inside(daemon, container, "ln", "-s", str(secret), "/run/link.sock")
        inside(daemon, container, "ln", "-s", str(tmp_path), "/run/folder")
        front = tmp_path / "front"
        add(daemon, container, "front", "proxy", f"listen=unix:{front}", "connect=unix:/run/link.sock")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WITHIN_S)
            client.connect(str(front))
            heard.append(client.recv(10))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert heard == [b""]
    where = ("bind=container", "listen=unix:/run/folder/made.sock", f"connect=unix:{secret}")
    assert "cannot listen" in daemon.error("config", "device", "add", container, "x", "proxy", *where)
    assert not (tmp_path / "made.sock").exists()


def test_an_address_in_use_is_named_and_nothing_is_left(daemon: Daemon, container: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = (f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:80")
        error = daemon.error("config", "device", "add", container, "web", "proxy", *options)
        assert f"cannot listen on tcp:127.0.0.1:{port}: Address already in use" in error
    assert "web:" not in daemon.lxc("config", "show", container)


def test_one_small_process_carries_all_and_goes_with_the_last(daemon: Daemon, container: str) -> None:
    ports = [free_port() for _ in range(3)]
    for number, port in enumerate(ports):
        options = (f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:80")
        add(daemon, container, f"p{number}", "proxy", *options)
    found = forwarders(daemon)
    assert len(found) == 1
    fd = os.pidfd_open(found[0])
    daemon.lxc("stop", "-f", container)
    assert select.select([fd], [], [], WITHIN_S)[0], "the forwarder goes on"
    os.close(fd)


def test_a_lost_forwarder_is_replaced_when_the_daemon_starts(
    daemon: Daemon, container: str, serve: Serve
) -> None:
    serve(container, "tcp", 8080)
    port = free_port()
    add(daemon, container, "web", "proxy", f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:8080")
    daemon.kill()
    (lost,) = forwarders(daemon)
    fd = os.pidfd_open(lost)
    os.kill(lost, signal.SIGKILL)
    assert select.select([fd], [], [], WITHIN_S)[0]
    os.close(fd)
    daemon.start()
    assert echoed(("127.0.0.1", port)) == b"hello\n"


def forwarders(daemon: Daemon) -> list[int]:
    """Pids of this daemon's forwarders: those that hold its control socket."""
    inodes = [
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith(f"{daemon.folder}/lxd/forwarder.socket")
    ]
    found = set()
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if target in [f"socket:[{inode}]" for inode in inodes]:
            found.add(int(path.parts[2]))
    return sorted(found)
