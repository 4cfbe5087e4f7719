"""The downloads driver against a server that cuts, lies and leads astray."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webserver import Answer, Handler, Proxy, WebServer, running
from wardian.drivers.downloads import WebDownloads, transfer
from wardian.errors import HostFailed, InvalidInput, NotFound, WardianError
from wardian.model.proxies import Proxies
from wardian.ports.downloads import Expected, Via

CONTENT = random.Random(1).randbytes(3_000_000)
EXPECTED = Expected(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
PLAIN = Via(Proxies())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    server = WebServer(tmp_path_factory.mktemp("web"))
    with running(server):
        yield server


@pytest.fixture
def server(shared: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """A trusted server with one file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(shared.ca))
    shared.content = {"/file": CONTENT, "/document": b"{}"}
    shared.answers, shared.requests = {}, []
    return shared


@pytest.fixture
def web(tmp_path: Path) -> WebDownloads:
    return WebDownloads(tmp_path / "cache")


async def fetch(
    web: WebDownloads, server: WebServer, target: Path, expected: Expected = EXPECTED
) -> list[int]:
    """The positions that were reported."""
    positions: list[int] = []
    await web.file(f"{server.url}/file", PLAIN, target, expected, positions.append)
    return positions


async def test_a_file_arrives_whole(web: WebDownloads, server: WebServer, tmp_path: Path) -> None:
    positions = await fetch(web, server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert positions == sorted(positions) and positions[-1] == len(CONTENT)


def cut_at(*places: int, status: int = 206) -> Answer:
    """Breaks the connection at each of the places in turn, then behaves."""
    left = list(places)

    def answer(handler: Handler) -> None:
        start = handler.range_start() if status == 206 else 0
        end = left.pop(0) if left else len(CONTENT)
        headers = {"Content_Length": str(len(CONTENT) - start), "ETag": '"a"', "Accept_Ranges": "bytes"}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.head(206 if start else 200, **headers)
        handler.wfile.write(CONTENT[start:end])

    return answer


@pytest.mark.parametrize("places", [(1,), (100, 200_000), (len(CONTENT) - 1,), (10, 10, 1_500_000)])
@pytest.mark.parametrize("status", [206, 200])
async def test_a_cut_transfer_goes_on_where_it_broke(
    web: WebDownloads, server: WebServer, tmp_path: Path, places: tuple[int, ...], status: int
) -> None:
    server.answers["/file"] = cut_at(*places, status=status)
    await fetch(web, server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    asked = [headers.get("Range", "bytes=0-") for _, _, headers in server.requests]
    assert len(asked) == len(places) + 1
    assert int(asked[1].removeprefix("bytes=").rstrip("-")) <= places[0]


async def test_the_one_file_of_an_image_of_another_host_goes_on_too(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    server.answers["/file"] = cut_at(100, 200_000)
    targets = [tmp_path / "meta", tmp_path / "rootfs"]
    limit = len(CONTENT)
    assert await web.bundle(f"{server.url}/file", PLAIN, targets, lambda _: None, limit=limit) == 1
    assert targets[0].read_bytes() == CONTENT and not targets[1].exists()


METADATA = b"metadata" * 100
BOTH = {"metadata": METADATA, "rootfs": CONTENT}


def two_files(cut: int, broken: list[str]) -> tuple[Answer, Answer]:
    """(all at once, cut there; one file by its name and from where it is asked for), as a daemon answers."""
    head = "--b\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n"
    whole = (
        b"".join(head.format(len(part)).encode() + part + b"\r\n" for part in BOTH.values()) + b"--b--\r\n"
    )

    def at_once(handler: Handler) -> None:
        names = {"X_LXD_parts": "metadata, rootfs"} if not broken else {}
        kind = "multipart/form-data; boundary=b"
        handler.head(200, Content_Type=kind, Content_Length=str(len(whole)), **names)
        handler.wfile.write(whole[:cut])

    def one(handler: Handler) -> None:
        content, start = BOTH[handler.path.rpartition("part=")[2]], handler.range_start()
        if start == len(content):
            handler.head(416, Content_Range=f"bytes */{start}", Content_Length="0")
            return
        partly = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        handler.head(206 if start else 200, Content_Length=str(len(content) - start), **partly)
        handler.wfile.write(content[start:])

    return at_once, one


HEAD = 80
ROOT_BEGINS = HEAD + len(METADATA) + HEAD


@pytest.mark.parametrize("cut", [0, 10, HEAD + 100, HEAD + len(METADATA), ROOT_BEGINS + 1_000_000, -9, -5])
async def test_both_files_of_an_image_of_another_host_go_on_where_they_broke(
    web: WebDownloads, server: WebServer, tmp_path: Path, cut: int
) -> None:
    at_once, one = two_files(cut, [])
    server.answers["/export?secret=x"] = at_once
    for name in BOTH:
        server.answers[f"/export?secret=x&part={name}"] = one
    targets, seen = [tmp_path / "meta", tmp_path / "rootfs"], [0]
    limit = len(METADATA) + len(CONTENT)
    url = f"{server.url}/export?secret=x"
    assert await web.bundle(url, PLAIN, targets, seen.append, limit=limit) == 2
    assert [target.read_bytes() for target in targets] == list(BOTH.values())
    assert seen[-1] == limit or cut == -5
    asked = [path for _, path, _ in server.requests]  # what was on the way when it broke may be lost
    parts = [f"{url.removeprefix(server.url)}&part={name}" for name in BOTH]
    assert asked[1:] in ([], parts[1:], parts)


async def test_a_host_that_gives_no_single_files_is_not_asked_for_them(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    server.answers["/export"], _ = two_files(ROOT_BEGINS + 5, ["x"])
    targets = [tmp_path / "meta", tmp_path / "rootfs"]
    with pytest.raises(HostFailed, match="breaks off"):
        await web.bundle(f"{server.url}/export", PLAIN, targets, lambda _: None, limit=4_000_000)
    assert len(server.requests) == 1


async def test_a_part_that_is_larger_than_announced_is_refused(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    server.answers["/export"], one = two_files(ROOT_BEGINS + 1_000_000, [])
    for name in BOTH:
        server.answers[f"/export?part={name}"] = one
    targets = [tmp_path / "meta", tmp_path / "rootfs"]
    with pytest.raises(InvalidInput, match="larger than"):
        await web.bundle(f"{server.url}/export", PLAIN, targets, lambda _: None, limit=len(CONTENT))


async def test_a_server_that_always_breaks_off_is_given_up(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    server.answers["/file"] = cut_at(*[1000] * 50)
    with pytest.raises(HostFailed, match="breaks off"):
        await fetch(web, server, tmp_path / "file")
    assert len(server.requests) <= 5


async def test_a_drip_is_as_good_as_a_dead_line(
    web: WebDownloads, server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SLOW_S", 0)
    monkeypatch.setattr(transfer, "SLOW_BYTES", len(CONTENT) + 1)
    with pytest.raises(HostFailed, match="breaks off"):
        await fetch(web, server, tmp_path / "file")
    assert len(server.requests) == 3


def body(content: bytes, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(200, content, **headers)

    return answer


def endless(handler: Handler) -> None:
    handler.head(200)
    while True:
        handler.wfile.write(bytes(65536))


def wrong_part(handler: Handler) -> None:
    if not handler.range_start():
        return cut_at(10)(handler)
    return handler.reply(206, CONTENT[5:], Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")


def moved(location: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(302, b"", Location=location)

    return answer


def refused(status: int) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(status, b"")

    return answer


HOSTILE: dict[str, tuple[Answer, type[WardianError], str]] = {
    "other content": (body(CONTENT[::-1]), InvalidInput, "not the file that was announced"),
    "shorter": (body(CONTENT[:-1]), InvalidInput, "has 2999999 bytes, not the 3000000"),
    "longer": (body(CONTENT + b"x"), InvalidInput, "has 3000001 bytes, not the 3000000"),
    "endless": (endless, InvalidInput, "larger than the 3000000 bytes"),
    "another part": (wrong_part, HostFailed, "another part"),
    "missing": (refused(404), NotFound, "status 404"),
    "broken": (refused(500), HostFailed, "status 500"),
    "a file": (moved("file:///etc/passwd"), HostFailed, "only https:// is followed"),
    "http": (moved("http://127.0.0.1/file"), HostFailed, "only https:// is followed"),
    "nonsense": (moved("https://[::1"), HostFailed, "no URL"),
    "no location": (moved(""), HostFailed, "more than 5 times"),
    "a circle": (moved("/file"), HostFailed, "more than 5 times"),
    "nobody": (moved("https://127.0.0.1:1/file"), HostFailed, "cannot reach"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_what_is_wrong_is_said(
    web: WebDownloads, server: WebServer, tmp_path: Path, case: str
) -> None:
    server.answers["/file"], kind, said = HOSTILE[case]
    with pytest.raises(kind, match=said) as caught:
        await fetch(web, server, tmp_path / "file")
    assert len(str(caught.value).splitlines()) == 1


async def test_redirects_to_https_are_followed(web: WebDownloads, server: WebServer, tmp_path: Path) -> None:
    server.content["/there"] = CONTENT
    server.answers["/file"] = moved(f"{server.url}/there")
    await fetch(web, server, tmp_path / "file")


async def test_a_stranger_cannot_lead_us_to_this_machine(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    port = int(server.server_address[1])
    server.answers["/file"] = moved(f"https://localhost:{port}/document")
    proxy = Proxy(("127.0.0.1", port))
    with running(proxy), pytest.raises(HostFailed, match="to this machine"):
        via = Via(Proxies(https=proxy.url))
        await web.file("https://cloud-images.ubuntu.com/file", via, tmp_path / "f", EXPECTED, lambda _: None)
    assert proxy.hosts == ["cloud-images.ubuntu.com:443"]


async def test_trust_is_the_system_s_or_one_certificate(
    web: WebDownloads, server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    url = f"{server.url}/document"
    with pytest.raises(HostFailed, match="certificate that is not trusted"):
        await web.document(url, PLAIN, bytes, limit=10, fresh_s=0)
    pinned = Via(Proxies(), certificate=server.ca.read_text())
    assert await web.document(url, pinned, bytes, limit=10, fresh_s=0) == b"{}"
    with pytest.raises(InvalidInput, match='field "certificate"'):
        await web.document(url, Via(Proxies(), certificate="x"), bytes, limit=10, fresh_s=0)


async def test_a_document_is_kept_and_asked_for_again(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    url = f"{server.url}/document"
    for _ in range(2):
        assert await web.document(url, PLAIN, bytes, limit=10, fresh_s=1000) == b"{}"
    assert len(server.requests) == 1
    assert await web.document(url, PLAIN, bytes, limit=10, fresh_s=0) == b"{}"
    assert server.requests[1][2]["If-None-Match"]
    server.content["/document"] = b"[]"
    assert await web.document(url, PLAIN, bytes, limit=10, fresh_s=0) == b"[]"
    server.answers["/document"] = refused(500)
    assert await web.document(url, PLAIN, bytes, limit=10, fresh_s=0.001) == b"[]"
    with pytest.raises(HostFailed, match="status 500"):
        await web.document(url, PLAIN, bytes, limit=10, fresh_s=0)


async def test_a_document_is_bounded_and_a_damaged_copy_of_it_is_none(
    web: WebDownloads, server: WebServer, tmp_path: Path
) -> None:
    url = f"{server.url}/document"
    server.answers["/document"] = endless
    with pytest.raises(InvalidInput, match="larger than the 1000 bytes"):
        await web.document(url, PLAIN, bytes, limit=1000, fresh_s=1000)
    server.answers.clear()
    await web.document(url, PLAIN, bytes, limit=1000, fresh_s=1000)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert await web.document(url, PLAIN, bytes, limit=1000, fresh_s=1000) == b"{}"
    assert len(server.requests) == 3


async def test_what_cannot_be_read_is_not_kept(web: WebDownloads, server: WebServer) -> None:
    def read(text: bytes) -> bytes:
        if text != b"{}":
            raise InvalidInput("nonsense")
        return text

    url = f"{server.url}/document"
    server.content["/document"] = b"<html>"
    with pytest.raises(InvalidInput, match="nonsense"):
        await web.document(url, PLAIN, read, limit=10, fresh_s=1000)
    server.content["/document"] = b"{}"
    assert await web.document(url, PLAIN, read, limit=10, fresh_s=1000) == b"{}"
    server.content["/document"] = b"<html>"
    assert await web.document(url, PLAIN, read, limit=10, fresh_s=0.001) == b"{}"


async def test_remains_of_a_crash_are_swept(web: WebDownloads, server: WebServer, tmp_path: Path) -> None:
    await web.document(f"{server.url}/document", PLAIN, bytes, limit=10, fresh_s=0)
    (tmp_path / "cache/.tmp-1").write_bytes(b"x")
    await web.sweep()
    assert len(list((tmp_path / "cache").iterdir())) == 1


async def test_headers_are_those_of_a_head_request(web: WebDownloads, server: WebServer) -> None:
    found = await web.headers(f"{server.url}/file", PLAIN, {"LXD-Server-Version": "2"})
    assert found["content-length"] == str(len(CONTENT))
    verb, _, headers = server.requests[0]
    assert (verb, headers["LXD-Server-Version"]) == ("HEAD", "2")
    assert headers["User-Agent"].startswith("LXD ")
