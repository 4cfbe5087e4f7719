"""Images from image servers: a local HTTPS server with images made here, the real client and daemon."""

import datetime
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import streams
from tests.system import busybox
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon
from tests.webserver import Answer, Handler, Proxy, WebServer, running

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

    def forget(self) -> None:
        """An empty store and an empty server."""
        for image in json.loads(self.daemon.lxc("image", "list", "--format", "json")):
            self.daemon.lxc("image", "delete", image["fingerprint"])
        self.server.content, self.server.answers = {}, {}
        self.server.requests.clear()
        shutil.rmtree(self.daemon.folder / "client/cache", ignore_errors=True)
        shutil.rmtree(self.daemon.folder / "lxd/cache/streams", ignore_errors=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server = WebServer(tmp_path_factory.mktemp("web"))
    proxy = Proxy(("127.0.0.1", int(server.server_address[1])))
    with running(server), running(proxy):
        daemon = Daemon("s", environment={"SSL_CERT_FILE": str(server.ca), "HTTPS_PROXY": proxy.url})
        (daemon.folder / "client").mkdir(exist_ok=True)
        entry = f"{{addr: {server.url}, protocol: simplestreams, public: true}}"
        (daemon.folder / "client/config.yml").write_text(f"remotes: {{t: {entry}}}\n")
        try:
            yield Site(daemon, server, proxy)
        finally:
            daemon.close()


@pytest.fixture
def site(whole: Site) -> Iterator[Site]:
    yield whole
    for name in whole.daemon.names():
        whole.daemon.lxc("delete", "-f", name)
    whole.forget()


def stored(daemon: Daemon) -> set[str]:
    """Names of what is in the store's folder."""
    return {path.name for path in (daemon.folder / "lxd/images").iterdir()}


def image(daemon: Daemon, name: str) -> str:
    return daemon.lxc("image", "info", name)


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
    assert "serial: '20160401'" in daemon.lxc("image", "show", f"ubuntu:{fingerprint[:5]}")
    assert "did you mean trusty" in daemon.error("image", "info", "ubuntu:trust")


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


def refuse(handler: Handler) -> None:
    handler.connection.close()


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
    import sqlite3

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
    import signal

    site.offer()
    daemon = site.daemon

    def silent(handler: Handler) -> None:
        handler.head(200, Content_Length="1000")
        handler.rfile.read(1)

    site.server.answers["/20160401/lxd.tar.xz"] = silent
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "launch", "t:trusty", "c1"]
    with subprocess.Popen(argv, env=daemon.environment, stderr=subprocess.DEVNULL) as child:
        wait_for(daemon, lambda: bool(site.server.paths("/20160401/lxd.tar.xz")))
        child.send_signal(signal.SIGINT)
        assert child.wait() != 0
    assert stored(daemon) == set() and daemon.names() == []


# --- hostile servers ---------------------------------------------------------------------------


def endless(handler: Handler) -> None:
    handler.head(200)
    while True:
        handler.wfile.write(b"[" * 65536)


def reply(content: bytes) -> Answer:
    return lambda handler: handler.reply(200, content)


def moved(location: str) -> Answer:
    return lambda handler: handler.reply(302, b"", Location=location)


LISTS, INDEX = "/streams/v1/images.json", "/streams/v1/index.json"
ROOT = f"/{ROOT_FILE}"

HOSTILE: dict[str, tuple[str, Answer, str]] = {
    "other file": (ROOT, reply(b"hsqs" * 1000), "announced"),
    "endless file": (ROOT, endless, "announced"),
    "no file": (ROOT, lambda handler: handler.reply(404, b""), "status 404"),
    "cut for ever": (ROOT, refuse, "breaks off"),
    "file to file": (ROOT, moved("file:///etc/passwd"), "only https:// is followed"),
    "file to http": (ROOT, moved("http://127.0.0.1/"), "only https:// is followed"),
    "endless index": (INDEX, endless, "larger than"),
    "endless list": (LISTS, endless, "larger than"),
    "index to file": (INDEX, moved("file:///etc/passwd"), "only https:// is followed"),
    "no index": (INDEX, lambda handler: handler.reply(404, b""), "404"),
    "deep index": (INDEX, reply(b'{"index": ' + b"[" * 500_000), "simplestreams format"),
    "text": (INDEX, reply(b"<html>"), "simplestreams format"),
    "wrong types": (LISTS, reply(b'{"products": 7}'), "simplestreams format"),
    "broken letters": (LISTS, reply(b'{"products": {"\xff": 1}}'), "simplestreams format"),
    "cut list": (LISTS, refuse, "breaks off"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_of_a_hostile_server_enters_the_store(site: Site, case: str) -> None:
    site.offer()
    path, answer, said = HOSTILE[case]
    site.server.answers[path] = answer
    error = site.daemon.error("launch", "t:trusty", "c1")
    assert said in error
    assert error.startswith("error: ") and len(error.splitlines()) == 1
    assert stored(site.daemon) == set() and site.daemon.names() == []
    if path != ROOT:
        error = site.daemon.error("image", "list", "t:")
        assert said in error and len(error.splitlines()) == 1
    site.server.answers.clear()
    site.daemon.lxc("init", "t:trusty", "c1")


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../../../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "file:///etc/passwd"},
        {"path": "https://example.org/x"},
        {"sha256": "../../x"},
        {"sha256": "0" * 64},
        {"size": -1},
        {"size": 2**70},
        {"size": 17},
    ],
    ids=str,
)
def test_hostile_names_sizes_and_hashes(site: Site, changes: dict[str, object]) -> None:
    metadata, rootfs = site.image("one-amd64")
    version = streams.version("20160401", metadata, rootfs, **changes)
    products = {"../../trusty": streams.product({"20160401": version})}
    files = {"20160401/lxd.tar.xz": metadata, ROOT_FILE: rootfs}
    site.server.content |= streams.web(products, files, "")
    error = site.daemon.error("launch", "t:trusty", "c1")
    assert "announced" in error or "couldn't be found" in error
    assert stored(site.daemon) == set()
    assert "internal error" not in site.daemon.error("image", "info", "t:nothing")


