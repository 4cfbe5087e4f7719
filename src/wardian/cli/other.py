"""The small commands: help, version, finger, completion."""

from __future__ import annotations

import sys

from wardian import __version__
from wardian.cli import commands
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, need
from wardian.client.connection import ApiError


def help(session: Session, values: Values, words: list[str]) -> int:
    """Print the help page, or the help of commands."""
    if not words:
        sys.stdout.write(commands.help_page(everything=values.all))
    for word in words:
        command = commands.find(word)
        if command is None:
            sys.stderr.write(f"error: unknown command: {word}\n")
        else:
            sys.stdout.write(command.help_text())
    return 0


def version(session: Session, values: Values, words: list[str]) -> int:
    """Print the version."""
    if words:
        raise UsageError
    print(__version__)
    return 0


def finger(session: Session, values: Values, words: list[str]) -> int:
    """Connect and say nothing."""
    need(words, 0, 1)
    daemon, _ = session.server(words[0] if words else f"{session.config.default}:")
    daemon.get("/1.0")
    return 0


def completion(session: Session, values: Values, words: list[str]) -> int:
    """Print a shell's completion script, or (for the script) the words that fit."""
    from wardian.cli import completion as scripts

    if words[:1] == ["words"]:
        try:
            print("\n".join(scripts.words(session, words[1:])))
        except ApiError:
            return 1
        return 0
    need(words, 1, 1)
    if words[0] not in scripts.SCRIPTS:
        raise ApiError(f'no completion for "{words[0]}"; there is bash, zsh and fish')
    sys.stdout.write(scripts.SCRIPTS[words[0]])
    return 0
