import asyncio

import pytest
from msgspec.structs import replace

from tests.fakes import MemoryStore
from wardian.errors import AlreadyExists, HostFailed, NotFound, StaleRevision
from wardian.model.container import Profile
from wardian.ports.store import Write
from wardian.store.records import Records

P = Profile(name="p", config={"user.a": "1"})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def records(store: MemoryStore) -> Records:
    return Records(store)


async def test_a_value_comes_back_as_it_was_put(records: Records) -> None:
    await records.profiles.insert(P)
    assert await records.profiles.get("p") == await records.profiles.find("p") == P
    assert await records.profiles.all() == [P]


async def test_a_name_that_is_taken_or_missing_is_named(records: Records) -> None:
    await records.profiles.insert(P)
    with pytest.raises(AlreadyExists, match='profile "p" already exists'):
        await records.profiles.insert(P)
    with pytest.raises(NotFound, match='container "c1" not found'):
        await records.containers.get("c1")
    with pytest.raises(NotFound):
        await records.profiles.replace(replace(P, name="q"))
    assert await records.profiles.find("q") is None


async def test_replace_with_an_old_revision_is_refused(records: Records) -> None:
    await records.profiles.insert(P)
    revision = await records.profiles.revision("p")
    await records.profiles.replace(replace(P, description="1"), revision=revision)
    with pytest.raises(StaleRevision):
        await records.profiles.replace(replace(P, description="2"), revision=revision)
    assert (await records.profiles.get("p")).description == "1"


async def test_concurrent_changes_all_count(records: Records) -> None:
    await records.profiles.insert(replace(P, description=""))

    def append(profile: Profile) -> Profile:
        return replace(profile, description=profile.description + "x")

    await asyncio.gather(*(records.profiles.change("p", append) for _ in range(20)))
    assert (await records.profiles.get("p")).description == "x" * 20


async def test_a_batch_happens_whole_or_not_at_all(records: Records) -> None:
    await records.profiles.insert(P)
    revision = await records.profiles.revision("p")
    table = records.profiles
    await records.batch().insert(table, replace(P, name="q")).delete(table, "p", revision=revision).commit()
    assert [profile.name for profile in await table.all()] == ["q"]
    stale = records.batch().insert(table, replace(P, name="r")).delete(table, "q", revision=revision)
    with pytest.raises(StaleRevision):
        await stale.commit()
    assert [profile.name for profile in await table.all()] == ["q"]


async def test_deleting_is_harmless_when_there_is_nothing(records: Records) -> None:
    await records.profiles.delete("p")
    assert await records.profiles.all() == []


async def test_a_broken_record_is_named(records: Records, store: MemoryStore) -> None:
    await store.commit([Write("profiles/p", b"{")])
    with pytest.raises(HostFailed, match='record "profiles/p" in the database is broken'):
        await records.profiles.get("p")


async def test_the_server_configuration_is_one_document(records: Records) -> None:
    assert (await records.server.get(), await records.server.revision()) == ({}, 0)
    await records.server.replace({"a": "1"}, revision=0)
    with pytest.raises(StaleRevision):
        await records.server.replace({"a": "2"}, revision=0)
    assert await records.server.get() == {"a": "1"}
