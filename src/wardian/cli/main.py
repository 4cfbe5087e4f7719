"""The `lxc` command: order of processing, aliases, errors, exit statuses (spec/cli.md section 1)."""

from __future__ import annotations

import os
import sys

from wardian import __version__
from wardian.cli import commands
from wardian.cli.options import FlagError, leading, parse
from wardian.cli.session import Session, UsageError
from wardian.client import config
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wardian.cli.command import Command

PLAIN_ERRORS = ("LXD socket not found", "Connection refused; is", "Permission denied, are")
"""Errors that are shown as they are (spec/cli.md section 1.4)."""


def main(arguments: list[str]) -> int:
    """Run the client; its exit status."""
    first = leading(arguments)
    if 0 < first < len(arguments):
        arguments = [arguments[first], *arguments[:first], *arguments[first + 1 :]]
    if arguments[:2] == ["config", "profile"]:
        sys.stderr.write("Note: `lxc config profile` is now `lxc profile`\n")
        arguments = arguments[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        arguments = ["help", *arguments[1:]]
    elif arguments[:1] == ["--all"]:
        arguments = ["help", *arguments]
    if "--version" in arguments and "--" not in arguments:
        print(__version__)
        return 0
    if not arguments:
        sys.stdout.write(commands.help_page(everything=False))
        return 1
    try:
        settings = config.load(ignore_file="--force-local" in arguments)
        if "--no-alias" not in arguments:
            arguments = expand_alias(settings.aliases, arguments)
        return _run(settings, arguments)
    except ApiError as error:
        sys.stdout.flush()  # what was said before stands before, also in a file
        text = str(error)
        sys.stderr.write(f"{text}\n" if text.startswith(PLAIN_ERRORS) else f"error: {text}\n")
        return 1
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        about = f" ({error.filename})" if error.filename else ""
        sys.stderr.write(f"error: {error.strerror or error}{about}\n")
        return 1


def _run(settings: config.Config, arguments: list[str]) -> int:
    command = commands.find(arguments[0])
    if command is None:
        sys.stdout.write(commands.help_page(everything=False))
        sys.stderr.write(f"\nerror: unknown command: {arguments[0]}\n")
        return 1
    try:
        values, words = parse(command.flags, arguments[1:], stop_at=command.stop_at)
        if values.help:
            sys.stdout.write(command.help_text())
            return 0
        if values.debug or values.verbose:
            from wardian.cli import trace

            trace.begin(bodies=values.debug)
        return command.run(Session(settings, quiet=values.quiet), values, words)
    except FlagError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except UsageError:
        return _wrong_usage(command, arguments[1:])


def _wrong_usage(command: Command, words: Sequence[str]) -> int:
    if command.is_group and not words:
        sys.stdout.write(command.help_text())
        return 0
    sys.stderr.write("error: wrong number of subcommand arguments\n\n")
    sys.stderr.write(command.help_text())
    return 1


def expand_alias(aliases: dict[str, str], arguments: list[str]) -> list[str]:
    """The arguments with the longest alias that their first words name replaced."""
    for key in sorted(aliases, key=lambda k: -len(k.split())):
        words = key.split()
        if not words or arguments[: len(words)] != words:
            continue
        rest = arguments[len(words) :]
        value = aliases[key].split(" ")
        if "@ARGS@" not in value:
            return [*value, *rest]
        place = value.index("@ARGS@")
        return [*value[:place], *rest, *value[place + 1 :]]
    return arguments


def run() -> None:
    """Entry point of the `lxc` program."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    # Everything is said: taking the interpreter apart in order would cost 2 ms and change nothing.
    os._exit(status)


if __name__ == "__main__":
    run()
