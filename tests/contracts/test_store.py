"""What every Store promises (ports.Store); run on each implementation."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import MemoryStore
from wardian.errors import StaleRevision
from wardian.ports.store import Store, Write
from wardian.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "lxd.db")
    )
    yield opened
    await opened.close()


async def test_an_empty_store_has_nothing(store: Store) -> None:
    assert await store.get("containers/c1") is None
    assert await store.list("") == []


async def test_a_document_can_be_read_once_commit_returns(store: Store) -> None:
    revision = await store.commit([Write("containers/c1", b"\x00one")])
    document = await store.get("containers/c1")
    assert document is not None
    assert (document.key, document.value, document.revision) == ("containers/c1", b"\x00one", revision)


async def test_the_revision_grows_with_each_commit_to_any_key(store: Store) -> None:
    first = await store.commit([Write("a", b"1")])
    second = await store.commit([Write("b", b"1")])
    third = await store.commit([Write("a", None)])
    assert 0 < first < second < third
    document = await store.get("b")
    assert document is not None
    assert document.revision == second


async def test_a_key_that_was_deleted_and_made_again_has_a_new_revision(store: Store) -> None:
    first = await store.commit([Write("a", b"1")])
    await store.commit([Write("a", None)])
    assert await store.commit([Write("a", b"1")], {"a": 0}) > first


async def test_list_is_sorted_and_bound_to_the_prefix(store: Store) -> None:
    keys = ["containers/b", "containers/a", "containers0", "containers/é", "profiles/a", "container"]
    await store.commit([Write(key, b"") for key in keys])
    listed = [document.key for document in await store.list("containers/")]
    assert listed == ["containers/a", "containers/b", "containers/é"]


async def test_deleting_what_is_not_there_is_harmless(store: Store) -> None:
    await store.commit([Write("a", None)])
    assert await store.get("a") is None


async def test_a_failed_expectation_names_the_key_and_writes_nothing(store: Store) -> None:
    revision = await store.commit([Write("a", b"1"), Write("b", b"1")])
    with pytest.raises(StaleRevision, match='"b"'):
        await store.commit([Write("a", b"2"), Write("c", b"2")], {"a": revision, "b": revision - 1})
    assert await store.get("c") is None
    document = await store.get("a")
    assert document is not None
    assert document.value == b"1"


async def test_expecting_revision_0_means_that_the_key_must_be_free(store: Store) -> None:
    await store.commit([Write("a", b"1")], {"a": 0})
    with pytest.raises(StaleRevision):
        await store.commit([Write("a", b"2")], {"a": 0})


async def test_of_many_writers_of_one_revision_exactly_one_wins(store: Store) -> None:
    revision = await store.commit([Write("a", b"start")])
    results = await asyncio.gather(
        *(store.commit([Write("a", b"%d" % n)], {"a": revision}) for n in range(50)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, StaleRevision) for result in results) == 49


async def test_concurrent_commits_all_arrive_with_distinct_revisions(store: Store) -> None:
    revisions = await asyncio.gather(*(store.commit([Write(f"k{n:03}", b"%d" % n)]) for n in range(200)))
    assert len(set(revisions)) == 200
    assert [document.value for document in await store.list("k")] == [b"%d" % n for n in range(200)]


async def test_a_cancelled_commit_is_finished_and_the_cancellation_comes_after_it(store: Store) -> None:
    committed = False

    async def insert() -> None:
        nonlocal committed
        await store.commit([Write("a", b"1")])
        committed = True
        await asyncio.Event().wait()

    task = asyncio.create_task(insert())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert committed
    assert await store.get("a") is not None


async def test_a_timeout_around_a_commit_stays_a_timeout(store: Store) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await store.commit([Write("a", b"1")])
            await asyncio.Event().wait()
    assert await store.get("a") is not None


WRITES = st.lists(
    st.tuples(st.sampled_from(["a", "a/b", "a/c", "b", "é", "z"]), st.none() | st.binary(max_size=8)),
    max_size=4,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(WRITES, max_size=8))
async def test_any_sequence_of_commits_leaves_what_a_dictionary_would_hold(
    store: Store, batches: list[list[tuple[str, bytes | None]]]
) -> None:
    await store.commit([Write(document.key, None) for document in await store.list("")])
    expected: dict[str, bytes] = {}
    for batch in batches:
        await store.commit([Write(key, value) for key, value in batch])
        for key, value in batch:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
    assert [(d.key, d.value) for d in await store.list("")] == sorted(expected.items())
