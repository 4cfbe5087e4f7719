"""Fetching from the web."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from wardian.model.proxies import Proxies
from wardian.ports.rootfs import Received

T = TypeVar("T")


@dataclass(frozen=True)
class Via:
    """How a server is reached."""

    proxies: Proxies
    certificate: str = ""
    """PEM of the one certificate that the server must have; empty: one that the system trusts."""


@dataclass(frozen=True)
class Expected:
    """What a file must be. size: bytes, None if nobody said."""

    sha256: str
    size: int | None


class Downloads(Protocol):
    """Fetches from the web over https. Answers are never trusted: all that is kept is bounded.

    Redirects lead to https only, and never to this host or its link unless the server is there itself.
    Raises HostFailed naming the host (no route, TLS, no answer, cut), NotFound for what is not there.
    """

    async def document(
        self, url: str, via: Via, read: Callable[[bytes], T], *, limit: int, fresh_s: float
    ) -> T:
        """What `read` makes of a small document; it runs in a thread, and raises InvalidInput for nonsense.

        The document is kept on disk if it could be read; the server is asked again if that is older
        than `fresh_s`. What is kept is used, too, when the server fails, unless `fresh_s` is 0.
        InvalidInput if it is larger than `limit`.
        """

    async def headers(self, url: str, via: Via, request: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of a HEAD request with these headers; names in lower case."""

    async def ask(self, url: str, via: Via, *, limit: int) -> bytes:
        """The body of a GET, at most `limit` bytes. It is not kept, and no message shows the URL's query."""

    async def bundle(
        self, url: str, via: Via, targets: Sequence[Path], received: Received, *, limit: int
    ) -> int:
        """Write the file of an answer, or the files of a multipart one, to new paths; how many there were.

        limit: bytes of all together. What they are is for the caller to verify; he removes them on failure.
        """

    async def file(self, url: str, via: Via, target: Path, expected: Expected, received: Received) -> None:
        """Write the file to a new path; a cut transfer is resumed where it broke.

        InvalidInput if it is not what is expected. The caller removes the file on failure.
        """

    async def sweep(self) -> None:
        """Remove what interrupted calls left behind; called once at start-up."""
