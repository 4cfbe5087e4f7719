#!/usr/bin/env python3
"""Write manual pages of the programs beside `lxc` into a folder, from what their --help says.

Those of `lxc` itself are written by `lxc manpage FOLDER`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from wardian import __version__
from wardian.daemon import main as daemon
from wardian.tools import benchmark, fuidshift, lxc_to_lxd, setup_lvm

PROGRAMS = (daemon, fuidshift, benchmark, lxc_to_lxd, setup_lvm)


def page(parser: argparse.ArgumentParser) -> str:
    """The manual page of a program."""
    name, about = parser.prog, " ".join((parser.description or "").split())
    summary = plain(about.partition(". ")[0].rstrip("."))
    parts = [f'.TH {name.upper()} 1 "" "wardian {__version__}"\n.SH NAME\n{name} \\- {summary}\n']
    parts.append(".SH SYNOPSIS\n" + verbatim(parser.format_usage().partition(": ")[2]))
    parts.append(".SH DESCRIPTION\n" + verbatim(body(parser)))
    for word, command in commands(parser):
        parts.append(f".SH {plain(word.upper())}\n{verbatim(command.format_help())}")
    parts.append(".SH SEE ALSO\n.BR lxc (1)\n")
    return "".join(parts)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Its subcommands, once each."""
    seen: set[int] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                if id(one) not in seen:
                    seen.add(id(one))
                    yield word, one


def body(parser: argparse.ArgumentParser) -> str:
    """What --help says after the usage."""
    return parser.format_help().removeprefix(parser.format_usage()).strip("\n")


def plain(text: str) -> str:
    """The text with nothing in it that the formatter would take for its own."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")


def verbatim(text: str) -> str:
    """The lines as they are."""
    return ".nf\n" + "".join(f"\\&{plain(line)}\n" for line in text.strip("\n").splitlines()) + ".fi\n"


def main() -> None:
    """Write them all."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: manpages FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        parser = program.parser()
        (folder / f"{parser.prog}.1").write_text(page(parser))


if __name__ == "__main__":
    main()
