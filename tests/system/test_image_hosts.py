"""Images that travel between two hosts: pulled, relayed, public, private; and what launches from them."""

import contextlib
import copy
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import busybox
from tests.system.farhost import Far
from tests.system.harness import Daemon


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    made = Far()
    tree = made.daemon.folder / "split"
    busybox.make_tree(tree, "split")
    parts = made.daemon.folder / "parts"
    parts.mkdir()
    files = busybox.split(tree, parts, squashfs=True)
    made.daemon.lxc("image", "import", *map(str, files), "--alias", "two", "--alias", "zwei", "colour=red")
    yield made
    made.daemon.close()


@pytest.fixture(scope="module")
def near() -> Iterator[Daemon]:
    made = Daemon("i", backend="dir")
    yield made
    made.close()


@pytest.fixture
def user(near: Daemon, far: Far, tmp_path: Path) -> Iterator[Daemon]:
    """A user whom both hosts trust; the near one has no images and containers afterwards."""
    made = copy.copy(near)
    made.environment = near.environment | {"LXD_CONF": str(tmp_path / "conf")}
    made.lxc("remote", "add", "far", far.token("user"))
    yield made
    far.forget_all()
    for name in near.names():
        near.lxc("delete", "-f", name)
    for image in images(near):
        near.lxc("image", "delete", str(image["fingerprint"]))


def images(daemon: Daemon) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(daemon.lxc("image", "list", "--format", "json"))
    return found


def image(daemon: Daemon, name: str) -> dict[str, object]:
    alias = json.loads(daemon.request("GET", f"/1.0/images/aliases/{name}"))["metadata"]
    found: dict[str, object] = json.loads(daemon.request("GET", f"/1.0/images/{alias['target']}"))[
        "metadata"
    ]
    return found


def test_a_private_image_is_pulled_with_its_aliases_and_properties(user: Daemon, far: Far) -> None:
    said = user.lxc("image", "copy", "far:two", "local:", "--copy-aliases", "--alias", "mine")
    assert said == "Image copied successfully!\n"
    mine, theirs = image(user, "mine"), image(far.daemon, "two")
    assert mine["fingerprint"] == theirs["fingerprint"]
    assert {a["name"] for a in mine["aliases"]} == {"mine", "two", "zwei"}  # type: ignore[attr-defined]
    assert mine["properties"] == theirs["properties"]
    assert not mine["public"] and not mine["cached"] and "update_source" not in mine
    user.lxc("launch", "mine", "c1")
    assert user.lxc("exec", "c1", "--", "id", "-u") == "0\n"


def test_the_beginning_of_a_fingerprint_names_an_image(user: Daemon, far: Far) -> None:
    user.lxc("image", "copy", f"far:{far.fingerprint[:5]}", "local:", "--public")
    assert images(user)[0]["fingerprint"] == far.fingerprint
    assert images(user)[0]["public"]


def test_a_launch_from_another_host_caches_its_image(user: Daemon, far: Far) -> None:
    user.lxc("launch", "far:bb", "c1")
    assert images(user)[0]["cached"]
    assert user.lxc("exec", "c1", "--", "echo", "here") == "here\n"


def test_a_public_image_is_kept_up_to_date(user: Daemon, far: Far, tmp_path: Path) -> None:
    busybox.make_tree(tmp_path / "a", "first")
    first = busybox.unified(tmp_path / "a", tmp_path / "a.tar.gz", "-z")
    far.daemon.lxc("image", "import", str(first), "--alias", "moving", "--public")
    user.lxc("image", "copy", "far:moving", "local:", "--alias", "moving", "--auto-update")
    before = image(user, "moving")
    assert before["update_source"]["alias"] == "moving"  # type: ignore[index]
    assert user.lxc("image", "refresh", "moving") == "Image already up to date.\n"
    busybox.make_tree(tmp_path / "b", "second")
    second = busybox.unified(tmp_path / "b", tmp_path / "b.tar.gz", "-z")
    far.daemon.lxc("image", "import", str(second), "--alias", "moving", "--public")
    assert user.lxc("image", "refresh", "moving") == "Image refreshed successfully!\n"
    after = image(user, "moving")
    assert after["fingerprint"] == image(far.daemon, "moving")["fingerprint"] != before["fingerprint"]
    assert len(images(user)) == 1


def test_an_image_of_a_host_without_address_goes_through_the_client(user: Daemon, far: Far) -> None:
    """`local:` does not listen on the network here: far: cannot fetch from it."""
    own = user.import_busybox("own")
    try:
        user.lxc("image", "copy", "own", "far:", "--alias", "sent")
        assert image(far.daemon, "sent")["fingerprint"] == own
        assert "does not listen on the network" in user.error(
            "image", "copy", "own", "far:", "--auto-update"
        )
        user.lxc("launch", "own", "far:c2")
        assert far.daemon.lxc("exec", "c2", "--", "echo", "there") == "there\n"
        far.daemon.lxc("delete", "-f", "c2")
    finally:
        far.daemon.lxc("image", "delete", own)


def test_a_container_is_published_to_another_host(user: Daemon, far: Far) -> None:
    """One way the target fetches the image, the other way it goes through the client."""
    user.import_busybox("published")
    user.lxc("init", "published", "near1", "-t", "c0.5-m0.2")
    assert user.lxc("config", "get", "near1", "limits.memory") == "204MB\n"
    far.daemon.lxc("init", "bb", "far1")
    try:
        for container, target, host in (("near1", "far:", far.daemon), ("far:far1", "local:", user)):
            user.lxc("publish", container, target, "--alias", "sent", "--public", "colour=blue")
            sent = image(host, "sent")
            assert sent["public"] and sent["properties"]["colour"] == "blue"  # type: ignore[index]
            other = user if host is far.daemon else far.daemon
            assert sent["fingerprint"] not in [found["fingerprint"] for found in images(other)]
            host.lxc("image", "delete", "sent")
    finally:
        far.daemon.lxc("delete", "far1")


