import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeListener
from tests.unit.api.conftest import Caller
from wardian.core import join_tokens, trust
from wardian.core.host import Host
from wardian.linux import keypair
from wardian.model import certificates
from wardian.model.access import FULL, Access

PATH = "/1.0/certificates"


@pytest.fixture
def der(tmp_path: Path) -> bytes:
    return make(tmp_path, "one")


def make(folder: Path, name: str) -> bytes:
    """A client's certificate."""
    certificate = folder / f"{name}.crt"
    keypair.create(certificate, folder / f"{name}.key", keypair.Subject(name, server=False))
    return certificates.to_der(certificate.read_text())


def body(der: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "client", "certificate": base64.b64encode(der).decode(), "name": "laptop"} | more


async def test_a_certificate_is_added_shown_and_removed(api: Caller, host: Host, der: bytes) -> None:
    fingerprint = certificates.fingerprint(der)
    reply = await api.ask("POST", PATH, body(der))
    assert (reply.status, reply.headers["Location"]) == (201, f"{PATH}/{fingerprint}")
    assert await api.get(PATH) == [f"{PATH}/{fingerprint}"]
    shown = {
        "certificate": certificates.to_pem(der),
        "fingerprint": fingerprint,
        "name": "laptop",
        "type": "client",
        "read_only": False,
        "containers": None,
    }
    assert await api.get(f"{PATH}?recursion=1") == [shown]
    assert await api.get(f"{PATH}/{fingerprint[:8]}") == shown
    assert await trust.access_of(host, der) == FULL
    assert (await api.ask("DELETE", f"{PATH}/{fingerprint[:8]}")).status == 200
    assert await trust.access_of(host, der) is None
    assert isinstance(host.listener, FakeListener)
    assert host.listener.dropped == [fingerprint]
    assert (await api.ask("DELETE", f"{PATH}/{fingerprint}")).status == 404


async def test_the_same_certificate_twice_is_refused(api: Caller, der: bytes) -> None:
    await api.ask("POST", PATH, body(der))
    reply = await api.ask("POST", PATH, body(der, name="other"))
    assert (reply.status, reply.error) == (400, "Certificate already in trust store")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"type": "server"}, "Unknown request type server"),
        ({"certificate": ""}, "Can't use TLS data on non-TLS link"),
        ({"certificate": "AAAA"}, "this is not a certificate"),
        ({"name": "a b"}, 'field "name": "a b" is not a name'),
        ({"restricted": True}, "not available in this version"),
        ({"nonsense": 1}, 'unknown field "nonsense"'),
    ],
)
async def test_what_is_wrong_is_named(api: Caller, der: bytes, change: dict[str, Any], error: str) -> None:
    reply = await api.ask("POST", PATH, body(der, **change))
    assert reply.status == 400 and error in reply.error
    assert await api.get(PATH) == []


@pytest.mark.parametrize("text", ["", "zz", "%", "a" * 65, "A"])
async def test_what_is_no_fingerprint_is_not_found(api: Caller, der: bytes, text: str) -> None:
    await api.ask("POST", PATH, body(der))
    assert (await api.ask("GET", f"{PATH}/{text.replace('%', '%25')}")).status == 404


async def test_a_fingerprint_that_is_not_unique_removes_nothing(api: Caller, tmp_path: Path) -> None:
    made: dict[str, int] = {}
    while 2 not in made.values():
        der = make(tmp_path, "x")
        await api.ask("POST", PATH, body(der))
        first = certificates.fingerprint(der)[0]
        made[first] = made.get(first, 0) + 1
    reply = await api.ask("DELETE", f"{PATH}/{first}")
    assert reply.status == 400 and "is the beginning of 2 fingerprints" in reply.error


async def test_a_guest_without_password_or_token_is_refused(guest: Caller, api: Caller, der: bytes) -> None:
    for wanted in (body(der), body(der, password=""), body(der, password="x"), {"token": True, "name": "x"}):
        reply = await guest.ask("POST", PATH, wanted)
        assert (reply.status, reply.error) == (403, "not authorized")
    assert await api.get(PATH) == []


