"""A web that is a dictionary: the stand-in for the Downloads port."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wardian.errors import HostFailed, InvalidInput, NotFound
from wardian.ports.downloads import Expected, Via

if TYPE_CHECKING:
    from tests.fakes import Faults

T = TypeVar("T")


class FakeDownloads:
    """A web of two dictionaries: URL -> content, and URL -> headers."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.content: dict[str, bytes] = {}
        self.answers: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        """URLs of files and documents that were fetched, in order."""
        self.ways: list[Via] = []
        self.gate = asyncio.Event()
        """Files wait for it."""
        self.gate.set()

    def _get(self, url: str, via: Via) -> bytes:
        self.ways.append(via)
        self.asked.append(url)
        if not self.content:
            raise HostFailed("cannot reach the web")
        if url not in self.content:
            raise NotFound(f'nothing at "{url}"')
        return self.content[url]

    async def document(
        self, url: str, via: Via, read: Callable[[bytes], T], *, limit: int, fresh_s: float
    ) -> T:
        return read(self._get(url, via))

    async def headers(self, url: str, via: Via, request: Mapping[str, str]) -> Mapping[str, str]:
        if url not in self.answers:
            raise NotFound(f'nothing at "{url}"')
        return self.answers[url]

    async def ask(self, url: str, via: Via, *, limit: int) -> bytes:
        return self._get(url, via)

    async def bundle(
        self, url: str, via: Via, targets: Sequence[Path], received: Callable[[int], None], *, limit: int
    ) -> int:
        content = self._get(url, via)
        await self.gate.wait()
        self._faults.step(f"download {url}")
        targets[0].write_bytes(content)
        received(len(content))
        return 1

    async def file(
        self, url: str, via: Via, target: Path, expected: Expected, received: Callable[[int], None]
    ) -> None:
        content = self._get(url, via)
        await self.gate.wait()
        self._faults.step(f"download {url}")
        target.write_bytes(content)
        received(len(content))
        if hashlib.sha256(content).hexdigest() != expected.sha256:
            raise InvalidInput(f'"{url}" is not the file that was announced')

    async def sweep(self) -> None:
        pass
