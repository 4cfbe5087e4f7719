"""The grammar of flags: GNU-like, flags and words mixed, `--` ends flags (spec/cli.md section 1.2)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class FlagError(Exception):
    """A flag is wrong: exit status 2."""


BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "off"), False
)
"""What may follow the `=` of a flag that is on or off."""


class Flag:
    """One flag. kind: bool, str, int or list; names without dashes, the long one last."""

    def __init__(
        self,
        names: str,
        kind: str,
        help: str,
        default: Any = None,
        *,
        bare: str | None = None,
        values: str = "",
    ) -> None:
        """bare: the value if none is given, at the end of the line or before another flag.

        values: the words that it can be, or a kind of object (see completion.SOURCES), to be completed.
        """
        self.names = names.split(",")
        self.kind = kind
        self.help = help
        self.bare = bare
        self.values = values.split()
        empty: dict[str, Any] = {"bool": False, "str": "", "int": 0, "list": []}
        self.default = empty[kind] if default is None else default

    @property
    def key(self) -> str:
        """The name of its value."""
        return self.names[-1].replace("-", "_")

    def value(self, text: str, shown: str) -> Any:
        """The value of a text; FlagError if it is none."""
        if self.kind == "int":
            try:
                return int(text)
            except ValueError:
                raise FlagError(f'invalid value "{text}" for flag {shown}: not a number') from None
        if self.kind == "bool":
            if text.lower() not in BOOLEANS:
                raise FlagError(f'invalid value "{text}" for flag {shown}: not true or false')
            return BOOLEANS[text.lower()]
        return text


COMMON = (
    Flag("debug", "bool", "Enable debug mode"),
    Flag("verbose", "bool", "Enable verbose mode"),
    Flag("force-local", "bool", "Force using the local unix socket"),
    Flag("no-alias", "bool", "Ignore aliases when determining what command to run"),
    Flag("q,quiet", "bool", "Show no progress"),
    Flag("h,help", "bool", "Show this help"),
)


def leading(arguments: Sequence[str]) -> int:
    """How many words before the command are flags of every command."""
    flags = (flag for flag in COMMON if flag.key != "help")
    names = {f"--{name}" if len(name) > 1 else f"-{name}" for flag in flags for name in flag.names}
    return next((n for n, word in enumerate(arguments) if word not in names), len(arguments))


class Values:
    """The values of all flags of a command, as attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def parse(flags: Sequence[Flag], arguments: Sequence[str], *, stop_at: int = 0) -> tuple[Values, list[str]]:
    """(values, words). stop_at: words after so many are taken as they are (a command to run)."""
    known = {name: flag for flag in (*flags, *COMMON) for name in flag.names}
    values = {
        flag.key: list(flag.default) if flag.kind == "list" else flag.default for flag in known.values()
    }
    words: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if argument == "-" or not argument.startswith("-"):
            words.append(argument)
            if stop_at and len(words) >= stop_at:
                words += rest
                break
        elif argument.startswith("--"):
            name, equals, text = argument[2:].partition("=")
            _set(values, known, name, f"--{name}", text if equals else None, rest)
        else:
            _short(values, known, argument[1:], rest)
    return Values(values), words


def _short(values: dict[str, Any], known: dict[str, Flag], letters: str, rest: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = known.get(letter)
        if flag is not None and flag.kind != "bool":
            _set(values, known, letter, f"-{letter}", letters.removeprefix("=") if letters else None, rest)
            return
        _set(values, known, letter, f"-{letter}", None, rest)


def _set(
    values: dict[str, Any], known: dict[str, Flag], name: str, shown: str, text: str | None, rest: list[str]
) -> None:
    flag = known.get(name)
    if flag is None:
        raise FlagError(f"flag provided but not defined: {shown}")
    if flag.kind == "bool" and text is None:
        values[flag.key] = True
        return
    if text is None and flag.bare is not None and (not rest or rest[0].startswith("-")):
        text = flag.bare
    elif text is None:
        if not rest:
            raise FlagError(f"flag needs an argument: {shown}")
        text = rest.pop(0)
    value = flag.value(text, shown)
    if flag.kind == "list":
        values[flag.key].append(value)
    else:
        values[flag.key] = value


def options_text(flags: Sequence[Flag]) -> str:
    """The `Options:` list of a command's help."""
    return own_options_text((*flags, *COMMON))


def own_options_text(flags: Sequence[Flag]) -> str:
    """The same of these flags alone."""
    lines = ["Options:\n"]
    for flag in sorted(flags, key=lambda f: sorted(f.names, key=lambda n: (len(n), n))):
        names = ", ".join(
            f"-{n}" if len(n) == 1 else f"--{n}" for n in sorted(flag.names, key=lambda n: (len(n), n))
        )
        if flag.kind == "str":
            default = f' (= "{flag.default}")'
        else:
            default = f"  (= {str(flag.default).lower() if flag.kind != 'list' else '[]'})"
        lines.append(f"    {names}{default}\n        {flag.help}\n")
    return "".join(lines)
