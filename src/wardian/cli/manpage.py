"""lxc manpage: a manual page for each command, from the table of commands."""

from __future__ import annotations

import os

from wardian import __version__
from wardian.cli import commands
from wardian.cli.options import COMMON, Values
from wardian.cli.session import Session, need
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wardian.cli.command import Command
    from wardian.cli.options import Flag


def run(session: Session, values: Values, words: list[str]) -> int:
    """Write the pages into a folder."""
    need(words, 1, 1)
    pages = {f"lxc.{command.name}.1": page(command) for command in commands.table()}
    try:
        os.makedirs(words[0], exist_ok=True)
        for name, text in {"lxc.1": overview(), **pages}.items():
            with open(os.path.join(words[0], name), "w") as file:
                file.write(text)
    except OSError as error:
        raise ApiError(f'cannot write to "{words[0]}": {error.strerror}') from None
    return 0


def overview() -> str:
    """lxc(1)."""
    parts = [_head("lxc", "client of the container manager")]
    parts.append(".SH SYNOPSIS\n.B lxc\n.I command\n[options]\n")
    parts.append(
        ".SH DESCRIPTION\n"
        + _text(
            "lxc drives LXD, here or on other hosts, by its REST API. Objects are named [<remote>:]<name>; "
            "lxc remote list shows the remotes."
        )
    )
    parts.append(".SH COMMANDS\n")
    for command in commands.table():
        parts.append(f".TP\n.BR lxc.{_plain(command.name)} (1)\n{_text(command.summary)}")
    parts.append(_options(()))
    parts.append(
        ".SH ENVIRONMENT\n.TP\n.B LXD_CONF\nAn alternate folder of the client's configuration.\n"
        ".TP\n.B LXD_DIR\nAn alternate folder of the server.\n"
        '.TP\n.BR VISUAL ", " EDITOR\nThe editor of the edit commands.\n'
    )
    parts.append(".SH FILES\n.TP\n.I ~/.config/lxc/config.yml\nRemotes and aliases.\n")
    return "".join(parts)


def page(command: Command) -> str:
    """The manual page of a command."""
    synopsis, _, rest = command.usage.strip().partition("\n\n")
    body, _, examples = rest.replace("Example:", "Examples:").partition("Examples:\n")
    parts = [_head(f"lxc.{command.name}", command.summary[0].lower() + command.summary[1:])]
    parts.append(".SH SYNOPSIS\n" + _verbatim(synopsis.removeprefix("Usage: ")))
    parts.append(".SH DESCRIPTION\n" + _verbatim(body))
    parts.append(_options(command.flags))
    parts.append(".SH EXAMPLES\n" + _verbatim(examples))
    parts.append(".SH SEE ALSO\n.BR lxc (1)\n")
    return "".join(parts)


def _head(name: str, summary: str) -> str:
    return f'.TH {name.upper()} 1 "" "wardian {__version__}"\n.SH NAME\n{name} \\- {_plain(summary)}\n'


def _options(flags: Sequence[Flag]) -> str:
    lines = [".SH OPTIONS\n"]
    for flag in sorted((*flags, *COMMON), key=lambda flag: flag.key):
        names = ", ".join(f"-{name}" if len(name) == 1 else f"--{name}" for name in flag.names)
        value = "" if flag.kind == "bool" else {"int": " N"}.get(flag.kind, " TEXT")
        default = f" (default: {flag.default})" if flag.default not in (False, "", [], -1) else ""
        lines.append(f".TP\n.B {_plain(names + value)}\n{_text(flag.help + default)}")
    return "".join(lines)


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")


def _text(text: str) -> str:
    """A paragraph; no line of it is a request to the formatter."""
    return f"\\&{_plain(text)}\n"


def _verbatim(text: str) -> str:
    return ".nf\n" + "".join(f"\\&{_plain(line)}\n" for line in text.strip("\n").splitlines()) + ".fi\n"
