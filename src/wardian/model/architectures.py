"""Processor architectures: names, aliases, and what runs on what (spec/configuration.md section 14)."""

from typing import Literal, NamedTuple

from wardian.errors import InvalidInput


class Architecture(NamedTuple):
    """One row of the table."""

    name: str
    """What `uname -m` says; the name in every reply."""
    number: int
    """What image servers send for `direct` downloads."""
    debian: str
    """The Debian distribution's name for it; an alias too."""
    aliases: tuple[str, ...]
    personality: Literal["linux32", "linux64"]
    runs: tuple[str, ...] = ()
    """Other architectures whose programs this kernel runs."""


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture("i686", 1, "i386", ("386", "i486", "i586"), "linux32"),
    Architecture("x86_64", 2, "amd64", (), "linux64", runs=("i686",)),
    Architecture("armv7l", 3, "armhf", ("armel", "arm"), "linux32"),
    Architecture("aarch64", 4, "arm64", (), "linux64", runs=("armv7l",)),
    Architecture("ppc", 5, "powerpc", (), "linux32"),
    Architecture("ppc64", 6, "ppc64", ("powerpc64",), "linux64", runs=("ppc",)),
    Architecture("ppc64le", 7, "ppc64el", (), "linux64"),
    Architecture("s390x", 8, "s390x", (), "linux64"),
    Architecture("riscv64", 12, "riscv64", (), "linux64"),
    Architecture("loongarch64", 15, "loong64", (), "linux64"),
)

_BY_NAME = {name: row for row in ARCHITECTURES for name in (row.name, row.debian, *row.aliases)}


def find(name: str) -> Architecture:
    """The row of a name or alias; InvalidInput if there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise InvalidInput(f"Architecture isn't supported: {name}") from None


def canonical(name: str) -> str:
    """The name that replies use: `amd64` -> `x86_64`; InvalidInput if unknown."""
    return find(name).name


def debian(name: str) -> str:
    """Debian's name: `x86_64` -> `amd64`; InvalidInput if unknown."""
    return find(name).debian


def native(machine: str) -> tuple[str, ...]:
    """Names of what a kernel of this machine (`uname -m`) runs, its own first; InvalidInput if unknown."""
    row = find(machine)
    return (row.name, *row.runs)
