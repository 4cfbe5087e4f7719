"""What a certificate of the trust store may do here: all, only look, only what concerns some containers."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from wardian.errors import InvalidInput
from wardian.model import names

MOST_CONTAINERS = 1000
CONTAINERS = ("containers", "instances")


class Access(Struct, frozen=True, kw_only=True):
    """The rights of a trusted caller; without restriction: those of root on the host."""

    read_only: bool = False
    """It changes nothing, and gets no content: no files, no images that are not public, no consoles."""
    containers: tuple[str, ...] | None = None
    """It uses these as they are set up (state, commands, files, snapshots); of others it does not know.

    None: all.
    """

    @property
    def is_full(self) -> bool:
        return not self.read_only and self.containers is None

    def reaches(self, container: str) -> bool:
        """Whether it concerns this container."""
        return self.containers is None or container in self.containers

    def sees_source(self, url: str) -> bool:
        """Whether the thing at this address is one of its containers, or in one."""
        if self.containers is None:
            return True
        parts = url.partition("?")[0].split("/")
        return len(parts) > 3 and parts[2] in CONTAINERS and self.reaches(unquote(parts[3]))

    def sees_resources(self, resources: dict[str, Any] | None) -> bool:
        """Whether work on these ({noun: [address, ...]}) concerns its containers alone.

        Backups are named without their container, which is named beside them.
        """
        if self.containers is None:
            return True
        nouns = resources or {}
        urls = [url for noun, found in nouns.items() if noun != "backups" for url in found]
        return bool(urls) and all(map(self.sees_source, urls))

    def describe(self) -> str:
        """What it may do, in a word or two for people."""
        which = "all" if self.containers is None else ", ".join(self.containers) or "no containers"
        return f"{which} (read-only)" if self.read_only else which


FULL = Access()


def make(*, read_only: bool, containers: list[str] | None) -> Access:
    """The rights that somebody asks to give; InvalidInput for what is no name of a container."""
    if containers is None:
        return Access(read_only=read_only)
    if len(containers) > MOST_CONTAINERS:
        raise InvalidInput(f'field "containers": more than {MOST_CONTAINERS} names')
    for name in containers:
        names.check_container(name)
    return Access(read_only=read_only, containers=tuple(dict.fromkeys(containers)))
