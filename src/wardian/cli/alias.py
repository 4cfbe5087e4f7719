"""lxc alias: short names for commands, kept in config.yml."""

from __future__ import annotations

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, dispatch, need
from wardian.client import config
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wardian.client.config import Config


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


def _list(session: Session, values: Values, words: list[str]) -> None:
    need(words, 0, 0)
    output.check_format(values.format)
    rows = sorted([alias, target] for alias, target in session.config.aliases.items())
    objects = [{"name": alias, "target": target} for alias, target in rows]
    output.show(values.format, ("ALIAS", "TARGET"), rows, objects)


def _checked(name: str) -> str:
    if not name.split() or name.startswith("-"):
        raise ApiError(f'"{name}" cannot be an alias: it is one or more words')
    return name


def _missing(changed: Config, name: str) -> None:
    if name not in changed.aliases:
        raise ApiError(f"alias {name} doesn't exist")


def _free(changed: Config, name: str) -> None:
    if name in changed.aliases:
        raise ApiError(f"alias {name} already exists")


def _add(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)

    def add(changed: Config) -> None:
        _free(changed, words[0])
        changed.aliases[_checked(words[0])] = words[1]

    config.change(add)


def _remove(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)

    def remove(changed: Config) -> None:
        _missing(changed, words[0])
        del changed.aliases[words[0]]

    config.change(remove)


def _rename(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)

    def rename(changed: Config) -> None:
        _missing(changed, words[0])
        _free(changed, words[1])
        changed.aliases[_checked(words[1])] = changed.aliases.pop(words[0])

    config.change(rename)


SUBCOMMANDS = {"list": _list, "add": _add, "remove": _remove, "rename": _rename}
