"""Regular expressions whose matching takes time in proportion to the text, whoever wrote them.

Python's `re` tries one way after the other, and some expressions have more ways than anybody can wait
for. Here all ways are followed at once (Thompson's construction), as the RE2 syntax of Go promises,
which clients of the API write: characters, `.`, classes, groups, `|`, `* + ? {m,n}`, `^` and `$`.
Letters match in either case.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from wardian.errors import InvalidInput

LONGEST = 256
"""Characters of an expression."""
MOST_STEPS = 512
"""How much `{m,n}` may make of it."""
LOOKED_THROUGH = 1024
"""Characters of a text; what comes after them is not looked at."""
DEEPEST = 32
"""Groups within groups."""

Test = Callable[[str], bool]


@dataclass
class _Step:
    """One step of a program: `char` takes a character, the others take none."""

    kind: Literal["char", "split", "start", "end", "match"]
    test: Test | None = None
    to: list[int] = field(default_factory=list)


CLASSES: dict[str, Test] = {
    "d": lambda c: c.isascii() and c.isdigit(),
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "s": lambda c: c in " \t\n\f\r",
}
CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Pattern:
    """A compiled expression. InvalidInput if it is none, or asks for too much."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise InvalidInput(f"a pattern of more than {LONGEST} characters")
        self._program = _Compiler(text).program()

    def search(self, text: str) -> bool:
        """Whether a part of the text matches."""
        text = text[:LOOKED_THROUGH].lower()
        present: set[int] = set()
        for position in range(len(text) + 1):
            self._follow(0, position, len(text), present)
            if any(self._program[step].kind == "match" for step in present):
                return True
            if position < len(text):
                present = self._taken(present, text[position], position + 1, len(text))
        return False

    def _taken(self, present: set[int], char: str, position: int, length: int) -> set[int]:
        """Where one can be after this character."""
        found: set[int] = set()
        for number in present:
            step = self._program[number]
            if step.test is not None and step.test(char):
                self._follow(number + 1, position, length, found)
        return found

    def _follow(self, start: int, position: int, length: int, found: set[int]) -> None:
        """Add the step, and all that can be reached from it without a character."""
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            step = self._program[number]
            if step.kind == "split":
                found.add(number)
                waiting += step.to
            elif step.kind == "start" or step.kind == "end":
                if position == (0 if step.kind == "start" else length):
                    waiting.append(number + 1)
            else:
                found.add(number)


def _negated(test: Test) -> Test:
    return lambda c: not test(c)


def _within(first: str, last: str) -> Test:
    low, high = first.lower(), last.lower()
    return lambda c: low <= c <= high


class _Compiler:
    """Reads an expression from left to right; parts are lists of steps with jumps relative to them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def program(self) -> list[_Step]:
        """All of it, with absolute jumps."""
        steps = self._choice()
        if self._at < len(self._text):
            raise self._wrong("a ) without its (")
        for number, step in enumerate(steps):
            step.to = [number + offset for offset in step.to]
        return [*steps, _Step("match")]

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(f'"{self._text}" is no pattern: {what}')

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise self._wrong("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _choice(self) -> list[_Step]:
        found = self._sequence()
        while self._peek() == "|":
            self._next()
            other = self._sequence()
            jump = _Step("split", to=[len(other) + 1])
            found = [_Step("split", to=[1, len(found) + 2]), *found, jump, *other]
        return found

    def _sequence(self) -> list[_Step]:
        found: list[_Step] = []
        while self._peek() not in ("", "|", ")"):
            found += self._repeated(self._one())
            if len(found) > MOST_STEPS:
                raise self._wrong("it asks for too many repetitions")
        return found

    def _one(self) -> list[_Step]:
        char = self._next()
        if char == "(":
            return self._group()
        if char in "*+?":
            raise self._wrong(f"nothing before {char}")
        if char in "^$":
            return [_Step("start" if char == "^" else "end")]
        return [_Step("char", self._test(char))]

    def _test(self, char: str) -> Test:
        if char == ".":
            return lambda c: c != "\n"
        if char == "[":
            return self._class()
        return self._escaped() if char == "\\" else _within(char, char)

    def _group(self) -> list[_Step]:
        if self._text.startswith("?:", self._at):
            self._at += 2
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong("too many groups within groups")
        found = self._choice()
        self._depth -= 1
        if self._peek() != ")":
            raise self._wrong("a ( without its )")
        self._next()
        return found

    def _escaped(self) -> Test:
        char = self._next()
        if char.lower() in CLASSES:
            test = CLASSES[char.lower()]
            return _negated(test) if char.isupper() else test
        if char.isalnum() and char not in CONTROL:
            raise self._wrong(f"\\{char} is not known")
        plain = CONTROL.get(char, char)
        return _within(plain, plain)

    def _class(self) -> Test:
        is_negated = self._peek() == "^"
        if is_negated:
            self._next()
        tests: list[Test] = []
        while self._peek() != "]" or not tests:
            char = self._next()
            if char == "\\":
                tests.append(self._escaped())
            elif self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._next()
                tests.append(_within(char, self._next()))
            else:
                tests.append(_within(char, char))
        self._next()

        def test(c: str) -> bool:
            return any(one(c) for one in tests)

        return _negated(test) if is_negated else test

    def _repeated(self, part: list[_Step]) -> list[_Step]:
        while (sign := self._peek()) and sign in "*+?{":
            bounds = (0, 1) if sign == "?" else (1 if sign == "+" else 0, None)
            self._next()
            low, high = self._counts() if sign == "{" else bounds
            part = self._times(part, low, high)
            if self._peek() == "?":  # which way is tried first does not matter here
                self._next()
        return part

    def _counts(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._at :].partition("}")
        first, comma, last = inside.partition(",")
        if not closed or not first.isdecimal() or (last and not last.isdecimal()) or len(inside) > 9:
            raise self._wrong("{ is followed by no count")
        self._at += len(inside) + 1
        high = int(last) if last else None if comma else int(first)
        if high is not None and high < int(first):
            raise self._wrong("a count that ends before it begins")
        return int(first), high

    def _times(self, part: list[_Step], low: int, high: int | None) -> list[_Step]:
        size = len(part) + 1
        if (max(low, high or 0) + 1) * size > MOST_STEPS:
            raise self._wrong("it asks for too many repetitions")
        found = [copy for _ in range(low) for copy in _copied(part)]
        if high is None:
            return [*found, _Step("split", to=[1, size + 1]), *_copied(part), _Step("split", to=[-size])]
        for left in range(high - low, 0, -1):
            found += [_Step("split", to=[1, left * size]), *_copied(part)]
        return found


def _copied(part: list[_Step]) -> list[_Step]:
    return [_Step(step.kind, step.test, list(step.to)) for step in part]
