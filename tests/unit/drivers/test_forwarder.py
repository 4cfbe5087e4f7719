"""The forwarder of proxy devices as a process: streams, datagrams, sockets of files, its end."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardian.drivers.devices.forwarding.control import Control
from wardian.model.forwards import End, parse


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path / "control", tmp_path / "log")


class Echo:
    """A server that answers everything with itself, until the test ends."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                if self.server.type == socket.SOCK_DGRAM:
                    data, sender = self.server.recvfrom(65536)
                    self.server.sendto(data, sender)
                    continue
                client, _ = self.server.accept()
                threading.Thread(target=self._echo, args=(client,), daemon=True).start()
        except OSError:
            return

    def _echo(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(65536):
                self.heard.append(data)
                client.sendall(data)


def listening(family: int, kind: int, address: object) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)  # type: ignore[arg-type]
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


@pytest.fixture
def tcp_echo() -> Iterator[Echo]:
    with listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        yield Echo(server)


def add(control: Control, server: socket.socket, end: End, *, announce: bool = False) -> None:
    pidfd = os.pidfd_open(os.getpid())
    spare = [os.open("/", os.O_PATH), os.open("/", os.O_PATH)]
    request = {"init": os.getpid(), "connect": [vars(end)]}
    request |= {"into_container": False, "proxy_protocol": announce}
    asyncio.run(control.add("c1/web", request, [pidfd, *spare, server.fileno()]))
    server.close()
    for fd in (pidfd, *spare):
        os.close(fd)


def target(echo: Echo) -> End:
    host, port = echo.server.getsockname()
    return parse(f"tcp:{host}:{port}")[0]


def received(client: socket.socket) -> bytes:
    parts = []
    while data := client.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def test_a_stream_is_carried_whole_and_its_end_too(control: Control, tcp_echo: Echo) -> None:
    server = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    address = server.getsockname()
    add(control, server, target(tcp_echo))
    data = os.urandom(3 << 20)
    with socket.create_connection(address, timeout=30) as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert received(client) == data
        sender.join()
    asyncio.run(control.remove("c1/web"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=30)


def test_a_removed_device_ends_its_connections_and_the_last_one_the_process(
    control: Control, tcp_echo: Echo, tmp_path: Path
) -> None:
    server = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    address = server.getsockname()
    add(control, server, target(tcp_echo))
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        asyncio.run(control.remove("c1/web"))
        assert client.recv(1) == b""
    assert (tmp_path / "log").read_text() == ""


def test_a_target_that_refuses_ends_the_connection(control: Control) -> None:
    server = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    address = server.getsockname()
    with listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]  # another one than that of the server, which is open
    add(control, server, End("tcp", "127.0.0.1", port))
    with socket.create_connection(address, timeout=30) as client:
        assert client.recv(1) == b""
    asyncio.run(control.remove("c1/web"))


def test_the_target_is_told_who_connects(control: Control, tcp_echo: Echo) -> None:
    server = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    address = server.getsockname()
    add(control, server, target(tcp_echo), announce=True)
    with socket.create_connection(address, timeout=30) as client:
        host, port = client.getsockname()
        expected = f"PROXY TCP4 {host} {address[0]} {port} {address[1]}\r\n".encode()
        client.shutdown(socket.SHUT_WR)
        assert received(client) == expected
    asyncio.run(control.remove("c1/web"))


def test_a_file_of_a_socket_leads_to_another(control: Control, tmp_path: Path) -> None:
    with listening(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "echo")) as own:
        Echo(own)
        server = listening(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "front"))
        add(control, server, End("unix", path=str(tmp_path / "echo")))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "front"))
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert received(client) == b"hello"
        asyncio.run(control.remove("c1/web"))


def test_datagrams_of_several_senders_are_answered_to_each(control: Control) -> None:
    with listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as own:
        Echo(own)
        server = listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        address = server.getsockname()
        host, port = own.getsockname()
        add(control, server, End("udp", host, port))
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(30)
            client.sendto(b"%d" % number, address)
        for number, client in enumerate(clients):
            assert client.recv(10) == b"%d" % number
            client.close()
        asyncio.run(control.remove("c1/web"))
