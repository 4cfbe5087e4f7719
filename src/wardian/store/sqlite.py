"""The Store of a single host: one SQLite file, mirrored in memory.

The daemon owns the file (an exclusive lock), so everything in it is also kept in a dictionary and
reading costs no I/O. Writes go through one thread, which commits all that has queued up with one
fsync, and reach the dictionary and the caller only once they are on disk. Start at `commit`.
On a full disk writes that add nothing to speak of, as deletions are, go on from a reserve.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wardian.errors import HostFailed, OutOfSpace, StaleRevision, WardianError
from wardian.ports.store import Document, Write
from wardian.store.reserve import Reserve

UPGRADES: tuple[str, ...] = (
    """
    CREATE TABLE documents (
        key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('revision', 0);
    """,
)
"""Statement n takes the file from schema version n to n+1; the version is SQLite's `user_version`."""


SMALL_BYTES = 256
"""By how much a write may enlarge the data of a full disk: a mark on a record that is to be deleted."""


@dataclass(frozen=True, eq=False)
class _Job:
    """A commit that waits for the writer thread. done: its revision, or why it failed."""

    writes: tuple[Write, ...]
    expect: dict[str, int]
    done: asyncio.Future[int]


_Outcome = tuple[_Job, int | WardianError]


class SqliteStore:
    """A Store in the file at `path`; made by `open`, used from one event loop."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        self._reserve.hold()
        self._revision: int = connection.execute(
            "SELECT value FROM meta WHERE name = 'revision'"
        ).fetchone()[0]
        rows = connection.execute("SELECT key, value, revision FROM documents")
        self._documents = {key: Document(key, value, revision) for key, value, revision in rows}
        self._keys = sorted(self._documents)
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_until_closed, name="store writer", daemon=True)
        self._writer.start()

    @classmethod
    async def open(cls, path: Path, upgrades: Sequence[str] = UPGRADES) -> Self:
        """The store in the file, made (mode 0600) or brought to the newest schema if need be.

        HostFailed if the file is broken, in use by another daemon or written by a newer version.
        """
        return cls(path, await asyncio.to_thread(_connect, path, upgrades))

    async def get(self, key: str) -> Document | None:
        """The document, or None."""
        return self._documents.get(key)

    async def list(self, prefix: str) -> list[Document]:
        """All documents whose key starts with the prefix, sorted by key."""
        first = bisect_left(self._keys, prefix)
        found = []
        for position in range(first, len(self._keys)):
            key = self._keys[position]
            if not key.startswith(prefix):
                break
            found.append(self._documents[key])
        return found

    async def commit(self, writes: Sequence[Write], expect: Mapping[str, int] | None = None) -> int:
        """Apply all writes or none; see `ports.Store.commit`."""
        if self._closed:
            raise HostFailed(f'database "{self._path}" is closed')
        job = _Job(tuple(writes), dict(expect or {}), self._loop.create_future())
        self._jobs.put(job)
        await _wait_to_the_end(job.done)
        return job.done.result()

    async def close(self) -> None:
        """Finish what was begun and release the file; harmless if closed."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)

    # --- the writer thread ---------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        while batch := list(self._next_batch()):
            outcomes = self._commit_batch(batch)
            self._loop.call_soon_threadsafe(self._publish, outcomes)
        self._connection.close()

    def _next_batch(self) -> Iterator[_Job]:
        """The next job and what else waits by now; nothing once closed."""
        job = self._jobs.get()
        while job is not None:
            yield job
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
        self._jobs.put(None)  # the end, also for the next call

    def _commit_batch(self, batch: Sequence[_Job]) -> Sequence[_Outcome]:
        outcomes = self._try_batch(batch)
        if not any(isinstance(result, OutOfSpace) for _, result in outcomes):
            self._reserve.hold()
            return outcomes
        small = [job for job in batch if self._growth(job) <= SMALL_BYTES]
        if small and self._reserve.release():
            others = [(job, result) for job, result in outcomes if job not in small]
            return [*others, *self._try_batch(small)]
        return outcomes

    def _growth(self, job: _Job) -> int:
        """By how many bytes the job enlarges the data."""
        grown = 0
        for write in job.writes:
            known = self._documents.get(write.key)
            grown += len(write.value or b"") - (len(known.value) if known else 0)
        return grown

    def _try_batch(self, batch: Sequence[_Job]) -> Sequence[_Outcome]:
        before = self._revision
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [(job, self._apply(job)) for job in batch]
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (self._revision,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._revision = before
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            failure = _explained(error, self._path)
            return [(job, failure) for job in batch]
        return outcomes

    def _apply(self, job: _Job) -> int | WardianError:
        for key, expected in job.expect.items():
            row = self._connection.execute("SELECT revision FROM documents WHERE key = ?", (key,)).fetchone()
            if (row[0] if row else 0) != expected:
                return StaleRevision(
                    f'"{key}" was changed by someone else meanwhile; read it again and retry'
                )
        self._revision += 1
        for write in job.writes:
            if write.value is None:
                self._connection.execute("DELETE FROM documents WHERE key = ?", (write.key,))
            else:
                row = (write.key, write.value, self._revision)
                self._connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", row)
        return self._revision

    # --- back on the event loop ----------------------------------------------------------------

    def _publish(self, outcomes: Sequence[_Outcome]) -> None:
        for job, result in outcomes:
            if isinstance(result, WardianError):
                job.done.set_exception(result)
                continue
            for write in job.writes:
                self._mirror(write, result)
            job.done.set_result(result)

    def _mirror(self, write: Write, revision: int) -> None:
        is_known = write.key in self._documents
        if write.value is not None:
            self._documents[write.key] = Document(write.key, write.value, revision)
            if not is_known:
                insort(self._keys, write.key)
        elif is_known:
            del self._documents[write.key]
            del self._keys[bisect_left(self._keys, write.key)]


async def _wait_to_the_end(done: asyncio.Future[int]) -> None:
    """Wait for the future; a cancellation meanwhile reaches the caller at its next await instead.

    A write that is queued will happen, so the caller must get to the line that registers its undo.
    """
    was_cancelled = False
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            was_cancelled = True
    task = asyncio.current_task()
    if was_cancelled and task is not None:
        task.uncancel()  # the same request once more, not a second one: asyncio.timeout counts them
        task.cancel()


def _connect(path: Path, upgrades: Sequence[str]) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Opened here, then used by the writer thread alone.
        connection = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise HostFailed(f'cannot open database "{path}": {error}') from error
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _upgrade(connection, path, upgrades)
    except sqlite3.Error as error:
        connection.close()
        raise _explained(error, path) from error
    except WardianError:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection, path: Path, upgrades: Sequence[str]) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(upgrades):
        raise HostFailed(
            f'database "{path}" has schema version {version}, this program knows {len(upgrades)}; '
            "install the newer version again"
        )
    if version == len(upgrades):
        return
    if version > 0:
        _back_up(connection, path.with_name(f"{path.name}.v{version}.bak"))
    script = "".join(upgrades[version:])
    connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {len(upgrades)}; COMMIT;")


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """A whole copy of the database, or none: it is written beside and then renamed."""
    unfinished = target.with_name(f"{target.name}.tmp")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(unfinished)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    unfinished.rename(target)


def _explained(error: sqlite3.Error, path: Path) -> HostFailed:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutOfSpace(f'no space left for database "{path}"; free some on its file system')
    if code == sqlite3.SQLITE_BUSY:
        return HostFailed(f'database "{path}" is in use by another daemon')
    return HostFailed(f'database "{path}" failed: {error}')
