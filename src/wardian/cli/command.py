"""What a command is: its words, its flags, its help, and where its function is."""

from __future__ import annotations

from wardian.cli.options import Flag, Values, options_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wardian.cli.session import Session

FORMAT = Flag(
    "f,format", "str", "Format (table|json|csv|yaml|compact)", "table", values="table json csv yaml compact"
)


class Command:
    """One command. where: `module:function`; usage: synopsis, a summary line, text and examples.

    completes: what its words are (cli/completion.py), with commas; the last one counts for all that follow.
    """

    def __init__(
        self,
        name: str,
        where: str,
        usage: str,
        flags: tuple[Flag, ...] = (),
        *,
        hidden: bool = False,
        stop_at: int = 0,
        subcommands: str = "",
        completes: str = "",
    ) -> None:
        self.name, self.where, self.usage, self.flags = name, where, usage, flags
        self.hidden, self.stop_at, self.completes = hidden, stop_at, completes
        self.subcommands = subcommands.split()

    @property
    def is_group(self) -> bool:
        """Whether it has subcommands."""
        return bool(self.subcommands)

    @property
    def summary(self) -> str:
        """The first line that is no synopsis, without its dot."""
        lines = (line.strip() for line in self.usage.splitlines())
        return next(line for line in lines if line and not line.startswith(("Usage:", "lxc"))).rstrip(".")

    def help_text(self) -> str:
        """What `--help` prints."""
        return f"{self.usage.strip()}\n\n{options_text(self.flags)}"

    def run(self, session: Session, values: Values, words: list[str]) -> int:
        """Run it; its exit status."""
        module, _, function = self.where.partition(":")
        found = __import__(f"wardian.cli.{module}", fromlist=[function])
        status: int = getattr(found, function)(session, values, words)
        return status


def action(name: str, summary: str, text: str, flags: tuple[Flag, ...] = ()) -> Command:
    usage = f"""Usage: lxc {name} [<remote>:]<container> [[<remote>:]<container>...]

{summary}

{text}
Several containers are handled at the same time.

Example:
    lxc {name} c1 c2
"""
    return Command(name, f"container:{name}", usage, flags, hidden=name == "pause", completes="container")
