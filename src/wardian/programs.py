"""What all programs but the client share: how a command line is refused, and how a run ends.

Wrong words: the usage and one line `error: ...` on stderr, exit status 1, as spec/cli.md section 9 has it.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from wardian.client.connection import ApiError
from wardian.errors import WardianError

LONGEST_S = 10 * 366 * 86400
"""No wait is longer."""
INTERRUPTED, NO_READER = 130, 141
"""Exit statuses of a shell for SIGINT and SIGPIPE."""


class Parser(argparse.ArgumentParser):
    """argparse, with examples kept as written, no abbreviated flags, and exit status 1 for wrong words."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Show the usage and raise WardianError."""
        self.print_usage(sys.stderr)
        raise WardianError(message)


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a program to its end; every failure that is foreseen is one line."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except (WardianError, ApiError) as error:
        status = _failed(str(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = NO_READER
    except OSError as error:
        about = f'"{error.filename}": ' if error.filename else ""
        status = _failed(f"{about}{error.strerror or error}")
    sys.exit(status)


def seconds(text: str) -> float:
    """A time on the command line."""
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= LONGEST_S:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds')
    return found


def note(message: str) -> None:
    """Tell what the user should know and nothing depends on."""
    print(f"note: {message}", file=sys.stderr)


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1