async def test_the_password_admits_and_is_limited(
    guest: Caller, api: Caller, host: Host, der: bytes
) -> None:
    await api.ask("PATCH", "/1.0", {"config": {"core.trust_password": "sesame"}})
    assert (await guest.ask("POST", PATH, body(der, password="sesame"))).status == 201
    replies = await asyncio.gather(*(guest.ask("POST", PATH, body(der, password="no")) for _ in range(50)))
    assert sorted(reply.status for reply in replies) == [403] * 5 + [429] * 45
    reply = await guest.ask("POST", PATH, body(der, password="sesame"))
    assert reply.status == 429 and reply.error.startswith("too many wrong attempts")


async def test_a_token_admits_once_even_if_many_come_at_once(
    guest: Caller, api: Caller, host: Host, tmp_path: Path
) -> None:
    token = await invite(api, host)
    wanted = [body(make(tmp_path, str(n)), trust_token=token, name="forged") for n in range(8)]
    replies = await asyncio.gather(*(guest.ask("POST", PATH, one) for one in wanted))
    assert sorted(reply.status for reply in replies) == [201] + [403] * 7
    (known,) = await host.records.certificates.all()
    assert known.name == "desk"  # the one who invited chose the name
    assert await api.get("/1.0/certificate-tokens") == []


async def invite(api: Caller, host: Host, **rights: Any) -> str:
    """A join token, put together from the answer as clients do."""
    host.listener.address = "10.0.0.1:8443"  # type: ignore[attr-defined]
    reply = await api.ask("POST", PATH, {"type": "client", "name": "desk", "token": True} | rights)
    assert reply.status == 202 and reply.metadata["class"] == "token"
    made = reply.metadata["metadata"]
    assert made["addresses"] == ["10.0.0.1:8443"]
    fields = {key: made[key] for key in ("fingerprint", "addresses", "secret")} | {"client_name": "desk"}
    later = await api.get(f"{reply.body['operation']}")
    assert made["secret"] not in str(later)
    return base64.b64encode(json.dumps(fields).encode()).decode()


async def test_a_bad_certificate_does_not_use_up_the_token(guest: Caller, api: Caller, host: Host) -> None:
    token = await invite(api, host)
    assert (await guest.ask("POST", PATH, body(b"AAA", trust_token=token))).status == 400
    assert [one["name"] for one in await api.get("/1.0/certificate-tokens")] == ["desk"]


async def test_an_expired_token_admits_nobody_and_makes_room(
    guest: Caller, api: Caller, host: Host, der: bytes
) -> None:
    import msgspec

    token = await invite(api, host)
    (known,) = await host.records.tokens.all()
    past = known.created_at - timedelta(seconds=1)
    await host.records.tokens.replace(msgspec.structs.replace(known, expires_at=past))
    assert (await guest.ask("POST", PATH, body(der, password=token))).status == 403
    assert await api.get("/1.0/certificate-tokens") == []
    assert await invite(api, host) != token


async def test_a_token_needs_a_server_on_the_network(api: Caller) -> None:
    reply = await api.ask("POST", PATH, {"type": "client", "name": "desk", "token": True})
    assert reply.status == 400 and "core.https_address" in reply.error


async def test_a_revoked_token_admits_nobody(guest: Caller, api: Caller, host: Host, der: bytes) -> None:
    token = await invite(api, host)
    assert (await api.ask("DELETE", "/1.0/certificate-tokens/desk")).status == 200
    assert (await api.ask("DELETE", "/1.0/certificate-tokens/desk")).status == 404
    assert (await guest.ask("POST", PATH, body(der, trust_token=token))).status == 403


async def test_the_secret_of_a_token_is_not_kept(host: Host) -> None:
    host.listener.address = "10.0.0.1:8443"  # type: ignore[attr-defined]
    made = await join_tokens.invite(host, "x", "1h", FULL)
    (kept,) = await host.records.tokens.all()
    assert made.metadata["secret"] not in str(kept)


async def test_a_token_is_an_operation_that_runs_until_it_is_used_or_cancelled(
    guest: Caller, api: Caller, host: Host, der: bytes
) -> None:
    def running() -> list[Any]:
        return [one for one in host.operations.all() if one.status == "Running"]

    token = await invite(api, host)
    (shown,) = (await api.get("/1.0/operations?recursion=1"))["running"]
    assert (shown["class"], shown["metadata"]["request"]["name"], shown["metadata"]["secret"]) == (
        "token",
        "desk",
        "",
    )
    assert (await guest.ask("POST", PATH, body(der, trust_token=token))).status == 201
    await api.get(f"/1.0/operations/{shown['id']}/wait")
    assert running() == [] and await host.records.tokens.all() == []
    token = await invite(api, host)
    (operation,) = running()
    assert (await api.ask("DELETE", operation.url)).status == 200
    await api.get(f"{operation.url}/wait")
    assert await host.records.tokens.all() == []
    assert (await guest.ask("POST", PATH, body(der, trust_token=token))).status == 403


