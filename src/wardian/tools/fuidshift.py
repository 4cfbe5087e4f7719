"""`fuidshift`: give a tree of files the owners that it has under an id map, or take them back."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from wardian import programs
from wardian.drivers.rootfs import owners
from wardian.errors import InvalidInput, WardianError
from wardian.model import ownership
from wardian.model.idmap import IdKind, IdMap, IdRange

KINDS: dict[str, tuple[IdKind, ...]] = {"u": ("uid",), "g": ("gid",), "b": ("uid", "gid")}
DESCRIPTION = "Give a tree of files the owners that it has under an id map: container ids become host ids."
EPILOG = """\
A range is u:, g: or b: (users, groups, both), then FIRST_CONTAINER_ID:FIRST_HOST_ID:COUNT. A later range
takes its ids out of an earlier one. Ids outside of all ranges stay. Set-user-ID bits, access lists and file
capabilities are kept, links are not followed, other file systems in the tree are left alone and named.

examples:
  fuidshift rootfs b:0:100000:65536                      into the map
  fuidshift rootfs -r b:0:100000:65536                   back out of it
  fuidshift rootfs -t b:0:100000:65536 u:1000:1000:1     what it would do
"""


def parser() -> programs.Parser:
    """The grammar of the command line."""
    made = programs.Parser(prog="fuidshift", description=DESCRIPTION, epilog=EPILOG)
    made.add_argument("dir", metavar="DIR", help="top of the tree")
    made.add_argument("ranges", metavar="RANGE", nargs="+", help="what is mapped, e.g. b:0:100000:65536")
    made.add_argument("-t", "--test", action="store_true", help="change nothing, print what would be done")
    made.add_argument("-r", "--reverse", action="store_true", help="from host ids to container ids")
    return made


def map_of(texts: Sequence[str]) -> IdMap:
    """The map of these ranges; InvalidInput naming the one that is wrong."""
    found = IdMap()
    for text in texts:
        kind, *numbers = text.split(":")
        if kind not in KINDS or len(numbers) != 3 or not all(n.isascii() and n.isdigit() for n in numbers):
            raise InvalidInput(f'invalid range "{text}"; write it as b:0:100000:65536')
        inside, outside, count = (int(number[:20]) for number in numbers)
        try:
            found = found.punched([IdRange(each, inside, outside, count) for each in KINDS[kind]])
        except InvalidInput as error:
            raise InvalidInput(f'range "{text}": {error}') from error
    return found


def main(arguments: list[str]) -> int:
    """Run the program; its exit status. WardianError for what the user must be told."""
    options = parser().parse_intermixed_args(arguments)
    mapped = map_of(options.ranges)
    if os.geteuid() != 0 and not options.test:
        raise WardianError("This must be run as root; --test shows what would be done")
    moved = ownership.move(mapped, IdMap()) if options.reverse else ownership.move(IdMap(), mapped)
    top = Path(os.path.realpath(options.dir))
    if not top.is_dir():
        raise WardianError(f"{quoted(options.dir)} is not a folder")
    shift(top, options.dir, moved, test=options.test)
    return 0


def shift(top: Path, shown: str, moved: ownership.Move, *, test: bool) -> None:
    """Change the owners of the tree, or print the changes; WardianError naming the file that failed.

    shown: what stands for `top` in messages.
    """
    path = "."

    def named() -> str:
        return quoted(os.path.normpath(os.path.join(shown, path)))

    def stays(other: str) -> None:
        nonlocal path
        path = other
        programs.note(f"{named()} is another file system and stays as it is")

    try:
        for entry in owners.walk(top, stays):
            path = entry.path
            if test:
                ids = (moved("uid", entry.status.st_uid), moved("gid", entry.status.st_gid))
                uid, gid = (-1 if number is None else number for number in ids)
                print(f"I would shift {named()} to {uid} {gid}")
            else:
                owners.change(entry, moved)
    except BrokenPipeError:
        raise
    except OSError as error:
        done = "" if test else "; what came before it is done"
        raise WardianError(f"cannot shift {named()}: {error.strerror}{done}") from error


def quoted(path: str) -> str:
    """The path in double quotes, on one line whatever is in it."""
    raw = os.fsencode(path).decode(errors="backslashreplace").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in raw) + '"'


def run() -> NoReturn:
    """Entry point of the `fuidshift` program."""
    programs.run(main)
