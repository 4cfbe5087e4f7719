"""The other host: a daemon that listens on the network."""

import json
import socket
import subprocess

from tests.system.harness import Daemon


def free_port() -> int:
    """A port that nobody listens on, on both families."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])


class Far:
    """The other host: a daemon that listens on the network."""

    def __init__(self) -> None:
        self.port = free_port()
        self.daemon = Daemon("r", backend="dir")
        self.fingerprint = self.daemon.import_busybox("bb")
        self.listen(f"127.0.0.1:{self.port}")

    def listen(self, address: str) -> None:
        self.daemon.lxc("config", "set", "core.https_address", address)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def token(self, name: str, *words: str) -> str:
        """A join token for a client of this name."""
        return self.daemon.lxc("config", "trust", "add", "--name", name, *words).strip()

    def forget_all(self) -> None:
        """Trust nobody."""
        for one in json.loads(self.daemon.lxc("config", "trust", "list", "--format", "json")):
            self.daemon.lxc("config", "trust", "remove", one["fingerprint"])

    def ask(self, path: str, *words: str) -> tuple[int, str]:
        """(status, body) that somebody without a certificate gets."""
        argv = ["curl", "-sk", "-o", "-", "-w", "\n%{http_code}", *words, self.url + path]
        said = subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout.decode()
        body, _, status = said.rpartition("\n")
        return int(status), body