async def test_tokens_outlive_the_daemon_without_their_secrets(api: Caller, host: Host) -> None:
    await invite(api, host)
    await host.operations.close()
    assert len(await host.records.tokens.all()) == 1
    await join_tokens.announce_all(host)
    (found,) = [one for one in host.operations.all() if one.status == "Running"]
    assert (found.kind, found.metadata["request"]["name"], found.metadata["secret"]) == ("token", "desk", "")
    await api.ask("DELETE", "/1.0/certificate-tokens/desk")
    await api.get(f"{found.url}/wait")


async def test_what_a_token_admits_has_the_rights_that_it_was_made_with(
    guest: Caller, api: Caller, host: Host, der: bytes
) -> None:
    token = await invite(api, host, read_only=True, containers=["c1", "c2"])
    wanted = body(der, trust_token=token, read_only=False)
    assert (await guest.ask("POST", PATH, wanted)).status == 201
    assert await trust.access_of(host, der) == Access(read_only=True, containers=("c1", "c2"))


async def test_rights_are_changed_by_put_and_patch(api: Caller, host: Host, der: bytes) -> None:
    assert isinstance(host.listener, FakeListener)
    fingerprint = certificates.fingerprint(der)
    await api.ask("POST", PATH, body(der, containers=["c1"]))
    url = f"{PATH}/{fingerprint}"
    reply = await api.ask("PATCH", url, {"read_only": True})
    assert reply.status == 200
    assert await trust.access_of(host, der) == Access(read_only=True, containers=("c1",))
    assert host.listener.dropped == [fingerprint]
    await api.ask("PATCH", url, {"name": "other"})
    assert host.listener.dropped == [fingerprint]  # with the same rights it goes on
    await api.ask("PATCH", url, {"containers": None})
    assert await trust.access_of(host, der) == Access(read_only=True)
    await api.ask("PUT", url, {"name": "other", "type": "client"})
    assert await trust.access_of(host, der) == FULL
    assert (await api.ask("PATCH", url, {"containers": ["../x"]})).status == 400


@pytest.mark.parametrize("sealed", ["", trust.password_hash("right")])
def test_only_the_right_password_is_the_password(sealed: str) -> None:
    assert trust.is_password("right", sealed) is bool(sealed)
    assert not trust.is_password("wrong", sealed)


def test_a_wrong_password_takes_as_long_as_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are hashed, and the whole hashes compared by a function that takes the same time for each."""
    compared: list[tuple[int, int]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    sealed = trust.password_hash("right")
    monkeypatch.setattr("hmac.compare_digest", compare)
    for password in ("right", "righ", "x", "r" * 1000):
        trust.is_password(password, sealed)
    assert compared == [(192, 192)] * 4


async def test_wrong_tokens_by_the_thousand_fill_neither_log_nor_store(
    guest: Caller, api: Caller, host: Host, der: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fields = json.loads(base64.b64decode(await invite(api, host)))
    forged = base64.b64encode(json.dumps(fields | {"secret": "0" * 64}).encode()).decode()
    wanted = body(der, trust_token=forged)
    assert {(await guest.ask("POST", PATH, wanted)).status for _ in range(1000)} == {403}
    assert 0 < caplog.text.count("join token") < 100
    assert len(await host.records.tokens.all()) == 1
    assert await host.records.certificates.all() == []


async def test_a_certificate_that_has_expired_is_not_trusted(
    host: Host, der: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trust.add(host, der, "laptop")
    now = certificates.facts(der).not_after

    class Later:
        @staticmethod
        def now(zone: Any) -> Any:
            return now + timedelta(seconds=1)

    monkeypatch.setattr(trust, "datetime", Later)
    assert await trust.access_of(host, der) is None


async def test_a_body_of_a_guest_is_small(guest: Caller) -> None:
    reply = await guest.ask("POST", PATH, b" " * 100_000)
    assert reply.status == 400 and "larger than 65536 bytes" in reply.error
