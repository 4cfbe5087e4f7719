"""A daemon, and an image server that is also reached by the names of the public ones."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import streams
from tests.system import busybox
from tests.system.harness import Daemon
from tests.webserver import Handler, Proxy, WebServer, running

ROOT_FILE = "20160401/root.squashfs"


class Site:
    """A daemon and an image server, which is also reached by the names of the public ones."""

    def __init__(self, daemon: Daemon, server: WebServer, proxy: Proxy) -> None:
        self.daemon, self.server, self.proxy = daemon, server, proxy
        self.images: dict[str, tuple[bytes, bytes]] = {}

    def image(self, label: str, architecture: str = "x86_64") -> tuple[bytes, bytes]:
        """(metadata, squashfs) of a busybox image; made once for a label."""
        if label not in self.images:
            folder = self.daemon.folder / f"tree-{label}"
            busybox.make_tree(folder, label, architecture)
            metadata, rootfs = busybox.split(folder, self.daemon.folder, squashfs=True)
            self.images[label] = metadata.read_bytes(), rootfs.read_bytes()
            shutil.rmtree(folder)
        return self.images[label]

    def offer(self, serial: str = "20160401", label: str = "one", *, at: str = "") -> str:
        """Serve this version of trusty (amd64, i386) below a path; the fingerprint for amd64."""
        files: dict[str, bytes] = {}
        products: dict[str, object] = {}
        for arch, ours in (("amd64", "x86_64"), ("i386", "i686")):
            metadata, rootfs = self.image(f"{label}-{arch}", ours)
            folder = serial if arch == "amd64" else f"{serial}-{arch}"
            files |= {f"{folder}/lxd.tar.xz": metadata, f"{folder}/root.squashfs": rootfs}
            versions = {serial: streams.version(folder, metadata, rootfs)}
            products[f"trusty:{arch}"] = streams.product(versions, arch=arch)
        self.server.content |= streams.web(products, files, at)
        return streams.sha256(*self.image(f"{label}-amd64"))

    def offer_delta(self, old: str = "20160401", new: str = "20160501") -> str:
        """Serve two versions of trusty and the difference between them; the new fingerprint."""
        files: dict[str, bytes] = {}
        versions: dict[str, dict[str, Any]] = {}
        for serial in (old, new):
            metadata, rootfs = self.image(f"delta-{serial}")
            files |= {f"{serial}/lxd.tar.xz": metadata, f"{serial}/root.squashfs": rootfs}
            versions[serial] = streams.version(serial, metadata, rootfs)
        difference = vcdiff(files[f"{old}/root.squashfs"], files[f"{new}/root.squashfs"])
        files[f"{new}/delta.vcdiff"] = difference
        versions[new]["items"]["delta"] = {
            "ftype": "squashfs.vcdiff",
            "path": f"{new}/delta.vcdiff",
            "sha256": streams.sha256(difference),
            "size": len(difference),
            "delta_base": old,
        }
        self.server.content |= streams.web({"trusty:amd64": streams.product(versions)}, files, "")
        return streams.sha256(*self.image(f"delta-{new}"))

    def forget(self) -> None:
        """An empty store and an empty server."""
        for image in json.loads(self.daemon.lxc("image", "list", "--format", "json")):
            self.daemon.lxc("image", "delete", image["fingerprint"])
        self.server.content, self.server.answers = {}, {}
        self.server.requests.clear()
        shutil.rmtree(self.daemon.folder / "client/cache", ignore_errors=True)
        shutil.rmtree(self.daemon.folder / "lxd/cache/streams", ignore_errors=True)


def vcdiff(old: bytes, new: bytes) -> bytes:
    """The difference between two files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("old", old), ("new", new)):
            Path(folder, name).write_bytes(content)
        argv = ["xdelta3", "-e", "-s", "old", "new", "difference"]
        subprocess.run(argv, cwd=folder, check=True)
        return Path(folder, "difference").read_bytes()


@contextlib.contextmanager
def image_site(name: str, folder: Path) -> Iterator[Site]:
    """Both of them; the server is the remote `t:`, trusted through SSL_CERT_FILE."""
    server = WebServer(folder)
    proxy = Proxy(("127.0.0.1", int(server.server_address[1])))
    with running(server), running(proxy):
        daemon = Daemon(name, environment={"SSL_CERT_FILE": str(server.ca), "HTTPS_PROXY": proxy.url})
        daemon.lxc("remote", "add", "t", server.url, "--protocol", "simplestreams")
        try:
            yield Site(daemon, server, proxy)
        finally:
            daemon.close()


def stored(daemon: Daemon) -> set[str]:
    """Names of what is in the store's folder."""
    return {path.name for path in (daemon.folder / "lxd/images").iterdir()}


def image(daemon: Daemon, name: str) -> str:
    return daemon.lxc("image", "info", name)


def refuse(handler: Handler) -> None:
    """Hang up without a word."""
    handler.connection.close()
