"""A file on its way: what of it is here, and whether it is what was announced."""

import asyncio
import hashlib
import re
from typing import BinaryIO

import aiohttp

from wardian.drivers.downloads.requests import LINE_ERRORS, host_of, shown
from wardian.errors import HostFailed, InvalidInput
from wardian.ports.downloads import Expected
from wardian.ports.rootfs import Received

SLOW_S, SLOW_BYTES = 60, 64 * 1024
"""A file must bring so many bytes in so many seconds: a drip is as good as a dead line."""
FILE_BYTES = 64 * 1024**3
"""Bound for a file whose size nobody said."""
PIECE = 1024 * 1024
RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)")


class Cut(Exception):
    """The transfer broke off; what is here stays good. slow: it was we who gave up on it."""

    def __init__(self, *, slow: bool = False) -> None:
        super().__init__()
        self.slow = slow


class Transfer:
    """A file as far as it is here: bytes on disk, and their hash."""

    def __init__(
        self,
        file: BinaryIO,
        url: str,
        expected: Expected,
        received: Received,
        *,
        most: int = FILE_BYTES,
    ) -> None:
        """file: at the end of what is here, which is not hashed; most: bytes, where no size is expected."""
        self.url = url
        self.position = file.tell()
        self.has_begun = self.position > 0
        """Whether the server has ever answered: then it is worth asking again."""
        self._bound = most
        self._file, self._expected, self._received = file, expected, received
        self._digest = hashlib.sha256()
        self._etag = ""
        self._most = most if expected.size is None else expected.size

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the rest, and for all of it should it be another file by now."""
        if not self.position:
            return {}
        found = {"Range": f"bytes={self.position}-"}
        return found | ({"If-Range": self._etag} if self._etag else {})

    def is_all(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether the server, which has no more to send, means that all is here (RFC 9110, 15.5.17)."""
        return answer.headers.get("Content-Range") == f"bytes */{self.position}"

    def begin(self, answer: aiohttp.ClientResponse) -> None:
        """Take note of an answer: it goes on where we are, or all is sent anew."""
        self.has_begun = True
        if answer.status == 206:
            match = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != self.position:
                raise HostFailed(
                    f'{host_of(self.url)} sends another part of "{shown(self.url)}" than it was asked for'
                )
        elif self.position:
            self._file.seek(0)
            self._file.truncate()
            self.position, self._digest = 0, hashlib.sha256()
        etag = answer.headers.get("ETag", "")
        self._etag = etag if etag.startswith('"') else ""
        length = answer.content_length
        if length is None:
            return
        if self._expected.size is None:
            self._most = min(self._bound, self.position + length)
        elif self.position + length != self._expected.size:
            said, found = self._expected.size, self.position + length
            raise InvalidInput(f'"{shown(self.url)}" has {found} bytes, not the {said} announced for it')

    async def drain(self, stream: aiohttp.StreamReader) -> None:
        """Write what comes; what came before a failure is written too."""
        loop = asyncio.get_running_loop()
        piece, since, mark = bytearray(), loop.time(), self.position
        try:
            async for data in stream.iter_any():
                piece += data
                if self.position + len(piece) > self._most:
                    raise InvalidInput(
                        f'"{shown(self.url)}" is larger than the {self._most} bytes announced for it'
                    )
                if len(piece) >= PIECE:
                    await self._write(bytes(piece))
                    piece.clear()
                self._received(self.position + len(piece))
                if loop.time() - since > SLOW_S:
                    if self.position + len(piece) - mark < SLOW_BYTES:
                        raise Cut(slow=True)
                    since, mark = loop.time(), self.position + len(piece)
        except (*LINE_ERRORS, Cut):
            await self._write(bytes(piece))
            raise
        await self._write(bytes(piece))

    async def _write(self, piece: bytes) -> None:
        def write() -> None:
            self._digest.update(piece)
            self._file.write(piece)

        await asyncio.to_thread(write)
        self.position += len(piece)

    @property
    def is_short(self) -> bool:
        """Whether bytes are missing."""
        return self._expected.size is not None and self.position < self._expected.size

    def check(self) -> None:
        """InvalidInput unless this is the file that was expected."""
        self._file.flush()
        found = self._digest.hexdigest()
        if found != self._expected.sha256:
            raise InvalidInput(
                f'"{shown(self.url)}" is not the file that was announced: its sha256 is {found}, '
                f"not {self._expected.sha256}"
            )

    def broken(self) -> HostFailed:
        """The failure of a transfer that breaks off whenever it is resumed."""
        return HostFailed(
            f'{host_of(self.url)} breaks off "{shown(self.url)}" after {self.position} bytes, '
            "again and again; try again later"
        )
