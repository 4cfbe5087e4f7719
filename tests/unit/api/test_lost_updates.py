"""Two writers who have read the same object: the second one is told, whatever the object."""

import asyncio
from typing import Any

import pytest

from tests.unit.api.conftest import Caller
from wardian.core import pools, profiles
from wardian.core.host import Host

OBJECTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "container": ("PATCH", "/1.0/containers/c1", {"config": {"user.a": "{}"}}),
    "container, replaced": (
        "PUT",
        "/1.0/containers/c1",
        {"config": {"user.a": "{}"}, "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}},
    ),
    "profile": ("PUT", "/1.0/profiles/default", {"description": "{}"}),
    "image": ("PATCH", "/1.0/images/{image}", {"properties": {"a": "{}"}}),
    "alias": ("PATCH", "/1.0/images/aliases/mine", {"description": "{}"}),
    "network": ("PATCH", "/1.0/networks/br9", {"description": "{}"}),
    "pool": ("PATCH", "/1.0/storage-pools/default", {"description": "{}"}),
    "snapshot": ("PATCH", "/1.0/containers/c1/snapshots/s1", {"description": "{}"}),
    "server": ("PATCH", "/1.0", {"config": {"images.remote_cache_expiry": "{}"}}),
}


@pytest.fixture
async def image(api: Caller, host: Host) -> str:
    """One object of each kind; the fingerprint of the image."""
    await profiles.ensure_builtin(host)
    await pools.ensure_default(host)
    upload = b"architecture: x86_64\ncreation_date: 1\n"
    ended = await api.run("POST", "/1.0/images", upload)
    assert ended["status"] == "Success", ended["err"]
    fingerprint: str = ended["metadata"]["fingerprint"]
    await api.ask("POST", "/1.0/images/aliases", {"name": "mine", "target": fingerprint})
    await api.ask("POST", "/1.0/networks", {"name": "br9"})
    source = {"type": "image", "fingerprint": fingerprint}
    await api.run("POST", "/1.0/containers", {"name": "c1", "source": source})
    await api.run("POST", "/1.0/containers/c1/snapshots", {"name": "s1"})
    return fingerprint


def filled(content: dict[str, Any], value: str) -> dict[str, Any]:
    """The body with the value in place of `{}`."""
    return {
        key: filled(item, value) if isinstance(item, dict) else item.replace("{}", value)
        for key, item in content.items()
    }


@pytest.mark.parametrize("kind", OBJECTS)
async def test_of_two_writers_one_is_told_to_read_again(api: Caller, image: str, kind: str) -> None:
    verb, path, body = OBJECTS[kind]
    path = path.format(image=image)
    tag = {"If-Match": (await api.ask("GET", path)).headers["ETag"]}
    replies = await asyncio.gather(
        *(api.ask(verb, path, filled(body, value), headers=tag) for value in ("5", "6"))
    )
    ended = [await outcome(api, reply.status, reply.body) for reply in replies]
    assert sorted(ended) == [False, True], replies
    again = await api.ask(verb, path, filled(body, "7"), headers=tag)
    assert again.status == 412 and "read it again" in again.error


async def outcome(api: Caller, status: int, body: dict[str, Any]) -> bool:
    """Whether the change was made; a refusal must be about the revision."""
    if status == 202:
        operation = await api.get(f"{body['operation']}/wait")
        assert operation["status"] == "Success" or _is_told(operation["err"])
        return bool(operation["status"] == "Success")
    assert status == 200 or _is_told(body["error"])
    return status == 200


def _is_told(error: str) -> bool:
    return "read it again" in error or "is busy running" in error
