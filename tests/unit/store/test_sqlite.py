import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from wardian.errors import HostFailed, OutOfSpace
from wardian.ports.store import Write
from wardian.store.reserve import SIZE_BYTES
from wardian.store.sqlite import UPGRADES, SqliteStore


async def test_documents_and_revisions_are_there_again_after_reopening(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "lxd.db")
    await store.commit([Write("a", b"1"), Write("b", b"2")])
    revision = await store.commit([Write("b", None)])
    await store.close()
    again = await SqliteStore.open(tmp_path / "lxd.db")
    assert [(d.key, d.value) for d in await again.list("")] == [("a", b"1")]
    assert await again.commit([Write("c", b"3")]) == revision + 1
    await again.close()


async def test_only_root_can_read_the_file_and_its_log(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "lxd.db")
    await store.commit([Write("a", b"1")])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    await store.close()
    assert set(modes.values()) == {0o600}, modes


async def test_a_second_opener_is_told_who_has_it(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "lxd.db")
    with pytest.raises(HostFailed, match="in use by another daemon"):
        await SqliteStore.open(tmp_path / "lxd.db")
    await store.close()


async def test_a_closed_store_refuses_writes_and_closes_twice(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "lxd.db")
    await store.close()
    await store.close()
    with pytest.raises(HostFailed, match="is closed"):
        await store.commit([Write("a", b"1")])


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lxd.db").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(HostFailed, match=r"lxd\.db.*not a database"):
        await SqliteStore.open(tmp_path / "lxd.db")


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    newer = await SqliteStore.open(tmp_path / "lxd.db", (*UPGRADES, "CREATE TABLE more (x);"))
    await newer.close()
    with pytest.raises(HostFailed, match="schema version 2, this program knows 1"):
        await SqliteStore.open(tmp_path / "lxd.db")


async def test_an_upgrade_keeps_a_copy_of_what_was_there(tmp_path: Path) -> None:
    old = await SqliteStore.open(tmp_path / "lxd.db")
    await old.commit([Write("a", b"1")])
    await old.close()
    new = await SqliteStore.open(tmp_path / "lxd.db", (*UPGRADES, "UPDATE documents SET value = x'32';"))
    assert [d.value for d in await new.list("")] == [b"2"]
    await new.close()
    backup = tmp_path / "lxd.db.v1.bak"
    assert backup.stat().st_mode & 0o777 == 0o600
    copy = sqlite3.connect(backup)
    assert copy.execute("SELECT value FROM documents").fetchall() == [(b"1",)]
    copy.close()


async def test_a_failed_upgrade_changes_nothing(tmp_path: Path) -> None:
    old = await SqliteStore.open(tmp_path / "lxd.db")
    await old.commit([Write("a", b"1")])
    await old.close()
    broken = (*UPGRADES, "DELETE FROM documents; SELECT nonsense;")
    with pytest.raises(HostFailed, match="nonsense"):
        await SqliteStore.open(tmp_path / "lxd.db", broken)
    again = await SqliteStore.open(tmp_path / "lxd.db")
    assert [d.value for d in await again.list("")] == [b"1"]
    await again.close()


async def test_a_full_disk_is_said_and_the_store_goes_on_once_there_is_room(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "lxd.db")
    await store.commit([Write("a", b"1")])
    store._connection.execute("PRAGMA max_page_count = 5")  # idle: the writer thread waits for a job
    with pytest.raises(OutOfSpace, match="no space left for database"):
        await store.commit([Write("big", bytes(100_000))])
    assert await store.get("big") is None
    assert (tmp_path / "lxd.db.reserve").stat().st_size == SIZE_BYTES, "kept for deletions"
    store._connection.execute("PRAGMA max_page_count = 100000")
    await store.commit([Write("b", b"2")])
    assert [d.key for d in await store.list("")] == ["a", "b"]
    await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from wardian.ports.store import Write
from wardian.store.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    for number in range(100000):
        await store.commit([Write(f"k{number:06}", b"x"), Write("last", b"%d" % number)])
        print(number, flush=True)

asyncio.run(main())
"""


def last_told_before_kill_9(database: Path) -> int:
    """The number of the last commit that a killed writer has reported."""
    argv = [sys.executable, "-c", WRITER, str(database)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = -1
        while told < 20:
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    return int(rest[-1]) if rest else told


async def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    told = await asyncio.to_thread(last_told_before_kill_9, tmp_path / "lxd.db")
    store = await SqliteStore.open(tmp_path / "lxd.db")
    last = await store.get("last")
    assert last is not None
    assert int(last.value) >= told
    # Both keys of a commit are there or neither.
    assert [d.key for d in await store.list("k")] == [f"k{n:06}" for n in range(int(last.value) + 1)]
    await store.close()
