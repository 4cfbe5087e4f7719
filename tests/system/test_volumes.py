"""Custom volumes: made, shown in real containers, kept, given back."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon


@pytest.fixture(scope="module", params=["btrfs", "overlay", "dir"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    made = Daemon("vol", backend=request.param)
    made.import_busybox()
    yield made
    made.close()


@pytest.fixture
def here(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon; containers and volumes of the test are gone afterwards."""
    yield daemon
    for name in daemon.names():
        daemon.lxc("delete", "-f", name)
    for line in daemon.lxc("storage", "volume", "list", "default", "--format", "csv").splitlines():
        daemon.lxc("storage", "volume", "delete", "default", line.split(",")[1])
    for folder in ("custom", "custom-snapshots"):
        left = daemon.folder / "lxd/storage-pools/default" / folder
        assert not [path for path in left.iterdir() if any(path.iterdir())]


def inside(daemon: Daemon, name: str, script: str) -> str:
    return daemon.lxc("exec", name, "--", "sh", "-c", script).strip()


def volume(daemon: Daemon, *words: str) -> str:
    action, *rest = words
    return daemon.lxc("storage", "volume", action, "default", *rest)


def on_host(daemon: Daemon, name: str) -> Path:
    place = daemon.folder / "lxd/storage-pools/default/custom" / name
    return place / "volume" if (place / "volume").is_dir() else place


def test_a_volume_is_shared_by_containers_with_their_own_ids(here: Daemon) -> None:
    volume(here, "create", "data")
    here.lxc("launch", "bb", "c1")
    here.lxc("init", "bb", "c2", "-c", "security.privileged=true")
    volume(here, "attach", "data", "c1", "/srv/data")
    volume(here, "attach", "data", "c2", "files", "/mnt")
    here.lxc("start", "c2")
    inside(here, "c1", "echo shared > /srv/data/f && chown 1000:1001 /srv/data/f")
    assert inside(here, "c2", "cat /mnt/f; stat -c %u:%g /mnt/f").split() == ["shared", "1000:1001"]
    found = (on_host(here, "data") / "f").stat()
    assert (found.st_uid, found.st_gid) == (1000, 1001), "owners on disk are unshifted"
    volume(here, "detach", "data", "c1")
    assert inside(here, "c1", "ls /srv/data") == ""
    here.lxc("restart", "-f", "c2")
    assert inside(here, "c2", "cat /mnt/f") == "shared"


def test_a_volume_outlives_its_containers(here: Daemon) -> None:
    volume(here, "create", "data")
    here.lxc("launch", "bb", "c1")
    volume(here, "attach", "data", "c1", "/data")
    inside(here, "c1", "echo kept > /data/f")
    assert "c1" in here.error("storage", "volume", "delete", "default", "data")
    assert "c1" in here.error("storage", "volume", "rename", "default", "data", "other")
    here.lxc("delete", "-f", "c1")
    volume(here, "snapshot", "data", "before")
    volume(here, "rename", "data", "other")
    here.kill()
    here.start()
    here.lxc("launch", "bb", "c2")
    volume(here, "attach", "other", "c2", "/data")
    assert inside(here, "c2", "cat /data/f") == "kept"
    assert "before" in volume(here, "info", "other")


def test_snapshots_of_volumes_are_taken_and_restored(here: Daemon) -> None:
    volume(here, "create", "data")
    here.lxc("launch", "bb", "c1")
    volume(here, "attach", "data", "c1", "/data")
    inside(here, "c1", "echo one > /data/f; mkdir /data/rootfs; echo x > /data/rootfs/x")
    volume(here, "snapshot", "data")
    inside(here, "c1", "echo two > /data/f; rm -r /data/rootfs")
    volume(here, "snapshot", "data", "second")
    assert "in use" in here.error("storage", "volume", "restore", "default", "data", "snap0")
    here.lxc("stop", "-f", "c1")
    volume(here, "restore", "data", "snap0")
    here.lxc("start", "c1")
    assert inside(here, "c1", "cat /data/f /data/rootfs/x").split() == ["one", "x"]
    volume(here, "copy", "data/second", "copied")
    volume(here, "attach", "copied", "c1", "/copied")
    assert inside(here, "c1", "cat /copied/f") == "two"
    volume(here, "delete", "data/second")
    assert "second" not in volume(here, "info", "data")


