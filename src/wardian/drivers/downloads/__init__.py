"""The Downloads port: documents and files from the web, over https, bounded and resumed."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import aiohttp

from wardian import __version__
from wardian.drivers.downloads.bundle import Bundle
from wardian.drivers.downloads.requests import (
    LINE_ERRORS,
    Unreachable,
    answered,
    check_status,
    explained,
    shown,
    tls,
)
from wardian.drivers.downloads.transfer import Cut, Transfer
from wardian.errors import InvalidInput, WardianError
from wardian.model import webcache
from wardian.ports.downloads import Expected, Via
from wardian.ports.rootfs import Received

log = logging.getLogger(__name__)

CONNECT_S = 20
SILENCE_S = 60
"""How long a server may send nothing."""
DOCUMENT_S = 120
"""How long a whole document may take."""
BARREN_TRIES = 3
"""How often in a row a transfer may break without a single new byte, or be too slow."""
TRIES = 50
T = TypeVar("T")

TEMPORARY = ".tmp-"


class WebDownloads:
    """Fetches with aiohttp; keeps documents below `cache`."""

    def __init__(self, cache: Path, agent: str = "") -> None:
        self._cache = cache
        system = os.uname()
        self._agent = agent or f"LXD {__version__} ({system.sysname}; {system.machine}; {system.release})"

    async def sweep(self) -> None:
        """See ports.Downloads."""
        for path in self._cache.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)

    # --- documents -----------------------------------------------------------------------------

    async def document(
        self, url: str, via: Via, read: Callable[[bytes], T], *, limit: int, fresh_s: float
    ) -> T:
        """See ports.Downloads."""
        path = self._cache / webcache.filename(url)
        proxy = via.proxies.of(url)
        kept, before = await asyncio.to_thread(_read_kept, path, url, limit, read)
        if kept is not None and before is not None and kept.is_fresh(time.time(), fresh_s, proxy):
            return before
        try:
            status, headers, body = await self._fetch(url, via, kept.conditions() if kept else {}, limit)
            if status == 304 and kept is not None and before is not None:
                value, kept = before, kept._replace(checked_at=time.time(), proxy=proxy)
            else:
                value = await asyncio.to_thread(read, body)
                kept = webcache.received(url, body, headers, time.time(), proxy)
        except WardianError as error:
            if kept is None or before is None or fresh_s <= 0:
                raise
            log.warning("%s; using what it said at %s", error, time.ctime(kept.checked_at))
            return before
        await asyncio.to_thread(_write_kept, path, kept)
        return value

    async def _fetch(
        self, url: str, via: Via, headers: Mapping[str, str], limit: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with (
            self._session(via) as session,
            explained(url, via),
            asyncio.timeout(DOCUMENT_S),
            answered(session, "GET", url, via, headers) as answer,
        ):
            check_status(answer, url, (200, 304))
            found = bytearray()
            async for piece in answer.content.iter_any():
                found += piece
                if len(found) > limit:
                    raise InvalidInput(f'"{shown(url)}" is larger than the {limit} bytes allowed for it')
            return answer.status, answer.headers, bytes(found)

    async def headers(self, url: str, via: Via, request: Mapping[str, str]) -> Mapping[str, str]:
        """See ports.Downloads."""
        async with (
            self._session(via) as session,
            explained(url, via),
            answered(session, "HEAD", url, via, request) as answer,
        ):
            check_status(answer, url, (200,))
            return {name.lower(): value for name, value in answer.headers.items()}

    async def ask(self, url: str, via: Via, *, limit: int) -> bytes:
        """See ports.Downloads."""
        return (await self._fetch(url, via, {}, limit))[2]

    # --- files ---------------------------------------------------------------------------------

    async def file(self, url: str, via: Via, target: Path, expected: Expected, received: Received) -> None:
        """See ports.Downloads."""
        with open(target, "xb") as file:
            transfer = Transfer(file, url, expected, received)
            async with self._session(via) as session:
                await self._complete(session, via, transfer)
            transfer.check()

    async def _complete(self, session: aiohttp.ClientSession, via: Via, transfer: Transfer) -> None:
        """Fetch what is missing, however often the line breaks."""
        barren = 0
        for _ in range(TRIES):
            before = transfer.position
            try:
                await self._continue(session, via, transfer)
                return
            except Cut as cut:
                barren = barren + 1 if cut.slow or transfer.position <= before else 0
                if barren >= BARREN_TRIES:
                    raise transfer.broken() from cut
                log.info("%s broke off after %d bytes; going on", shown(transfer.url), transfer.position)
        raise transfer.broken()

    async def bundle(
        self, url: str, via: Via, targets: Sequence[Path], received: Received, *, limit: int
    ) -> int:
        """See ports.Downloads."""
        async with AsyncExitStack() as held:
            session = await held.enter_async_context(self._session(via))
            parts = Bundle(url, limit, received)
            async with explained(url, via), answered(session, "GET", url, via, {}) as answer:
                check_status(answer, url, (200,))
                if answer.content_type.startswith("multipart/") or not _may_go_on(answer, limit):
                    try:
                        return await parts.write(answer, targets)
                    except LINE_ERRORS:
                        if len(parts.offered) != len(targets):
                            raise
                    transfer = None
                else:
                    file = held.enter_context(open(targets[0], "xb"))  # noqa: SIM115
                    transfer = Transfer(file, url, Expected("", limit), received)
                    transfer.begin(answer)
                    with suppress(*LINE_ERRORS, Cut):
                        await transfer.drain(answer.content)
            if transfer is None:
                return await self._rest(session, via, url, parts.offered, targets, received, limit)
            if transfer.is_short:
                log.info("%s broke off after %d bytes; going on", shown(url), transfer.position)
                await self._complete(session, via, transfer)
            return 1

    async def _rest(
        self,
        session: aiohttp.ClientSession,
        via: Via,
        url: str,
        names: Sequence[str],
        targets: Sequence[Path],
        received: Received,
        limit: int,
    ) -> int:
        """Go on with the files of an answer that broke off: of each what is missing, by its name."""
        before = 0
        for number, (name, target) in enumerate(zip(names, targets, strict=True)):
            is_whole = number + 1 < len(targets) and targets[number + 1].exists()
            if not is_whole:
                part = f"{url}{'&' if '?' in url else '?'}part={name}"
                log.info("%s broke off; going on with %s", shown(url), name)
                with open(target, "ab") as file:
                    counted = _after(before, received)
                    transfer = Transfer(file, part, Expected("", None), counted, most=limit - before)
                    await self._complete(session, via, transfer)
            before += target.stat().st_size
        return len(targets)

    async def _continue(self, session: aiohttp.ClientSession, via: Via, transfer: "Transfer") -> None:
        """Fetch what is missing. Cut if it breaks off."""
        url = transfer.url
        try:
            async with (
                explained(url, via),
                answered(session, "GET", url, via, transfer.conditions()) as answer,
            ):
                if answer.status == 416 and transfer.is_all(answer):
                    return
                check_status(answer, url, (200, 206))
                transfer.begin(answer)
                await transfer.drain(answer.content)
        except Unreachable as error:
            if not transfer.has_begun:
                raise
            raise Cut from error
        if transfer.is_short:
            raise Cut

    @asynccontextmanager
    async def _session(self, via: Via) -> AsyncIterator[aiohttp.ClientSession]:
        context = await asyncio.to_thread(tls, via.certificate)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=1),
            timeout=timeout,
            headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session:
            yield session


def _may_go_on(answer: aiohttp.ClientResponse, size: int) -> bool:
    """Whether this is a file whose rest can be asked for."""
    return answer.headers.get("Accept-Ranges") == "bytes" and answer.content_length == size


def _after(before: int, received: Received) -> Received:
    return lambda position: received(before + position)


# --- what is kept------------------------------------------------------------------------------


def _read_kept(
    path: Path, url: str, limit: int, read: Callable[[bytes], T]
) -> tuple[webcache.Kept, T] | tuple[None, None]:
    try:
        with open(path, "rb") as file:
            kept = webcache.from_bytes(file.read(limit + webcache.HEAD_BYTES + len(url)), url)
            return (kept, read(kept.body)) if kept is not None else (None, None)
    except (OSError, InvalidInput):
        return None, None


def _write_kept(path: Path, kept: webcache.Kept) -> None:
    """Put the document in place, whole or not at all. A full disk only costs the next one a download."""
    new = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(webcache.to_bytes(kept))
        new.rename(path)
    except OSError as error:
        log.warning('cannot keep "%s" in "%s": %s', kept.url, path.parent, error.strerror)
        new.unlink(missing_ok=True)
