"""Where documents are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Document:
    """A value in the store. The revision grows with each write to any key."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True)
class Write:
    """Put `value` at `key`, or delete the key if `value` is None."""

    key: str
    value: bytes | None


class Store(Protocol):
    """Key-value documents with revisions and compare-and-swap over several keys.

    Keys are `/`-separated, e.g. `containers/c1`. A finished `commit` survives kill -9 and power loss.
    """

    async def get(self, key: str) -> Document | None:
        """The document, or None."""

    async def list(self, prefix: str) -> list[Document]:
        """All documents whose key starts with the prefix, sorted by key."""

    async def commit(self, writes: Sequence[Write], expect: Mapping[str, int] | None = None) -> int:
        """Apply all writes or none; returns the new revision.

        expect: key -> revision it must still have (0: must not exist). Else raises
        errors.StaleRevision naming the first key that differs, and nothing is written.
        A caller that is cancelled meanwhile still gets the answer, and the cancellation at its next
        await: what was written is known, so that it can be taken back.
        """

    async def close(self) -> None:
        """Finish what was begun and release the files."""
