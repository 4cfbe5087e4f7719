"""Stand-ins for every port: small, in memory, honest about what the ports promise."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from wardian.errors import StaleRevision
from wardian.ports import Document, Write


class MemoryStore:
    """A Store that forgets everything at the end."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.revision = 0

    async def get(self, key: str) -> Document | None:
        return self.documents.get(key)

    async def list(self, prefix: str) -> list[Document]:
        keys = sorted(self.documents)
        found = keys[bisect_left(keys, prefix) :]
        return [self.documents[key] for key in found if key.startswith(prefix)]

    async def commit(self, writes: Sequence[Write], expect: Mapping[str, int] | None = None) -> int:
        for key, expected in (expect or {}).items():
            document = self.documents.get(key)
            if (document.revision if document else 0) != expected:
                raise StaleRevision(
                    f'"{key}" was changed by someone else meanwhile; read it again and retry'
                )
        self.revision += 1
        for write in writes:
            if write.value is None:
                self.documents.pop(write.key, None)
            else:
                self.documents[write.key] = Document(write.key, write.value, self.revision)
        return self.revision

    async def close(self) -> None:
        pass