def test_volumes_and_snapshots_get_other_names_and_pools(here: Daemon) -> None:
    here.lxc("storage", "create", "second", "overlay")
    volume(here, "create", "data")
    (on_host(here, "data") / "f").write_text("first")
    volume(here, "snapshot", "data", "s1")
    volume(here, "rename", "data/s1", "s2")
    (on_host(here, "data") / "f").write_text("second")
    volume(here, "copy", "data/s2", "second/data")
    volume(here, "move", "data", "second/moved")
    assert not (here.folder / "lxd/storage-pools/default/custom/data").exists()
    second = here.folder / "lxd/storage-pools/second/custom"
    assert [(second / n / "volume/f").read_text() for n in ("data", "moved")] == ["first", "second"]
    here.lxc("storage", "volume", "restore", "second", "moved", "s2")
    assert (second / "moved/volume/f").read_text() == "first"
    here.lxc("storage", "volume", "move", "second/moved", "default/data")
    assert (on_host(here, "data") / "f").read_text() == "first"
    here.lxc("storage", "volume", "delete", "second", "data")
    here.lxc("storage", "delete", "second")


@pytest.mark.parametrize("action", ["copy", "move"])
def test_what_takes_long_is_cancelled_and_leaves_nothing(here: Daemon, action: str) -> None:
    here.lxc("storage", "create", "second", "overlay")
    volume(here, "create", "data")
    (on_host(here, "data") / "big").write_bytes(os.urandom(1 << 20) * 150)
    volume(here, "snapshot", "data", "s1")
    before = volume(here, "list", "--format", "csv")
    url = "/1.0/storage-pools/{}/volumes/custom"
    copy: dict[str, object] = {"name": "data", "source": {"type": "copy", "name": "data", "pool": "default"}}
    tried: dict[str, tuple[str, dict[str, object]]] = {
        "copy": (url.format("second"), copy),
        "move": (f"{url.format('default')}/data", {"name": "data", "pool": "second"}),
    }
    place, body = tried[action]
    begun = json.loads(here.request("POST", place, json.dumps(body)))
    here.request("DELETE", begun["operation"])
    assert json.loads(here.request("GET", f"{begun['operation']}/wait"))["metadata"]["status"] == "Cancelled"
    assert volume(here, "list", "--format", "csv") == before
    assert here.lxc("storage", "volume", "list", "second", "--format", "csv") == ""
    pool = here.folder / "lxd/storage-pools/second"
    assert not [*(pool / "custom").iterdir(), *(pool / "custom-snapshots").iterdir()]
    said = json.loads(here.request("POST", place, json.dumps({**body, "name": "../x"})))
    assert said["error_code"] == 400, "what is wrong is refused at once"
    here.lxc("storage", "delete", "second")


def test_wrong_volumes_are_refused(here: Daemon) -> None:
    here.lxc("init", "bb", "c1")
    assert "no volume" in here.error("storage", "volume", "attach", "default", "nothing", "c1", "/x")
    for name in ("..", "a/b", ".tmp-x", ""):
        assert here.error("storage", "volume", "create", "default", name)
    volume(here, "create", "data", "user.a=b")
    assert volume(here, "get", "data", "user.a") == "b\n"
    assert "already" in here.error("storage", "volume", "create", "default", "data")
    assert "unknown key" in here.error("storage", "volume", "set", "default", "data", "sice", "1")
    assert "volumes/custom/data" in here.error("storage", "delete", "default")
    assert os.listdir(on_host(here, "data")) == []


def test_snapshots_of_volumes_are_operations_as_later_clients_expect(here: Daemon) -> None:
    volume(here, "create", "v1")
    path = "/1.0/storage-pools/default/volumes/custom/v1"

    def done(verb: str, place: str, body: dict[str, object] | None = None) -> dict[str, object]:
        said = json.loads(here.request(verb, place, json.dumps(body) if body is not None else ""))
        assert said["status_code"] == 100, said
        ended = json.loads(here.request("GET", f"{said['operation']}/wait"))["metadata"]
        assert ended["status_code"] == 200, ended
        return dict(ended["resources"])

    sent: dict[str, object] = {"name": "", "expires_at": None}
    assert done("POST", f"{path}/snapshots", sent)["storage_volume_snapshots"] == [f"{path}/snapshots/snap0"]
    done("POST", f"{path}/snapshots/snap0", {"name": "kept"})
    done("PUT", f"{path}/snapshots/kept", {"description": "of Monday", "expires_at": None})
    (shown,) = json.loads(here.request("GET", f"{path}/snapshots?recursion=1"))["metadata"]
    assert (shown["name"], shown["description"]) == ("v1/kept", "of Monday")
    done("DELETE", f"{path}/snapshots/kept")
    assert json.loads(here.request("GET", f"{path}/snapshots"))["metadata"] == []
    renamed = {"name": "v2", "pool": "", "migration": False, "target": None, "volume_only": False}
    assert json.loads(here.request("POST", path, json.dumps(renamed)))["status_code"] < 300
    announced = json.loads(here.request("GET", "/1.0"))["metadata"]["api_extensions"]
    assert {"storage_api_volume_snapshots", "storage_api_local_volume_handling"} <= set(announced)
