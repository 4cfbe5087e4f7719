"""What another host says of its images, honest and not."""

import json
from typing import Any, cast

import pytest

from tests.fake_downloads import FakeDownloads
from tests.fakes import Faults
from wardian.core import image_hosts
from wardian.errors import HostFailed, InvalidInput, NotFound, WardianError
from wardian.model.container import ImageSource
from wardian.model.proxies import Proxies
from wardian.ports.downloads import Downloads, Via

SERVER = "https://host.example"
FINGERPRINT = "ab" * 32
IMAGE = {"fingerprint": FINGERPRINT, "size": 7, "public": True, "properties": {"os": "x"}, "later": [1]}


def answer(metadata: Any) -> bytes:
    return json.dumps({"type": "sync", "metadata": metadata}).encode()


async def find(content: dict[str, bytes], name: str, secret: str = "") -> image_hosts.Offer:
    web = FakeDownloads(Faults())
    web.content = {f"{SERVER}/1.0/images/{path}": body for path, body in content.items()} | {"x": b""}
    origin = ImageSource(server=SERVER, protocol="lxd", alias=name)
    via = Via(proxies=Proxies())
    return await image_hosts.find(cast(Downloads, web), origin, via, secret)


async def test_an_alias_is_followed() -> None:
    content = {"aliases/web%20x": answer({"target": FINGERPRINT}), FINGERPRINT: answer(IMAGE)}
    offer = await find(content, "web x")
    assert offer.by_alias and offer.image.properties == {"os": "x"}
    assert offer.url == f"{SERVER}/1.0/images/{FINGERPRINT}/export"


async def test_a_fingerprint_or_its_beginning_is_asked_for_as_it_is() -> None:
    assert not (await find({FINGERPRINT: answer(IMAGE)}, FINGERPRINT)).by_alias
    assert (await find({"abab": answer(IMAGE)}, "abab")).image.fingerprint == FINGERPRINT


async def test_a_secret_goes_with_both_requests() -> None:
    offer = await find({f"{FINGERPRINT}?secret=s3": answer(IMAGE)}, FINGERPRINT, "s3")
    assert offer.url.endswith("/export?secret=s3")


@pytest.mark.parametrize("secret", ["a&b", "a b", "a\nb", "#", "x" * 513])
async def test_what_is_no_secret_is_not_sent(secret: str) -> None:
    with pytest.raises(InvalidInput, match="is not a secret"):
        await find({FINGERPRINT: answer(IMAGE)}, FINGERPRINT, secret)


@pytest.mark.parametrize("name", ["nothing", "abab", FINGERPRINT])
async def test_an_image_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(NotFound, match=f'has no image "{name}"'):
        await find({}, name)


@pytest.mark.parametrize(
    "said",
    [
        b"<html>",
        b"[]",
        b'{"metadata": 7}',
        answer({}),
        answer(IMAGE | {"fingerprint": "../../etc/passwd"}),
        answer(IMAGE | {"fingerprint": "cd" * 32}),
        answer(IMAGE | {"size": -1}),
        answer(IMAGE | {"size": 0}),
        answer(IMAGE | {"size": 10**30}),
        answer(IMAGE | {"properties": {"a": 1}}),
        answer(IMAGE | {"properties": [None]}),
        b'{"metadata": ' + b"[" * 100_000,
    ],
)
async def test_nonsense_is_told_as_such(said: bytes) -> None:
    with pytest.raises(HostFailed, match="does not answer as an image host does"):
        await find({FINGERPRINT: said}, FINGERPRINT)


async def test_an_alias_does_not_lead_elsewhere() -> None:
    for target in ("../../1.0/containers", "", "abab/../x", "http://other"):
        with pytest.raises(WardianError, match="does not answer as an image host does"):
            await find({"aliases/web": answer({"target": target})}, "web")
