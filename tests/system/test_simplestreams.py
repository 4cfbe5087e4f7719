"""Images from image servers, their cache and their updates, with the real client and daemon."""

import datetime
import json
import os
import pty
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import streams
from tests.system import busybox
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from tests.system.imagesite import ROOT_FILE, Site, image, refuse, stored
from tests.webserver import Answer, Handler

# --- command lines as printed ------------------------------------------------------------------


def test_the_command_lines_of_ubuntu(site: Site) -> None:
    fingerprint, daemon = site.offer(at="/releases"), site.daemon
    daemon.lxc("launch", "ubuntu:14.04", "c1")
    assert daemon.lxc("exec", "c1", "cat", "/etc/hostname") == "c1\n"
    daemon.lxc("launch", "ubuntu:14.04/i386", "c2")
    assert daemon.lxc("exec", "c2", "true") == ""
    assert "Architecture: i686" in daemon.lxc("info", "c2")
    assert "Container name is:" in daemon.lxc("launch", "ubuntu:")
    daemon.lxc("init", "ubuntu:trusty/amd64", "c3")
    said = daemon.run("init", "ubuntu/14.04", "c4")
    assert said.returncode == 0 and b"trying 'ubuntu:14.04' instead" in said.stderr
    daemon.lxc("init", f"ubuntu:{fingerprint[:8]}", "c5")
    assert set(site.proxy.hosts) == {"cloud-images.ubuntu.com:443"}
    assert len(site.server.paths(f"/releases/{ROOT_FILE}")) == 1
    assert site.server.requests[0][2]["User-Agent"].startswith("LXD ")


def test_ubuntu_daily_and_images(site: Site) -> None:
    site.offer(at="/daily")
    site.daemon.lxc("launch", "ubuntu-daily:trusty", "c4")
    metadata, rootfs = site.image("alpine")
    version = streams.version("alpine", metadata, rootfs)
    version["items"]["incus.tar.xz"] = version["items"].pop("lxd.tar.xz") | {"ftype": "incus.tar.xz"}
    version["items"]["disk.qcow2"] = {"ftype": "disk-kvm.img", "path": "x", "sha256": "0" * 64, "size": 1}
    alpine = streams.product(
        {"20260401_13:00": version}, aliases="alpine/3.3,alpine/3.3/default", os="Alpine", release="3.3"
    )
    files = {"alpine/lxd.tar.xz": metadata, "alpine/root.squashfs": rootfs}
    site.server.content |= streams.web({"alpine": alpine}, files, "")
    site.daemon.lxc("launch", "images:alpine/3.3/amd64", "c5")
    assert "Alpine" in site.daemon.lxc("image", "list", "images:", "os=Alpine")
    assert site.daemon.lxc("exec", "c5", "true") == ""


def test_lists_infos_and_aliases(site: Site) -> None:
    fingerprint, daemon = site.offer(at="/releases"), site.daemon
    table = daemon.lxc("image", "list", "ubuntu:", "14.04")
    assert "14.04 (5 more)" in table and "ubuntu 14.04 LTS amd64 (release) (20160401)" in table
    assert fingerprint[:12] in table and "Apr 1, 2016" in table
    assert len(json.loads(daemon.lxc("image", "list", "ubuntu:", "--format", "json"))) == 2
    assert len(json.loads(daemon.lxc("image", "list", "ubuntu:i386", "--format", "json"))) == 1
    assert "trusty/i386" in daemon.lxc("image", "alias", "list", "ubuntu:")
    info = image(daemon, "ubuntu:trusty")
    assert f"Fingerprint: {fingerprint}" in info and "Expires: 2019/04/17 00:00 UTC" in info
    assert 'serial: "20160401"' in daemon.lxc("image", "show", f"ubuntu:{fingerprint[:5]}")
    assert "did you mean trusty" in daemon.error("image", "info", "ubuntu:trust")


