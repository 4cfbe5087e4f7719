import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.fake_downloads import FakeDownloads
from tests.fakes import Faults
from tests.streams import SERVER, sha256, trusty
from tests.unit.api.conftest import Caller
from wardian.core.host import Host


@pytest.fixture
def web(host: Host) -> FakeDownloads:
    return cast(FakeDownloads, host.downloads)


@pytest.fixture
async def pool(host: Host) -> None:
    from wardian.core import pools, profiles

    await profiles.ensure_builtin(host)
    await pools.ensure_default(host)


def source(alias: str = "14.04", **changes: str) -> dict[str, str]:
    return {
        "type": "image",
        "mode": "pull",
        "server": SERVER,
        "protocol": "simplestreams",
        "alias": alias,
    } | changes


async def launch(api: Caller, name: str, **changes: str) -> dict[str, Any]:
    return await api.run("POST", "/1.0/containers", {"name": name, "source": source(**changes)})


async def copy(api: Caller, body: dict[str, Any] | None = None, **changes: str) -> dict[str, Any]:
    return await api.run("POST", "/1.0/images", {"source": source(**changes), **(body or {})})


def files_of(host: Host) -> set[str]:
    return {path.name for path in host.paths.images.iterdir()}


async def test_an_image_is_copied_with_its_properties_and_source(
    api: Caller, host: Host, web: FakeDownloads
) -> None:
    web.content, fingerprint = trusty()
    body = {"public": True, "auto_update": True, "properties": {"a": "b"}, "aliases": [{"name": "mine"}]}
    operation = await copy(api, body)
    assert operation["status"] == "Success", operation["err"]
    assert operation["metadata"]["fingerprint"] == fingerprint
    image = await api.get(f"/1.0/images/{fingerprint}")
    assert image["update_source"] == {
        "alias": "14.04",
        "certificate": "",
        "protocol": "simplestreams",
        "server": SERVER,
    }
    assert (image["public"], image["auto_update"], image["cached"]) == (True, True, False)
    assert image["properties"]["description"] == "ubuntu 14.04 LTS amd64 (release) (20160401)"
    assert image["properties"]["a"] == "b"
    assert image["expires_at"].startswith("2019-04-17")
    assert [alias["name"] for alias in image["aliases"]] == ["mine"]
    assert files_of(host) == {fingerprint, f"{fingerprint}.rootfs"}


async def test_a_launch_caches_the_image_and_the_next_asks_nobody(
    api: Caller, host: Host, web: FakeDownloads, pool: None
) -> None:
    web.content, fingerprint = trusty()
    assert (await launch(api, "c1"))["status"] == "Success"
    image = await api.get(f"/1.0/images/{fingerprint}")
    assert (image["cached"], image["auto_update"]) == (True, True)
    assert not image["last_used_at"].startswith("1970")
    asked = len(web.asked)
    assert (await launch(api, "c2"))["status"] == "Success"
    assert len(web.asked) == asked


async def test_whether_cached_images_are_updated_says_a_key(
    api: Caller, host: Host, web: FakeDownloads, pool: None
) -> None:
    web.content, fingerprint = trusty()
    await api.ask("PATCH", "/1.0", {"config": {"images.auto_update_cached": "false"}})
    assert (await launch(api, "c1"))["status"] == "Success"
    image = await api.get(f"/1.0/images/{fingerprint}")
    assert (image["cached"], image["auto_update"]) == (True, False)


async def test_two_launches_at_once_download_once(
    api: Caller, host: Host, web: FakeDownloads, pool: None
) -> None:
    web.content, _ = trusty()
    web.gate.clear()
    both = asyncio.gather(launch(api, "c1"), launch(api, "c2", alias="trusty"))
    listener = host.events.subscribe(["operation"])
    async for event in listener:
        if len([o for o in host.operations.all() if "download_progress" in o.metadata]) == 2:
            break
        assert event
    web.gate.set()
    assert [operation["status"] for operation in await both] == ["Success", "Success"]
    assert len([url for url in web.asked if url.endswith("squashfs")]) == 1


@pytest.mark.parametrize("what", ["rootfs hash", "combined hash", "gone"])
async def test_what_is_not_verified_leaves_nothing(
    api: Caller, host: Host, web: FakeDownloads, what: str
) -> None:
    web.content, fingerprint = trusty()
    root = f"{SERVER}/20160401/root.squashfs"
    if what == "rootfs hash":
        web.content[root] = b"other"
    elif what == "gone":
        del web.content[root]
    else:
        products = f"{SERVER}/streams/v1/images.json"
        web.content[products] = web.content[products].replace(fingerprint.encode(), sha256(b"x").encode())
    operation = await copy(api)
    assert operation["status"] == "Failure"
    assert operation["err"]
    assert files_of(host) == set()
    assert await api.get("/1.0/images") == []