def test_hostile_texts_are_left_out(site: Site) -> None:
    metadata, rootfs = site.image("one-amd64")
    version = streams.version("20160401", metadata, rootfs)
    version["label"] = "\x1b[2J"
    product = streams.product({"20160401": version}, aliases="good,\x1b[31mred,a\nb," + "x" * 1000)
    files = {"20160401/lxd.tar.xz": metadata, ROOT_FILE: rootfs}
    site.server.content |= streams.web({"p": product}, files, "")
    said = site.daemon.lxc("image", "list", "t:") + site.daemon.lxc("image", "alias", "list", "t:")
    assert "good" in said and "\x1b" not in said and "xxx" not in said


def test_an_untrusted_certificate_is_refused(site: Site) -> None:
    site.offer()
    trusted = site.daemon.environment.pop("SSL_CERT_FILE")
    try:
        error = site.daemon.error("image", "list", "t:")
    finally:
        site.daemon.environment["SSL_CERT_FILE"] = trusted
    assert "has a certificate that is not trusted" in error and len(error.splitlines()) == 1


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


# --- being an image server ---------------------------------------------------------------------


def serve(site: Site, folder: Path) -> None:
    """Let the web server have what is in the folder."""
    site.server.content = {
        f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def build(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [PYTHON, "-m", "wardian.daemon.main", "image-server", "build", *words]
    environment = site.daemon.environment
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_a_folder_is_built_that_serves_the_images_of_the_store(site: Site, tmp_path: Path) -> None:
    daemon, target = site.daemon, tmp_path / "served"
    split = site.offer()
    daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "mine", "--alias", "a,b", "--public")
    daemon.lxc("image", "copy", "t:trusty/i386", "local:", "--alias", "secret")
    unified = daemon.import_busybox("unified")
    said = build(site, str(target), "mine", "unified")
    assert said.returncode == 0, said.stderr
    assert '2 images in "' in said.stdout and 'alias "a,b"' in said.stdout
    assert len(list((target / "images").iterdir())) == 2
    site.forget()
    serve(site, target)
    assert {
        line.split(",")[1] for line in daemon.lxc("image", "list", "t:", "--format", "csv").splitlines()
    } == {
        split[:12],
        unified[:12],
    }
    daemon.lxc("launch", "t:mine", "c1")
    daemon.lxc("launch", "t:unified/amd64", "c2")
    assert daemon.lxc("exec", "c1", "hostname") + daemon.lxc("exec", "c2", "hostname") == "c1\nc2\n"
    assert f"Fingerprint: {split}" in image(daemon, split)


def test_a_folder_is_updated_and_private_images_stay_private(site: Site, tmp_path: Path) -> None:
    daemon, target = site.daemon, tmp_path / "served"
    site.offer()
    daemon.lxc("image", "copy", "t:trusty/i386", "local:", "--alias", "secret")
    assert "there is no public image" in build(site, str(target)).stderr
    assert not target.exists()
    daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "mine", "--public")
    assert '1 images in "' in build(site, str(target)).stdout
    (first,) = (target / "images").iterdir()
    inode = next(first.iterdir()).stat().st_ino
    assert '2 images in "' in build(site, str(target), "--all").stdout
    assert next(first.iterdir()).stat().st_ino == inode
    assert '1 images in "' in build(site, str(target), "secret", "--prune").stdout
    assert not first.exists()
    assert 'image "nosuch" not found' in build(site, str(target), "nosuch").stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    assert "holds other things" in build(site, str(tmp_path / "other"), "mine").stderr
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    assert "can be changed by others" in build(site, str(tmp_path / "open"), "mine").stderr
