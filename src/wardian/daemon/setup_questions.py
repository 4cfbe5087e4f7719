"""Asking an administrator, on a terminal or a pipe."""

import getpass
import sys
from collections.abc import Callable

from wardian.errors import WardianError


class Asker:
    """Asks questions; an empty answer is the default, and so is the end of the input."""

    def ask(self, question: str, default: str, accept: Callable[[str], bool]) -> str:
        """The first acceptable answer; WardianError if the input ends and there is no default."""
        while True:
            print(question, end=" ", flush=True)
            line = sys.stdin.readline()
            answer = line.strip() or default
            if answer and accept(answer):
                return answer
            if not line:
                raise _unanswered()
            print("Invalid input, try again.", file=sys.stderr)

    def yes(self, question: str, default: bool) -> bool:
        """A yes or no."""
        shown = "yes" if default else "no"
        text = self.ask(
            f"{question} (yes/no) [default={shown}]?", shown, lambda a: a.lower() in ("yes", "no")
        )
        return text.lower() == "yes"

    def secret(self, question: str) -> str:
        """What is typed twice, and not shown on a terminal."""
        while True:
            first, second = self._hidden(question), self._hidden("Again:")
            if first == second:
                return first
            print("Invalid input, try again.", file=sys.stderr)

    def _hidden(self, question: str) -> str:
        if sys.stdin.isatty():
            return getpass.getpass(f"{question} ")
        print(question, end=" ", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise _unanswered()
        return line.rstrip("\n")


def _unanswered() -> WardianError:
    return WardianError("no answer on standard input; use `lxd init --auto`, or --preseed")
