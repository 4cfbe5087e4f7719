"""Fixtures of the tests with real containers: they need root, and are left out without it."""

import copy
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.farhost import Far
from tests.system.harness import ROOT, Daemon
from tests.system.imagesite import Site, image_site


def pytest_configure() -> None:
    """Let clients hear Ctrl-C also where a shell has started us in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all; without root they are skipped (run-tests runs them as root)."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root: ./run-tests as root runs it"))


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """A daemon with a btrfs pool, a bridge and the image `bb`."""
    made = Daemon("a")
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def name(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a container, which is gone after the test."""
    plain = "".join(c if c.isalnum() else "-" for c in request.node.name.removeprefix("test_"))
    chosen = f"t-{plain}"[:50].strip("-")
    yield chosen
    if chosen in daemon.names():
        daemon.lxc("delete", "-f", chosen)


@pytest.fixture
def container(daemon: Daemon, name: str) -> str:
    """A running busybox container."""
    daemon.lxc("launch", "bb", name)
    return name


@pytest.fixture
def shared(daemon: Daemon, name: str) -> Path:
    """A folder of the host with a file `hello`."""
    folder = daemon.folder / f"shared-{name}"
    folder.mkdir()
    (folder / "hello").write_text("from the host\n")
    return folder


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    """The other host: it listens, with the image `bb`."""
    made = Far()
    yield made
    made.daemon.close()


@pytest.fixture
def client(daemon: Daemon, far: Far, tmp_path: Path) -> Iterator[Daemon]:
    """A user of this host with an empty folder for the client; nobody is trusted afterwards."""
    user = copy.copy(daemon)
    user.environment = daemon.environment | {"LXD_CONF": str(tmp_path / "conf")}
    yield user
    far.forget_all()


@pytest.fixture
def friend(client: Daemon, far: Far) -> Daemon:
    """One who has added the remote `far`."""
    client.lxc("remote", "add", "far", far.token("friend"))
    return client


@pytest.fixture(scope="session")
def criu() -> None:
    """Have what the daemon looks for; on Debian 12 it comes from the distribution's own mirror."""
    done = subprocess.run([ROOT / "packaging/get-criu"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no CRIU for this machine: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon and an image server for the tests of a file."""
    with image_site("s", tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    """The same, with nothing in either of them after the test."""
    yield whole_site
    for name in whole_site.daemon.names():
        whole_site.daemon.lxc("delete", "-f", name)
    whole_site.forget()
