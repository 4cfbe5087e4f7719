"""Image servers that lie, lead astray or never end: nothing of them enters the store."""

import pytest

from tests import streams
from tests.system.imagesite import ROOT_FILE, Site, refuse, stored
from tests.webserver import Answer, Handler


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
