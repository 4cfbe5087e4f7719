"""Streams of other hosts are had from the host that was named, or not at all."""

from collections.abc import Iterator

import pytest

from tests.webserver import Answer, Handler, WebServer, running
from wardian.drivers.downloads.peers import WebPeers
from wardian.errors import HostFailed, InvalidInput

PATH = "/1.0/operations/0a/websocket"
SECRET = "5ec7e7"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    made = WebServer(tmp_path_factory.mktemp("web"))
    with running(made):
        yield made


def status(number: int, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(number, b"", **headers)

    return answer


async def refusal(server: WebServer, certificate: str, url: str = "") -> str:
    """What is said when it cannot be had; never the secret."""
    url = url or f"wss{server.url.removeprefix('https')}{PATH}?secret={SECRET}"
    with pytest.raises(HostFailed) as failure:
        async with WebPeers().connect([url], certificate):
            pass
    assert SECRET not in str(failure.value)
    return str(failure.value)


async def test_a_host_that_refuses_or_leads_elsewhere_is_not_followed(server: WebServer) -> None:
    pinned = server.ca.read_text()
    server.answers[f"{PATH}?secret={SECRET}"] = status(403)
    assert "status 403" in await refusal(server, pinned)
    server.answers[f"{PATH}?secret={SECRET}"] = status(200)
    assert "status 200" in await refusal(server, pinned)
    server.answers[f"{PATH}?secret={SECRET}"] = status(302, Location=f"{server.url}/elsewhere")
    server.requests.clear()
    assert "not followed" in await refusal(server, pinned)
    assert [path.partition("?")[0] for _, path, _ in server.requests] == [PATH]


async def test_a_host_with_another_certificate_gets_no_request(
    server: WebServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = WebServer(tmp_path_factory.mktemp("other"))
    with running(other):
        server.requests.clear()
        assert "certificate" in await refusal(server, other.ca.read_text())
        assert server.requests == []
    with pytest.raises(InvalidInput, match="not a certificate"):
        async with WebPeers().connect(["wss://127.0.0.1:1/"], "nonsense"):
            pass


async def test_a_host_that_is_not_there_is_named(server: WebServer) -> None:
    said = await refusal(server, "", f"wss://127.0.0.1:1{PATH}?secret={SECRET}")
    assert said.startswith('cannot reach "127.0.0.1:1"')
