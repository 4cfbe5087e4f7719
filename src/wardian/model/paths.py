"""Where a daemon keeps its files (spec/behaviour.md section 1)."""

import os
from dataclasses import dataclass
from pathlib import Path

from wardian.errors import InvalidInput

SOCKET_PATH_BYTES = 107
"""unix(7): what fits in sockaddr_un with its final NUL."""


@dataclass(frozen=True)
class Paths:
    """Files and folders of one daemon (spec/behaviour.md section 1)."""

    root: Path
    """LXD_DIR"""
    logs: Path
    cache: Path

    @property
    def socket(self) -> Path:
        return self.root / "unix.socket"

    @property
    def setup_mode(self) -> Path:
        """A daemon that finds this file when it starts waits for `lxd ready`."""
        return self.root / ".setup_mode"

    @property
    def database(self) -> Path:
        return self.root / "lxd.db"

    @property
    def server_certificate(self) -> Path:
        return self.root / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.root / "server.key"

    @property
    def authority(self) -> Path:
        """PKI mode: who must have signed the certificates of clients."""
        return self.root / "server.ca"

    @property
    def revoked(self) -> Path:
        """Of these, those that the authority has taken back."""
        return self.root / "ca.crl"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def containers(self) -> Path:
        """Run-time folders of containers (liblxc's lxcpath)."""
        return self.root / "containers"

    @property
    def snapshots(self) -> Path:
        """Links to the files of snapshots, a folder per container."""
        return self.root / "snapshots"

    @property
    def devices(self) -> Path:
        """What devices of running containers are made of on the host, a folder per container."""
        return self.root / "devices"

    @property
    def forwarder(self) -> Path:
        """Socket of the process that carries the traffic of proxy devices."""
        return self.root / "forwarder.socket"

    @property
    def pools(self) -> Path:
        return self.root / "storage-pools"

    @property
    def backups(self) -> Path:
        """Containers that were packed into files, and files that are being read in."""
        return self.root / "backups"

    @property
    def disks(self) -> Path:
        """Loop files of pools."""
        return self.root / "disks"

    @property
    def devlxd(self) -> Path:
        """Folders with the sockets that containers see at /dev/lxd."""
        return self.root / "devlxd"

    @property
    def networks(self) -> Path:
        """Leases, pid files and configuration of the bridges' dnsmasq."""
        return self.root / "networks"

    @property
    def security(self) -> Path:
        return self.root / "security"

    @classmethod
    def of(cls, lxd_dir: str | None) -> "Paths":
        """The folders for `$LXD_DIR` (None or empty: the system's own); InvalidInput if it is too long."""
        if not lxd_dir:
            return cls(Path("/var/lib/lxd"), Path("/var/log/lxd"), Path("/var/cache/lxd"))
        root = Path(lxd_dir).absolute()
        paths = cls(root, root / "logs", root / "cache")
        if len(os.fsencode(paths.socket)) > SOCKET_PATH_BYTES:
            raise InvalidInput(
                f'the path of "{paths.socket}" is longer than {SOCKET_PATH_BYTES} bytes; '
                "use a shorter LXD_DIR"
            )
        return paths