def test_relay_carries_images_of_two_files(user: Daemon, far: Far) -> None:
    user.lxc("image", "copy", "far:two", "local:", "--mode", "relay", "--alias", "two")
    assert image(user, "two")["fingerprint"] == image(far.daemon, "two")["fingerprint"]
    assert image(user, "two")["properties"]["colour"] == "red"  # type: ignore[index]


def test_a_guest_gets_public_images_only(user: Daemon, far: Far) -> None:
    user.lxc("remote", "add", "open", far.url, "--public", "--accept-certificate")
    assert "not found" in user.error("image", "copy", "open:two", "local:")
    far.daemon.lxc("image", "edit", "bb", stdin="public: true\nproperties: {}\nauto_update: false\n")
    try:
        user.lxc("image", "copy", "open:bb", "local:")
        assert images(user)[0]["fingerprint"] == far.fingerprint
    finally:
        far.daemon.lxc("image", "edit", "bb", stdin="public: false\nproperties: {}\nauto_update: false\n")


def test_a_wrong_secret_opens_nothing_and_is_not_shown(user: Daemon, far: Far, tmp_path: Path) -> None:
    pem = (tmp_path / "conf/servercerts/far.crt").read_text()
    body = {
        "source": {
            "type": "image",
            "mode": "pull",
            "protocol": "lxd",
            "server": far.url,
            "fingerprint": far.fingerprint,
            "certificate": pem,
            "secret": "5ec4e7" * 8,
        }
    }
    started = json.loads(user.request("POST", "/1.0/images", json.dumps(body)))
    ended = json.loads(user.request("GET", f"{started['operation']}/wait"))["metadata"]
    assert "is it public?" in ended["err"]
    assert "5ec4e7" not in ended["err"] + user.log()
    body["source"]["secret"] = "a&b"
    assert "is not a secret" in _error(user, body)
    body["source"] |= {"secret": "", "certificate": ""}
    assert "certificate that is not trusted" in _error(user, body)


def _error(user: Daemon, body: dict[str, dict[str, str]]) -> str:
    started = json.loads(user.request("POST", "/1.0/images", json.dumps(body)))
    if started["type"] == "error":
        return str(started["error"])
    return str(json.loads(user.request("GET", f"{started['operation']}/wait"))["metadata"]["err"])


def test_aliases_are_renamed(user: Daemon) -> None:
    fingerprint = user.import_busybox("old")
    user.lxc("image", "alias", "rename", "old", "new")
    assert image(user, "new")["fingerprint"] == fingerprint
    assert "not found" in user.error("image", "alias", "rename", "old", "newer")


def test_nothing_of_a_broken_transfer_is_kept(user: Daemon, far: Far) -> None:
    """The other host's file is not what its record says any more."""
    path = far.daemon.folder / "lxd/images" / far.fingerprint
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-7])
        assert "fingerprints don't match" in user.error("image", "copy", "far:bb", "local:")
        path.write_bytes(whole + b"more")
        assert "is larger than" in user.error("image", "copy", "far:bb", "local:")
        assert "fingerprints don't match" in user.error(
            "image", "copy", "far:bb", "local:", "--mode", "relay"
        )
    finally:
        path.write_bytes(whole)
    assert images(user) == []
    left = subprocess.run(["ls", "-A", user.folder / "lxd/images"], capture_output=True, check=True)
    assert left.stdout == b""


class Breaking:
    """A way to a host that breaks the first connection that has brought so many bytes."""

    def __init__(self, port: int, limit: int) -> None:
        self._port, self._limit, self.broken = port, limit, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._port))
                for source, target, counts in ((ours, there, False), (there, ours, True)):
                    threading.Thread(target=self._pass, args=(source, target, counts), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                target.sendall(data)
                passed += len(data)
                if counts and not self.broken and passed > self._limit:
                    self.broken += 1
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


def test_a_private_image_of_two_files_goes_on_where_its_way_broke(user: Daemon, far: Far) -> None:
    fingerprint = image(far.daemon, "two")["fingerprint"]
    way = Breaking(far.port, 200_000)

    def fetched(secret: str) -> dict[str, object]:
        certificate = json.loads(far.daemon.request("GET", "/1.0"))["metadata"]["environment"]["certificate"]
        source = {"type": "image", "mode": "pull", "protocol": "lxd", "server": way.url, "secret": secret}
        body = {"source": {**source, "fingerprint": fingerprint, "certificate": certificate}}
        begun = json.loads(user.request("POST", "/1.0/images", json.dumps(body)))
        ended: dict[str, object] = json.loads(user.request("GET", f"{begun['operation']}/wait"))["metadata"]
        return ended

    given = json.loads(far.daemon.request("POST", f"/1.0/images/{fingerprint}/secret"))["metadata"]
    try:
        assert fetched(given["metadata"]["secret"])["err"] == ""
    finally:
        way.close()
    assert way.broken == 1
    assert [found["fingerprint"] for found in images(user)] == [fingerprint]
    used = json.loads(far.daemon.request("GET", f"/1.0/operations/{given['id']}"))
    assert used["metadata"] is None or used["metadata"]["status"] == "Cancelled"
