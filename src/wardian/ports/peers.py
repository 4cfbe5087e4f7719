"""Conversations with other hosts."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Socket(Protocol):
    """A connected websocket, accepted from or opened to a peer."""

    async def receive(self) -> bytes | str | None:
        """The next frame: bytes (binary), str (text), or None once the peer has closed, or is gone."""

    async def send(self, frame: bytes | str) -> None:
        """Send one frame; waits while the peer is slow. Does nothing on a closed socket."""

    async def close(self) -> None:
        """Say goodbye; harmless on a closed socket."""

    @property
    def broken(self) -> bool:
        """True if the peer vanished without a close frame (close code 1006)."""

    def give_up_after(self, silence_s: int) -> None:
        """End the connection once the peer's kernel has not answered for so long, as when a cable is cut."""

    def hang_up(self) -> None:
        """End the connection without a goodbye: nobody is there to hear it."""


class Peers(Protocol):
    """The way to streams of operations on other hosts."""

    def connect(
        self, urls: Sequence[str], certificate: str
    ) -> AbstractAsyncContextManager[tuple[Socket, ...]]:
        """Open websockets, all to one host, which must show this certificate (PEM).

        An empty certificate: one that the system trusts. HostFailed, naming the host and never a
        secret of the URLs, if they cannot be had.
        """
