"""Updates and the end of cached images, on a host of fakes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tests.fake_downloads import FakeDownloads
from tests.fakes import Faults, make_host
from tests.streams import SERVER, trusty
from tests.unit.api.conftest import Caller
from wardian.core import image_sources, image_upkeep, images
from wardian.core.host import Host
from wardian.model.requests import ImageCreate, ImageSourceRequest

SOURCE = {"type": "image", "server": SERVER, "protocol": "simplestreams", "alias": "trusty"}


@pytest.fixture
def web(host: Host) -> FakeDownloads:
    return cast(FakeDownloads, host.downloads)


async def copy(host: Host, *, auto_update: bool = True) -> str:
    """Fetch the image under the alias `mine`; its fingerprint."""
    request = ImageCreate(source=ImageSourceRequest(**SOURCE), auto_update=auto_update)
    operation = image_sources.pull(host, request)
    await operation.finished.wait()
    assert operation.status == "Success", operation.err
    fingerprint = str(operation.metadata["fingerprint"])
    await images.create_alias(host, images.AliasWrite(name="mine", target=fingerprint))
    return fingerprint


async def known(host: Host) -> dict[str, str]:
    """Alias -> fingerprint, with the files that are there as `files`."""
    found = {alias.name: alias.target for alias in await host.records.aliases.all()}
    return found | {"files": " ".join(sorted(path.name for path in host.paths.images.iterdir()))}


async def test_a_newer_image_gets_the_aliases_and_the_flags(
    api: Caller, host: Host, web: FakeDownloads
) -> None:
    web.content, _ = trusty()
    old = await copy(host)
    used_at = datetime(2026, 1, 2, tzinfo=UTC)
    await host.records.images.change(old, lambda i: replace(i, last_used_at=used_at, cached=True))
    web.content, new = trusty("two", "20160501")
    await image_upkeep.update_all(host)
    (image,) = await host.records.images.all()
    assert (image.fingerprint, image.last_used_at, image.cached, image.auto_update) == (
        new,
        used_at,
        True,
        True,
    )
    assert await known(host) == {"mine": new, "files": f"{new} {new}.rootfs"}


async def test_refresh_says_whether_there_was_something_newer(
    api: Caller, host: Host, web: FakeDownloads
) -> None:
    web.content, _ = trusty()
    old = await copy(host, auto_update=False)
    done = await api.run("POST", f"/1.0/images/{old}/refresh")
    assert done["metadata"] == {"refreshed": False, "fingerprint": old}
    web.content, new = trusty("two", "20160501")
    done = await api.run("POST", f"/1.0/images/{old}/refresh")
    assert done["metadata"] == {"refreshed": True, "fingerprint": new}
    web.content = {}
    assert (await api.run("POST", f"/1.0/images/{new}/refresh"))["err"] == "cannot reach the web"
    await host.records.images.change(new, lambda i: replace(i, update_source=None))
    assert "no source" in (await api.ask("POST", f"/1.0/images/{new}/refresh")).error


@pytest.mark.parametrize("config", [{"images.auto_update_interval": "0"}, {}])
async def test_images_that_are_not_to_be_updated_are_not(
    host: Host, web: FakeDownloads, config: dict[str, str]
) -> None:
    web.content, _ = trusty()
    old = await copy(host, auto_update=bool(config))
    await host.records.server.replace(config)
    web.content, _ = trusty("two", "20160501")
    await image_upkeep.update_all(host)
    assert (await known(host))["mine"] == old


async def test_an_image_in_use_goes_at_the_next_update(host: Host, web: FakeDownloads) -> None:
    web.content, _ = trusty()
    old = await copy(host)
    web.content, new = trusty("two", "20160501")
    with images.in_use(host, await images.get(host, old)):
        await image_upkeep.update_all(host)
        assert (await known(host))["mine"] == new
        assert len(await host.records.images.all()) == 2
    await image_upkeep.update_all(host)
    assert [image.fingerprint for image in await host.records.images.all()] == [new]


async def test_an_update_that_fails_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    for step in range(40):
        faults = Faults()
        host = make_host(tmp_path / str(step), faults)
        web = cast(FakeDownloads, host.downloads)
        web.content, _ = trusty()
        await copy(host)
        web.content, new = trusty("two", "20160501")
        before = len(faults.steps)
        faults.fail_at = before + step
        await image_upkeep.update_all(host)
        has_failed = len(faults.steps) > faults.fail_at
        target = (await known(host))["mine"]
        assert await images.get(host, target)
        faults.fail_at = None
        await images.sweep(host)
        await image_upkeep.update_all(host)
        await images.sweep(host)
        assert await known(host) == {"mine": new, "files": f"{new} {new}.rootfs"}
        if not has_failed:
            assert step > 3
            return
    raise AssertionError("there was no end of steps")


@pytest.mark.parametrize(
    ("cached", "used_days_ago", "expiry", "is_gone"),
    [
        (True, 11, "", True),
        (True, 9, "", False),
        (False, 99, "", False),
        (True, 99, "0", False),
        (True, 3, "2", True),
    ],
)
async def test_cached_images_go_when_unused(
    host: Host, web: FakeDownloads, cached: bool, used_days_ago: int, expiry: str, is_gone: bool
) -> None:
    web.content, _ = trusty()
    fingerprint = await copy(host)
    used_at = datetime.now(UTC) - timedelta(days=used_days_ago)
    await host.records.images.change(fingerprint, lambda i: replace(i, cached=cached, last_used_at=used_at))
    await host.records.server.replace({"images.remote_cache_expiry": expiry} if expiry else {})
    await image_upkeep.prune(host)
    assert (await host.records.images.find(fingerprint) is None) == is_gone
    assert (await known(host) == {"files": ""}) == is_gone


async def test_an_image_that_is_used_meanwhile_stays(host: Host, web: FakeDownloads) -> None:
    web.content, _ = trusty()
    image = await images.get(host, await copy(host))
    await images.used(host, image)
    await image_upkeep._expire(host, image)
    assert await host.records.images.find(image.fingerprint) is not None


async def test_the_sweep_removes_what_no_record_names(host: Host, web: FakeDownloads) -> None:
    web.content, _ = trusty()
    fingerprint = await copy(host)
    for name in ("0" * 64, "0" * 64 + ".rootfs"):
        (host.paths.images / name).touch()
    (host.paths.images / ".build-1").mkdir()
    await images.sweep(host)
    assert (await known(host))["files"] == f"{fingerprint} {fingerprint}.rootfs"


async def test_both_run_at_the_start_and_when_their_key_changes(api: Caller, host: Host) -> None:
    runs: asyncio.Queue[str] = asyncio.Queue()

    async def note_prune(_: Host) -> None:
        runs.put_nowait("prune")

    async def note_update(_: Host) -> None:
        runs.put_nowait("update")

    async def configure(**config: Any) -> None:
        await api.ask("PATCH", "/1.0", {"config": {f"images.{key}": value for key, value in config.items()}})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_upkeep, "prune", note_prune)
        patch.setattr(image_upkeep, "update_all", note_update)
        async with image_upkeep.upkeep(host):
            assert {await runs.get(), await runs.get()} == {"prune", "update"}
            await configure(remote_cache_expiry="3")
            assert await runs.get() == "prune"
            await configure(compression_algorithm="xz", auto_update_interval="0")
            assert await runs.get() == "update"
            await configure(auto_update_interval="1")
            assert await runs.get() == "update"
            assert runs.empty()
