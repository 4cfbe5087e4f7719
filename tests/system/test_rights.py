"""Clients that may not do everything: read-only ones, those of some containers, and an authority's own."""

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pki import Signer
from tests.system.farhost import Far
from tests.system.harness import Daemon

CONF = "conf"


@pytest.fixture(scope="module")
def used(far: Far) -> Iterator[Far]:
    """The other host with the running containers c1 and c2."""
    for name in ("c1", "c2"):
        far.daemon.lxc("launch", "bb", name)
    yield far
    for name in ("c1", "c2"):
        far.daemon.lxc("delete", "-f", name)


def asks(far: Far, folder: Path, verb: str, path: str, body: str = "") -> int:
    """The status that the client whose files are in the folder gets."""
    identity = ("--cert", str(folder / "client.crt"), "--key", str(folder / "client.key"))
    return far.ask(path, "-X", verb, *identity, *(("-d", body) if body else ()))[0]


def test_a_client_of_one_container_uses_it_and_knows_of_no_other(
    client: Daemon, used: Far, tmp_path: Path
) -> None:
    client.lxc("remote", "add", "far", used.token("intern", "--containers", "c1"))
    assert client.lxc("list", "far:", "-c", "ns", "--format", "csv") == "c1,RUNNING\n"
    assert client.lxc("exec", "far:c1", "--", "hostname").strip() == "c1"
    (tmp_path / "file").write_text("hello\n")
    client.lxc("file", "push", str(tmp_path / "file"), "far:c1/root/file")
    assert client.lxc("file", "pull", "far:c1/root/file", "-") == "hello\n"
    client.lxc("snapshot", "far:c1", "before")
    client.lxc("exec", "far:c1", "--", "rm", "/root/file")
    client.lxc("restore", "far:c1", "before")
    assert client.lxc("exec", "far:c1", "--", "cat", "/root/file") == "hello\n"
    client.lxc("restart", "-f", "far:c1")
    client.lxc("export", "far:c1", str(tmp_path / "c1.tar.gz"))
    client.lxc("delete", "far:c1/before")
    assert "Status: Running" in client.lxc("info", "far:c1")

    assert 'container "c2" not found' in client.error("exec", "far:c2", "--", "true")
    assert 'container "c2" not found' in client.error("info", "far:c2")
    refused = "may only use the containers c1 as they are set up"
    for words in (
        ("launch", "far:bb", "far:c3"),
        ("copy", "far:c1", "far:c3"),
        ("move", "far:c1", "far:c3"),
        ("profile", "list", "far:"),
        ("config", "device", "add", "far:c1", "all", "disk", "source=/", "path=/host"),
        ("config", "set", "far:c1", "security.privileged", "true"),
        ("config", "trust", "add", "far:", "--name", "friend"),
        ("config", "set", "far:", "core.trust_password", "x"),
        ("network", "list", "far:"),
        ("storage", "list", "far:"),
    ):
        said = client.error(*words)
        assert refused in said or "may not change how containers are set up" in said, words
    assert asks(used, tmp_path / CONF, "DELETE", "/1.0/containers/c1") == 403
    assert used.daemon.names("ns") == ["c1,RUNNING", "c2,RUNNING"]


def test_a_client_that_may_only_look_changes_and_enters_nothing(
    client: Daemon, used: Far, tmp_path: Path
) -> None:
    client.lxc("remote", "add", "far", used.token("monitor", "--read-only"))
    assert client.lxc("list", "far:", "-c", "n", "--format", "csv") == "c1\nc2\n"
    assert "Status: Running" in client.lxc("info", "far:c1")
    assert "core.https_address" in client.lxc("config", "show", "far:")
    assert "default" in client.lxc("profile", "list", "far:")
    for words in (
        ("exec", "far:c1", "--", "true"),
        ("stop", "-f", "far:c1"),
        ("file", "pull", "far:c1/etc/hostname", "-"),
        ("file", "push", str(tmp_path), "far:c1/root/x", "-r"),
        ("console", "far:c1", "--show-log"),
        ("config", "set", "far:c1", "user.x", "1"),
        ("snapshot", "far:c1"),
        ("publish", "--force", "far:c1", "far:"),
        ("config", "trust", "add", "far:", "--name", "friend"),
    ):
        assert "not authorized: this client may only look" in client.error(*words), words
    recorded = {"command": ["echo", "secret"], "record-output": True, "wait-for-websocket": False}
    operation = json.loads(used.daemon.request("POST", "/1.0/containers/c1/exec", json.dumps(recorded)))
    used.daemon.request("GET", f"{operation['operation']}/wait")
    told = json.loads(used.daemon.request("GET", "/1.0/containers/c1/logs"))["metadata"]
    inside = [path for path in told if path.rpartition("/")[2].startswith(("exec_", "console"))]
    assert inside
    for path in told:
        assert asks(used, tmp_path / CONF, "GET", path) == (403 if path in inside else 200)
    image = f"/1.0/images/{used.fingerprint}/export"
    assert asks(used, tmp_path / CONF, "GET", image) == 404  # as for any guest
    assert used.daemon.names("ns") == ["c1,RUNNING", "c2,RUNNING"]