def test_an_image_is_exported_from_the_server_itself(site: Site, tmp_path: Path) -> None:
    fingerprint, daemon = site.offer(), site.daemon
    assert daemon.lxc("image", "export", "t:trusty", str(tmp_path)) == "Image exported successfully!\n"
    parts = [tmp_path / f"meta-{fingerprint}.tar.gz", tmp_path / f"{fingerprint}.squashfs"]
    assert streams.sha256(*[path.read_bytes() for path in parts]) == fingerprint
    for path in parts:
        path.unlink()
    site.server.content[f"/{ROOT_FILE}"] += b"x"
    assert "not the file that was announced" in daemon.error("image", "export", "t:trusty", str(tmp_path))
    site.server.answers[f"/{ROOT_FILE}"] = refuse
    assert "breaks off" in daemon.error("image", "export", "t:trusty", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert "is not a folder" in daemon.error("image", "export", "t:trusty", str(tmp_path / "x"))


def test_lists_and_completion_work_without_the_server(site: Site) -> None:
    site.offer()
    daemon = site.daemon
    assert daemon.run("completion", "words", "--", "launch", "t:").stdout == b""
    before = daemon.lxc("image", "list", "t:")
    asked = len(site.server.requests)
    assert daemon.lxc("image", "list", "t:") == before
    assert "t:trusty/i386" in daemon.lxc("completion", "words", "--", "launch", "t:tr").splitlines()
    assert len(site.server.requests) == asked
    age(daemon)
    assert daemon.lxc("image", "list", "t:") == before
    assert site.server.requests[-1][2].get("If-None-Match")
    age(daemon)
    site.server.answers = dict.fromkeys(site.server.content, refuse)
    said = daemon.run("image", "list", "t:")
    assert (said.returncode, said.stdout.decode()) == (0, before)
    assert said.stderr.startswith(b"warning: ")


def age(daemon: Daemon) -> None:
    """Let the client take its lists for old ones."""
    for path in (daemon.folder / "client/cache").iterdir():
        head, _, body = path.read_bytes().partition(b"\n")
        path.write_bytes(json.dumps({**json.loads(head), "checked_at": 0}).encode() + b"\n" + body)


def test_copy_with_everything(site: Site) -> None:
    fingerprint, daemon = site.offer(), site.daemon
    flags = ("--alias", "mine", "--copy-aliases", "--public", "--auto-update")
    assert daemon.lxc("image", "copy", "t:trusty", "local:", *flags) == "Image copied successfully!\n"
    info = image(daemon, "mine")
    for line in (f"Fingerprint: {fingerprint}", "Public: yes", "Cached: no", "Auto update: enabled"):
        assert line in info
    assert f"    Server: {site.server.url}\n    Protocol: simplestreams\n    Alias: trusty" in info
    assert "- trusty/amd64" in info and "- 14.04\n" in info
    assert stored(daemon) == {fingerprint, f"{fingerprint}.rootfs"}
    daemon.lxc("launch", "14.04", "c1")
    assert daemon.lxc("image", "copy", "t:trusty", "local:") == "Image copied successfully!\n"


def test_a_url_is_imported(site: Site) -> None:
    folder = site.daemon.folder / "tree-url"
    busybox.make_tree(folder, "url")
    content = busybox.unified(folder, site.daemon.folder / "url.tar.xz").read_bytes()
    url = f"{site.server.url}/image"

    def head(handler: Handler) -> None:
        said = {"LXD_Image_Hash": streams.sha256(content), "LXD_Image_URL": f"{site.server.url}/file"}
        handler.reply(200, b"", **said)

    site.server.answers["/image"] = head
    site.server.content["/file"] = content
    said = site.daemon.lxc("image", "import", url, "--alias", "fetched", "user.a=b")
    assert said == f"Image imported with fingerprint: {streams.sha256(content)}\n"
    assert "user.a: b" in site.daemon.lxc("image", "show", "fetched")
    assert "LXD-Server-Architectures" in site.server.requests[0][2]
    assert "Only https://" in site.daemon.error("image", "import", "http://127.0.0.1/x")


# --- the cache ---------------------------------------------------------------------------------


def test_two_launches_at_once_download_once(site: Site) -> None:
    fingerprint, daemon = site.offer(), site.daemon
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "launch"]
    both = [
        subprocess.Popen([*argv, alias, name], env=daemon.environment)
        for alias, name in (("t:trusty", "c1"), ("t:14.04", "c2"))
    ]
    assert [child.wait() for child in both] == [0, 0]
    assert len(site.server.paths(f"/{ROOT_FILE}")) == 1
    info = image(daemon, fingerprint)
    assert "Cached: yes" in info and "Auto update: enabled" in info and "Last used: never" not in info
    asked = len(site.server.requests)
    daemon.lxc("launch", "t:trusty", "c3")
    daemon.lxc("image", "delete", fingerprint)
    assert daemon.lxc("exec", "c3", "true") == ""
    assert asked == len(site.server.requests)


