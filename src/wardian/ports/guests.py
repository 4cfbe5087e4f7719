"""/dev/lxd in containers."""

from pathlib import Path
from typing import Protocol


class Guests(Protocol):
    """Folders with a socket that containers see as /dev/lxd, at which each asks about itself."""

    def folder(self, name: str) -> Path:
        """The folder of a container; made by `open`."""

    async def open(self, name: str, *, listening: bool, group: int | None = None) -> None:
        """Make the folder, and the socket in it or not; idempotent.

        group: who may reach the folder besides root; None: as it is, or nobody.
        """

    def close(self, name: str) -> None:
        """The container does not run any more: remove both; harmless if there is nothing."""

    def close_all(self) -> None:
        """Stop listening; the folders stay, for they are mounted in containers that run."""

    def sweep(self, running: set[str]) -> None:
        """Remove what containers that ended without us have left."""
