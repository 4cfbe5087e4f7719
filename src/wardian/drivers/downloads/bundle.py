"""The files of one answer: its body, or the parts of a multipart body, written as they come."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import aiohttp
from aiohttp.multipart import MultipartResponseWrapper

from wardian.drivers.downloads.requests import shown
from wardian.drivers.downloads.transfer import PIECE, SLOW_BYTES, SLOW_S
from wardian.errors import HostFailed, InvalidInput
from wardian.ports.rootfs import Received

NAMES = re.compile(r"[a-z]{1,16}(, ?[a-z]{1,16})?")


class Bundle:
    """Writes what comes, no more than `limit` bytes in all."""

    def __init__(self, url: str, limit: int, received: Received) -> None:
        self._url, self._limit, self._received = url, limit, received
        self._position = 0
        self.offered: Sequence[str] = ()
        """What the server calls the files, where it gives each of them by itself, too."""

    async def write(self, answer: aiohttp.ClientResponse, targets: Sequence[Path]) -> int:
        """Write the files of an answer to new paths, in order; how many there were."""
        if not answer.content_type.startswith("multipart/"):
            await self._file(targets[0], answer.content.readany)
            return 1
        names = answer.headers.get("X-LXD-parts", "")
        self.offered = [name.strip() for name in names.split(",")] if NAMES.fullmatch(names) else ()
        try:
            return await self._parts(aiohttp.MultipartReader.from_response(answer), targets)
        except (ValueError, AssertionError) as error:
            raise InvalidInput(
                f'what "{shown(self._url)}" sends is not as many files as announced'
            ) from error

    async def _parts(self, reader: MultipartResponseWrapper, targets: Sequence[Path]) -> int:
        count = 0
        while (part := await reader.next()) is not None:
            if count == len(targets) or not isinstance(part, aiohttp.BodyPartReader):
                raise ValueError("too many parts")

            async def read(part: aiohttp.BodyPartReader = part) -> bytes:
                return bytes(await part.read_chunk(PIECE))

            await self._file(targets[count], read)
            count += 1
        return count

    async def _file(self, target: Path, read: Callable[[], Awaitable[bytes]]) -> None:
        loop = asyncio.get_running_loop()
        since, mark = loop.time(), self._position
        with open(target, "xb") as file:
            while piece := await read():
                self._position += len(piece)
                if self._position > self._limit:
                    raise InvalidInput(
                        f'"{shown(self._url)}" is larger than the {self._limit} bytes announced'
                    )
                await asyncio.to_thread(_write, file, piece)
                self._received(self._position)
                if loop.time() - since > SLOW_S:
                    if self._position - mark < SLOW_BYTES:
                        raise HostFailed(f'"{shown(self._url)}" comes too slowly; try again later')
                    since, mark = loop.time(), self._position


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)
