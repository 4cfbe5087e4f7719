"""The API of a host of fakes on a real socket, with a trusted and an untrusted caller."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from wardian.api.app import make_app
from wardian.core.host import Host


@dataclass
class Reply:
    """An answer. body: the decoded envelope."""

    status: int
    headers: Any
    body: dict[str, Any]

    @property
    def metadata(self) -> Any:
        return self.body["metadata"]

    @property
    def error(self) -> str:
        return str(self.body["error"])


class Caller:
    """Someone who asks. trusted: comes through the Unix socket."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def ask(self, verb: str, path: str, body: Any = None, **options: Any) -> Reply:
        """Send the request; the body is made JSON unless it is bytes."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        async with self.session.request(verb, self.base + path, **content, **options) as answer:
            return Reply(answer.status, answer.headers, await answer.json() if await answer.read() else {})

    async def get(self, path: str, **options: Any) -> Any:
        """The metadata of a GET that must succeed."""
        reply = await self.ask("GET", path, **options)
        assert reply.status == 200, reply
        return reply.metadata

    async def run(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        """The operation that the request begins, once it has ended."""
        reply = await self.ask(verb, path, body)
        assert reply.status == 202, reply
        operation: dict[str, Any] = await self.get(f"{reply.body['operation']}/wait")
        return operation


@pytest.fixture
async def site(host: Host, tmp_path: Path) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(make_app(host), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "socket")).start()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    host.events.close()
    await runner.cleanup()


@pytest.fixture
async def api(site: web.AppRunner, tmp_path: Path) -> AsyncIterator[Caller]:
    """A trusted caller."""
    connector = aiohttp.UnixConnector(str(tmp_path / "socket"))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Caller(session, "http://lxd")


@pytest.fixture
async def guest(site: web.AppRunner) -> AsyncIterator[Caller]:
    """A caller from the network."""
    port = site.addresses[1][1]
    async with aiohttp.ClientSession() as session:
        yield Caller(session, f"http://127.0.0.1:{port}")