async def test_a_failure_at_any_step_leaves_all_or_nothing(tmp_path: Path) -> None:
    from tests.fakes import make_host
    from wardian.core import image_sources
    from wardian.model.requests import ImageCreate, ImageSourceRequest

    for step in range(10):
        faults = Faults(fail_at=step)
        made = make_host(tmp_path / str(step), faults)
        downloads = cast(FakeDownloads, made.downloads)
        downloads.content, _ = trusty()
        operation = image_sources.pull(made, ImageCreate(source=ImageSourceRequest(**source())))
        await operation.finished.wait()
        if operation.status == "Success":
            assert step >= 3
            return
        assert files_of(made) == set()
        assert await made.records.images.all() == []
    raise AssertionError("it never succeeded")


async def test_an_unknown_alias_names_its_neighbours(api: Caller, web: FakeDownloads) -> None:
    web.content, _ = trusty()
    operation = await copy(api, alias="trust")
    assert operation["err"].startswith("The requested image couldn't be found.")
    assert "did you mean trusty" in operation["err"]


async def test_without_a_network_an_image_that_came_from_there_is_used(
    api: Caller, host: Host, web: FakeDownloads, pool: None
) -> None:
    web.content, _ = trusty()
    await copy(api)
    web.content = {}
    assert (await launch(api, "c1"))["status"] == "Success"
    assert (await copy(api))["err"] == "cannot reach the web"
    assert (await launch(api, "c2", alias="16.04"))["err"] == "cannot reach the web"


async def test_a_copy_of_a_cached_image_is_kept_for_good(
    api: Caller, host: Host, web: FakeDownloads, pool: None
) -> None:
    web.content, fingerprint = trusty()
    await launch(api, "c1")
    await copy(api, {"public": True})
    image = await api.get(f"/1.0/images/{fingerprint}")
    assert (image["cached"], image["public"], image["auto_update"]) == (False, True, False)


async def test_an_image_by_fingerprint_has_no_source_to_update_from(api: Caller, web: FakeDownloads) -> None:
    web.content, fingerprint = trusty()
    refused = await copy(api, {"auto_update": True}, alias="", fingerprint=fingerprint[:12])
    assert 'field "auto_update"' in refused["err"]
    await copy(api, alias="", fingerprint=fingerprint[:12])
    assert "update_source" not in await api.get(f"/1.0/images/{fingerprint}")


async def test_proxies_of_the_configuration_count_at_once(
    api: Caller, web: FakeDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://outer:1")
    web.content, _ = trusty()
    await copy(api)
    assert web.ways[-1].proxies.https == "http://outer:1"
    config = {"core.proxy_https": "http://inner:2", "core.proxy_http": "http://inner:3"}
    await api.ask("PATCH", "/1.0", {"config": config})
    await copy(api)
    assert web.ways[-1].proxies.of("https://example.org/x") == "http://inner:2"
    assert web.ways[-1].proxies.of("http://example.org/x") == "http://inner:3"
    await api.ask("PATCH", "/1.0", {"config": {"core.proxy_ignore_hosts": "example.org"}})
    await copy(api)
    assert not web.ways[-1].proxies.of("https://example.org/x")


async def test_a_url_is_asked_for_the_file_and_its_hash(api: Caller, web: FakeDownloads) -> None:
    url, file = "https://example.org/image", b"architecture: x86_64\ncreation_date: 1\n"
    web.content["https://example.org/file"] = file
    request = {"source": {"type": "url", "mode": "pull", "url": url}}
    web.answers[url] = {}
    assert (await api.run("POST", "/1.0/images", request))["err"] == "Missing LXD-Image-Hash header"
    web.answers[url] = {"lxd-image-hash": sha256(file)}
    assert (await api.run("POST", "/1.0/images", request))["err"] == "Missing LXD-Image-URL header"
    web.answers[url]["lxd-image-url"] = "file:///etc/passwd"
    assert "is not the URL of an image server" in (await api.run("POST", "/1.0/images", request))["err"]
    web.answers[url]["lxd-image-url"] = "https://example.org/file"
    done = await api.run("POST", "/1.0/images", request)
    assert done["metadata"]["fingerprint"] == sha256(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "ftp"}, 'field "source.protocol"'),
        ({"mode": "push"}, 'field "source.mode"'),
        ({"secret": "x"}, 'field "source.secret"'),
        ({"server": "http://example.org"}, "Only https URLs are supported"),
        ({"server": "file:///etc"}, "is not the URL of an image server"),
        ({"server": ""}, "is not the URL of an image server"),
        ({"server": "https://user:secret@example.org"}, "is not the URL of an image server"),
        ({"alias": ""}, 'field "source.alias"'),
    ],
)
async def test_a_source_that_cannot_be_is_refused_at_once(
    api: Caller, pool: None, changes: dict[str, str], said: str
) -> None:
    for path in ("/1.0/images", "/1.0/containers"):
        reply = await api.ask("POST", path, {"source": source(**changes)})
        assert reply.status == 400
        assert said in reply.error


async def test_a_disk_that_is_too_small_is_told_before_the_download(api: Caller, web: FakeDownloads) -> None:
    web.content, _ = trusty(size=60 * 1024**3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50 * 1024**3))
        error = (await copy(api))["err"]
    assert "takes 60.00GB" in error and "only 50.00GB free; free some, then retry" in error
    assert not any(url.endswith("squashfs") for url in web.asked)