def test_rights_that_are_taken_away_are_gone_at_once(client: Daemon, used: Far) -> None:
    client.lxc("remote", "add", "far", used.token("laptop"))
    client.lxc("exec", "far:c2", "--", "true")
    (known,) = json.loads(used.daemon.lxc("config", "trust", "list", "--format", "json"))
    assert (known["read_only"], known["containers"]) == (False, None)
    shown = used.daemon.lxc("config", "trust", "show", known["fingerprint"][:12])
    changed = shown.replace("containers: null", "containers: [c1]")
    kept = [line for line in changed.splitlines() if line.split(":")[0] in ("name", "type", "containers")]
    used.daemon.lxc("config", "trust", "edit", known["fingerprint"][:12], stdin="\n".join(kept))
    assert 'container "c2" not found' in client.error("exec", "far:c2", "--", "true")
    client.lxc("exec", "far:c1", "--", "true")
    assert used.daemon.lxc("config", "trust", "list", "--format", "csv").strip().endswith(",c1")


@pytest.fixture
def certified(used: Far, tmp_path: Path) -> Iterator[Signer]:
    """The authority that has signed what the other host shows, and all that it trusts."""
    signer = Signer()
    place = used.daemon.folder / "lxd"
    made = signer.sign(tmp_path / "server", "server", address="127.0.0.1")
    kept = {name: (place / name).read_bytes() for name in ("server.crt", "server.key")}
    (place / "server.ca").write_bytes(signer.pem)
    (place / "server.crt").write_bytes(made.read_bytes())
    (place / "server.key").write_bytes(made.with_suffix(".key").read_bytes())
    used.daemon.kill()
    used.daemon.start()
    yield signer
    (place / "server.ca").unlink()
    (place / "ca.crl").unlink(missing_ok=True)
    for name, content in kept.items():
        (place / name).write_bytes(content)
    used.daemon.kill()
    used.daemon.start()


def test_an_authority_of_ones_own_stands_for_servers_and_clients(
    client: Daemon, used: Far, certified: Signer, tmp_path: Path
) -> None:
    assert "only CA-signed certificates will be allowed" in used.daemon.log()
    conf = tmp_path / CONF
    mine = certified.sign(conf, "client")
    (conf / "client.ca").write_bytes(certified.pem)
    used.daemon.lxc("config", "set", "core.trust_password", "sesame")
    # Nobody is asked about the server's certificate, and none is pinned: the authority vouches for it.
    client.lxc("remote", "add", "far", used.url, "--password", "sesame")
    assert not list(conf.glob("servercerts/*"))
    assert client.lxc("exec", "far:c1", "--", "hostname").strip() == "c1"

    # Another who knows the password, and whom the authority has not signed.
    other = copy.copy(client)
    other.environment = client.environment | {"LXD_CONF": str(tmp_path / "other")}
    said = other.error("remote", "add", "far", used.url, "--accept-certificate", "--password", "sesame")
    assert "not signed by the authority" in said

    # One who was trusted before is not, and one whose certificate is taken back is out at once.
    (used.daemon.folder / "lxd/ca.crl").write_bytes(certified.take_back("client"))
    assert "not authorized" in client.error("list", "far:")
    (used.daemon.folder / "lxd/ca.crl").unlink()
    assert "c1" in client.lxc("list", "far:")
    assert mine.exists()
    used.daemon.lxc("config", "unset", "core.trust_password")


def test_a_server_that_the_authority_has_not_signed_is_not_talked_to(
    client: Daemon, used: Far, tmp_path: Path
) -> None:
    conf = tmp_path / CONF
    conf.mkdir()
    (conf / "client.ca").write_bytes(Signer().pem)
    for words in ((), ("--accept-certificate",)):
        said = client.error("remote", "add", "far", used.url, "--password", "x", *words)
        assert "cannot be verified" in said or "NACKed" in said
    assert "far" not in client.lxc("remote", "list", "--format", "csv")
    with contextlib.suppress(FileNotFoundError):
        assert not list((conf / "servercerts").iterdir())