def test_a_newer_image_takes_the_place_of_the_cached_one(site: Site) -> None:
    old, daemon = site.offer(), site.daemon
    daemon.lxc("launch", "t:trusty", "c1")
    daemon.lxc("image", "alias", "create", "mine", old)
    assert daemon.lxc("image", "refresh", "mine") == "Image already up to date.\n"
    new = site.offer("20160501", "two")
    daemon.kill()
    daemon.start()
    wait_for(daemon, lambda: stored(daemon) == {new, f"{new}.rootfs"})
    info = image(daemon, "mine")
    for line in (f"Fingerprint: {new}", "Alias: trusty", "Cached: yes", "Auto update: enabled"):
        assert line in info
    assert "Last used: never" not in info
    assert daemon.lxc("exec", "c1", "true") == ""
    newest = site.offer("20160601", "three")
    assert daemon.lxc("image", "refresh", "mine") == "Image refreshed successfully!\n"
    assert f"Fingerprint: {newest}" in image(daemon, "mine")


def wait_for(daemon: Daemon, reached: Callable[[], bool], within_s: float = 30) -> None:
    """What we wait for happens in the daemon by itself, some time after a change or its start."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, daemon.log()[-2000:]
        time.sleep(0.05)


def test_an_unused_cached_image_expires_when_the_key_says_so(site: Site) -> None:
    fingerprint, daemon = site.offer(), site.daemon
    daemon.lxc("init", "t:trusty", "c1")
    daemon.lxc("image", "copy", "t:trusty/i386", "local:")
    kept = stored(daemon) - {fingerprint, f"{fingerprint}.rootfs"}
    daemon.kill()
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
    change_record(daemon, fingerprint, last_used_at=long_ago.isoformat())
    daemon.start()
    assert fingerprint in stored(daemon)
    daemon.lxc("config", "set", "images.remote_cache_expiry", "1")
    try:
        wait_for(daemon, lambda: stored(daemon) == kept)
        assert daemon.names() == ["c1"]
    finally:
        daemon.lxc("config", "unset", "images.remote_cache_expiry")


def change_record(daemon: Daemon, fingerprint: str, **changes: str) -> None:
    """Rewrite the record of an image, while no daemon runs."""
    with sqlite3.connect(daemon.folder / "lxd/lxd.db") as database:
        key = f"images/{fingerprint}"
        (value,) = database.execute("SELECT value FROM documents WHERE key = ?", (key,)).fetchone()
        changed = json.dumps({**json.loads(value), **changes}).encode()
        database.execute("UPDATE documents SET value = ? WHERE key = ?", (changed, key))
    database.close()


def test_proxies_change_at_once(site: Site) -> None:
    site.offer(at="/releases")
    daemon = site.daemon
    daemon.lxc("config", "set", "core.proxy_https", "http://127.0.0.1:1")
    try:
        error = daemon.error("launch", "ubuntu:14.04", "c1")
        assert "through the proxy http://127.0.0.1:1: " in error and "refused" in error.lower()
        daemon.lxc("config", "set", "core.proxy_ignore_hosts", "*.ubuntu.com")
        assert 'cannot reach "cloud-images.ubuntu.com": ' in daemon.error("launch", "ubuntu:14.04", "c1")
        daemon.lxc("config", "unset", "core.proxy_ignore_hosts")
        daemon.lxc("config", "set", "core.proxy_https", site.proxy.url)
        daemon.lxc("init", "ubuntu:14.04", "c1")
    finally:
        daemon.run("config", "unset", "core.proxy_ignore_hosts")
        daemon.lxc("config", "unset", "core.proxy_https")
    assert "not the URL of a proxy" in daemon.error("config", "set", "core.proxy_https", "a b")


# --- cut, slow, interrupted --------------------------------------------------------------------


def cut(at: int, content: bytes) -> Answer:
    """Breaks the connection after so many bytes, once."""
    places = [at]

    def answer(handler: Handler) -> None:
        start = handler.range_start()
        end = places.pop() if places else len(content)
        said = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        handler.head(206 if start else 200, Content_Length=str(len(content) - start), **said)
        handler.wfile.write(content[start:end])

    return answer


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_cut_connection_is_resumed(site: Site, part: float) -> None:
    site.offer()
    content = site.server.content[f"/{ROOT_FILE}"]
    site.server.answers[f"/{ROOT_FILE}"] = cut(int(len(content) * part), content)
    site.daemon.lxc("launch", "t:trusty", "c1")
    assert len(site.server.paths(f"/{ROOT_FILE}")) == 2


def test_a_killed_daemon_leaves_no_half_image(site: Site) -> None:
    site.offer()
    daemon = site.daemon
    content = site.server.content[f"/{ROOT_FILE}"]

    def half(handler: Handler) -> None:
        handler.head(200, Content_Length=str(len(content)))
        handler.wfile.write(content[: len(content) // 2])
        handler.rfile.read(1)  # until the peer is gone

    site.server.answers[f"/{ROOT_FILE}"] = half
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "launch", "t:trusty", "c1"]
    with subprocess.Popen(argv, env=daemon.environment, stderr=subprocess.DEVNULL) as child:
        wait_for(daemon, lambda: bool(site.server.paths(f"/{ROOT_FILE}")))
        operations = json.loads(daemon.request("GET", "/1.0/operations?recursion=1"))["metadata"]
        assert "download_progress" in str(operations)
        assert any(name.startswith(".build-") for name in stored(daemon))
        daemon.kill()
        child.wait()
    daemon.start()
    assert stored(daemon) == set()
    assert daemon.names() == []
    site.server.answers.clear()
    daemon.lxc("launch", "t:trusty", "c1")


def test_a_launch_that_is_interrupted_leaves_nothing(site: Site) -> None:
    site.offer()
    daemon = site.daemon

    def half(handler: Handler) -> None:
        handler.head(200, Content_Length="2000")
        handler.wfile.write(bytes(1000))
        handler.rfile.read(1)

    site.server.answers["/20160401/lxd.tar.xz"] = half
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "launch", "t:trusty", "c1"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PYTHON, argv, daemon.environment)
    said = _until(terminal, b"Retrieving image: ")
    os.write(terminal, b"\x03")
    said += _until(terminal, b"canceled by user")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    os.close(terminal)
    erased = said.rpartition(b"error:")[0].rpartition(b"\r")[0]
    assert erased.endswith(b" ") and not erased.rpartition(b"\r")[2].strip()
    assert stored(daemon) == set() and daemon.names() == []


def _until(terminal: int, wanted: bytes) -> bytes:
    """What is shown on a terminal, up to something wanted."""
    said = b""
    while wanted not in said:
        said += os.read(terminal, 4096)
    return said


def test_thousands_of_images_are_listed_within_a_second(site: Site) -> None:
    products = {
        f"p{number}": streams.product(
            {
                f"2016{month:02d}01": streams.version(f"{number}/{month}", b"%d" % number, b"%d" % month)
                for month in range(1, 13)
            },
            aliases=f"r{number}",
        )
        for number in range(400)
    }
    site.server.content |= streams.web(products, {}, "")
    rows = site.daemon.lxc("image", "list", "t:", "--format", "csv").splitlines()
    assert len(rows) == 4800
    began = time.monotonic()
    site.daemon.lxc("image", "list", "t:", "r17")
    print(f"listed from the cache in {time.monotonic() - began:.2f} s")
