from datetime import UTC, datetime

import pytest

from tests.unit.api.conftest import Caller
from wardian.core.host import Host
from wardian.model.container import Image

FINGERPRINT = "a" * 64
PATH = f"/1.0/images/{FINGERPRINT}"


@pytest.fixture
async def private(host: Host) -> Image:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    image = Image(
        fingerprint=FINGERPRINT,
        filename="x",
        size=1,
        architecture="x86_64",
        created_at=now,
        uploaded_at=now,
        split=False,
    )
    await host.records.images.insert(image)
    (host.paths.images / FINGERPRINT).write_bytes(b"content")
    return image


async def test_a_secret_opens_one_private_image_once(
    api: Caller, guest: Caller, host: Host, private: Image
) -> None:
    assert (await guest.ask("GET", PATH)).status == 404
    reply = await api.ask("POST", f"{PATH}/secret")
    assert (reply.status, reply.metadata["class"]) == (202, "token")
    secret = reply.metadata["metadata"]["secret"]
    assert len(secret) == 64
    for wrong in ("", "x", secret[:-1]):
        assert (await guest.ask("GET", f"{PATH}?secret={wrong}")).status == 404
    other = "b" * 64
    await host.records.images.insert(
        Image(
            **{field: getattr(private, field) for field in Image.__struct_fields__} | {"fingerprint": other}
        )
    )
    assert (await guest.ask("GET", f"/1.0/images/{other}?secret={secret}")).status == 404
    assert (await guest.ask("GET", f"{PATH}?secret={secret}")).status == 200
    async with guest.session.get(f"{guest.base}{PATH}/export?secret={secret}") as answer:
        assert (answer.status, await answer.read()) == (200, b"content")
    await host.operations.wait(reply.metadata["id"])
    host.operations._operations.clear()  # as some seconds later
    assert (await guest.ask("GET", f"{PATH}?secret={secret}")).status == 404


async def test_secrets_are_for_the_trusted_to_give_and_are_not_listed(
    api: Caller, guest: Caller, private: Image
) -> None:
    assert (await guest.ask("POST", f"{PATH}/secret")).status == 403
    secret = (await api.ask("POST", f"{PATH}/secret")).metadata["metadata"]["secret"]
    assert secret not in str(await api.get("/1.0/operations?recursion=1"))


async def test_an_image_is_sent_once_and_the_connection_goes_on(
    api: Caller, private: Image, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        async with api.session.get(f"{api.base}{PATH}/export") as answer:
            assert await answer.read() == b"content"
    assert await api.get(PATH)
    assert "Unhandled" not in caplog.text
