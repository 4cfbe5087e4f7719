"""The REST API as programs use it, without our client between."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system.harness import Daemon
from wardian.linux import keypair


class Answer(NamedTuple):
    """status, headers (lower case), and the body: decoded if it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def metadata(self) -> Any:
        """What was asked for."""
        assert self.status < 300, self.body
        return self.body["metadata"]


class Api:
    """Requests to a daemon's socket."""

    def __init__(self, daemon: Daemon) -> None:
        self._path = str(daemon.folder / "lxd/unix.socket")

    def ask(
        self, verb: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; a body that is not text is sent as JSON."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self._path)
            connection = http.client.HTTPConnection("lxd")
            connection.sock = sock
            raw = body if isinstance(body, str | bytes | None) else json.dumps(body)
            connection.request(verb, path, raw, dict(headers or {}))
            reply = connection.getresponse()
            content = reply.read()
            kind = reply.headers.get("Content-Type", "")
            shown = json.loads(content) if kind.startswith("application/json") and content else content
            return Answer(reply.status, {k.lower(): v for k, v in reply.headers.items()}, shown)

    def run(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        """The operation that the request began, when it has ended."""
        begun = self.ask(verb, path, body)
        assert begun.status == 202, begun.body
        ended: dict[str, Any] = self.ask("GET", f"{begun.body['operation']}/wait").metadata
        return ended


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> Api:
    return Api(daemon)


def a_certificate(path: Path) -> str:
    """A new certificate, as PEM."""
    keypair.create(path, path.with_suffix(".key"), keypair.Subject("somebody", server=False))
    return path.read_text()


@pytest.fixture
def one_of_each(daemon: Daemon, api: Api, name: str) -> Iterator[list[str]]:
    """Addresses of an object of each kind."""
    daemon.lxc("init", "bb", name)
    daemon.lxc("snapshot", name, "s 0")
    volumes = "/1.0/storage-pools/default/volumes/custom"
    api.ask("POST", volumes, {"name": "v-api", "description": "of the test"})
    api.run("POST", f"{volumes}/v-api/snapshots", {"name": "s0"})
    pem = a_certificate(daemon.folder / "somebody")
    made = api.ask("POST", "/1.0/certificates", {"type": "client", "certificate": pem, "name": "somebody"})
    trusted = made.headers["location"]
    yield [
        "/1.0",
        f"/1.0/containers/{name}",
        f"/1.0/instances/{name}?recursion=1",
        f"/1.0/containers/{name}/snapshots/s%200",
        "/1.0/profiles/default",
        f"/1.0/networks/{daemon.bridge}",
        "/1.0/storage-pools/default",
        f"{volumes}/v-api",
        f"{volumes}/v-api/snapshots/s0",
        api.ask("GET", "/1.0/images").metadata[0],
        "/1.0/images/aliases/bb",
        trusted,
    ]
    api.ask("DELETE", trusted)
    api.ask("DELETE", f"{volumes}/v-api")


def test_every_object_is_taken_back_as_it_was_given(api: Api, one_of_each: list[str]) -> None:
    for url in one_of_each:
        path = url.partition("?")[0]
        given = api.ask("GET", url)
        for verb in ("PUT", "PATCH"):
            stale = api.ask(verb, path, given.metadata, {"If-Match": "another"})
            assert (stale.status, stale.body["error_code"]) == (412, 412), (verb, url)
            taken = api.ask(verb, path, given.metadata, {"If-Match": given.headers["etag"]})
            assert taken.status in (200, 202), (verb, url, taken.body)
            if taken.status == 202:
                assert api.ask("GET", f"{taken.body['operation']}/wait").metadata["err"] == ""
            after = api.ask("GET", url)
            assert after.headers["etag"] == given.headers["etag"], (verb, url)
            assert after.metadata == given.metadata, (verb, url)


def test_what_can_be_written_of_snapshots_of_volumes_and_of_certificates(
    api: Api, one_of_each: list[str], tmp_path: Path
) -> None:
    snapshot, trusted = one_of_each[8], one_of_each[-1]
    assert api.run("PATCH", snapshot, {"description": "other"})["err"] == ""
    assert api.ask("GET", snapshot).metadata["description"] == "other"
    refused = api.ask("PUT", snapshot, {"config": {"size": "1MB"}})
    assert refused.status == 400 and "only its description" in refused.body["error"]
    assert api.ask("PUT", trusted, {"name": "other", "type": "client"}).status == 200
    assert api.ask("GET", trusted).metadata["name"] == "other"
    pem = a_certificate(tmp_path / "other")
    for wrong in ({"name": "a/b"}, {"name": ""}, {"certificate": pem}, {"type": "server"}):
        assert api.ask("PATCH", trusted, wrong).status == 400, wrong


def test_what_an_image_or_a_container_cannot_be_made_from(api: Api, name: str) -> None:
    image = api.ask("POST", "/1.0/images", {"source": {"type": "nonsense"}})
    assert (image.status, image.body["error"]) == (500, "Invalid images JSON")
    for source, status, error in (
        ({"type": "nonsense"}, 400, "unknown source type nonsense"),
        ({"type": "migration", "mode": "relay"}, 501, "source.mode"),
    ):
        made = api.ask("POST", "/1.0/containers", {"name": name, "source": source})
        assert (made.status, made.body["error_code"]) == (status, status), source
        assert error in made.body["error"]


def test_the_hardware_of_the_host(api: Api) -> None:
    found = api.ask("GET", "/1.0/resources").metadata
    threads = [t for s in found["cpu"]["sockets"] for core in s["cores"] for t in core["threads"]]
    assert len(threads) == found["cpu"]["total"] >= len(os.sched_getaffinity(0))
    assert 0 < found["memory"]["used"] < found["memory"]["total"]
    space = api.ask("GET", "/1.0/storage-pools/default/resources").metadata["space"]
    assert 0 < space["used"] < space["total"]


VERBS = {
    ("HEAD", "/1.0"): 404,
    ("HEAD", "/1.0/containers"): 404,
    ("TRACE", "/1.0"): 404,
    ("MADEUP", "/1.0"): 404,
    ("CONNECT", "/1.0"): 404,
    ("DELETE", "/1.0"): 501,
    ("POST", "/1.0/operations"): 501,
    ("PUT", "/1.0/containers"): 501,
    ("GET", "/1.0/"): 404,
    ("GET", "/2.0"): 404,
}


def test_what_is_not_there_is_said_in_the_same_shape_whoever_refuses(api: Api) -> None:
    for (verb, path), status in VERBS.items():
        answer = api.ask(verb, path)
        assert answer.status == status, (verb, path)
        assert answer.headers["content-type"] == "application/json", (verb, path)
        if verb != "HEAD":
            text = {404: "not found", 501: "not implemented"}[status]
            assert answer.body == {"type": "error", "error": text, "error_code": status}, (verb, path)
    large = api.ask("GET", "/1.0", headers={"X-Large": "x" * 10000})
    assert (large.status, large.body["type"]) == (400, "error")


def test_names_with_spaces_logs_that_are_gone_and_a_folder_in_the_way(
    daemon: Daemon, api: Api, name: str
) -> None:
    body = {"name": name, "source": {"type": "none"}, "config": {"raw.lxc": "lxc.hook.clone=/bin/true"}}
    assert api.run("POST", "/1.0/containers", body)["err"] == ""
    url = f"/1.0/containers/{name}"
    assert api.ask("GET", url).metadata["config"]["raw.lxc"] == "lxc.hook.clone=/bin/true"
    taken = api.run("POST", f"{url}/snapshots", {"name": "before lunch"})
    assert taken["resources"]["containers"] == [f"{url}/snapshots/before%20lunch"]
    assert api.ask("GET", taken["resources"]["containers"][0]).metadata["name"] == f"{name}/before lunch"
    assert api.ask("DELETE", f"{url}/logs/migration_x.log").status == 404
    in_the_way = api.ask("POST", f"{url}/files?path=/", "content")
    assert (in_the_way.status, in_the_way.body["error"]) == (500, "Path already exists as a directory")


def test_collections_are_filtered(daemon: Daemon, api: Api, name: str) -> None:
    daemon.lxc("init", "bb", name, "-c", "user.kind=a b")
    url = f"/1.0/instances/{name}"
    path = "/1.0/instances?filter="
    assert api.ask("GET", f"{path}name%20eq%20%5E{name[:-1]}").metadata == [url]
    by_key = api.ask("GET", f'{path}config.user.kind+eq+"a+b"&recursion=2'.replace('"', "%22")).metadata
    assert [one["name"] for one in by_key] == [name] and "state" in by_key[0]
    assert api.ask("GET", f"{path}name+eq+{name}+and+status+eq+Running&recursion=1").metadata == []
    assert "FIELD eq VALUE" in api.ask("GET", f"{path}name").body["error"]
    assert len(api.ask("GET", "/1.0/images?filter=properties.os+eq+busybox").metadata) == 1
    assert api.ask("GET", "/1.0/images?filter=properties.os+eq+other&recursion=1").metadata == []


def test_requests_as_later_clients_write_them(daemon: Daemon, api: Api, name: str) -> None:
    nothing = {"name": "", "type": "", "pool": "", "certificate": "", "mode": "", "secrets": None}
    volumes = "/1.0/storage-pools/default/volumes/custom"
    made = api.ask("POST", volumes, {"name": "v-later", "source": nothing, "content_type": "filesystem"})
    assert made.status == 201, made.body
    assert api.ask("DELETE", f"{volumes}/v-later").status == 200
    bridge = {"name": f"{daemon.bridge}b", "type": "", "config": {"ipv4.address": "none"}}
    assert api.ask("POST", "/1.0/networks", bridge).status == 201
    assert api.ask("DELETE", f"/1.0/networks/{bridge['name']}").status == 200
    daemon.lxc("init", "bb", name)
    packed = api.run("POST", f"/1.0/instances/{name}/backups", {"name": "", "expires_at": None})
    assert packed["resources"]["backups"] == ["/1.0/backups/backup0"]
    source = {"type": "copy", "source": name, "refresh": True}
    present = api.ask("GET", f"/1.0/instances/{name}").metadata
    changes: list[tuple[dict[str, Any], str]] = [({}, ""), ({"profiles": []}, "lxc config")]
    for change, words in changes:
        body = {**{key: present[key] for key in ("config", "devices", "profiles")}, **change}
        begun = api.ask("POST", "/1.0/instances", {"name": f"{name}-2", "source": source, **body})
        assert words in begun.body.get("error", ""), begun.body
        if begun.status == 202:
            api.ask("GET", f"{begun.body['operation']}/wait")
            again = api.run("POST", "/1.0/instances", {"name": f"{name}-2", "source": source, **body})
            assert again["err"] == ""
    daemon.lxc("delete", f"{name}-2")


def test_a_body_without_volatile_keys_leaves_what_is_true_of_a_running_container(
    daemon: Daemon, api: Api, container: str
) -> None:
    url = f"/1.0/containers/{container}"
    before = api.ask("GET", url).metadata["config"]
    assert api.run("PUT", url, {"profiles": ["default"], "config": {}, "devices": {}})["err"] == ""
    after = api.ask("GET", url).metadata["config"]
    facts = ("volatile.eth0.host_name", "volatile.last_state.power", "volatile.last_state.idmap")
    assert {key: after[key] for key in facts} == {key: before[key] for key in facts}
    nic = {
        "type": "nic",
        "nictype": "bridged",
        "parent": daemon.bridge,
        "name": "eth0",
        "limits.max": "1Mbit",
    }
    assert api.run("PUT", url, {"profiles": ["default"], "devices": {"eth0": nic}})["err"] == ""
