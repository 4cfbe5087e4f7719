"""Which commands there are. Readers: dispatch, --help, the help page, completion.

A command is found without loading the others: their texts would cost every `lxc` a millisecond.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wardian.cli.command import Command

FAMILIES = {
    "lifecycle": "delete info init launch list pause restart start stop",
    "copies": "copy export import move publish rename restore snapshot",
    "inside": "console exec file shell",
    "configuration": "config profile",
    "images": "image",
    "host": "network storage",
    "client": "alias completion finger help manpage monitor operation query remote version",
}
"""Module of `wardian.cli.table` -> the commands that it has."""

SHORT = {"ls": "list", "rm": "delete", "cp": "copy", "mv": "move", "create": "init", "resume": "start"}
"""What people type out of habit."""


def names() -> list[str]:
    """All commands, sorted."""
    return sorted(name for family in FAMILIES.values() for name in family.split())


def find(name: str) -> Command | None:
    """The command of this name."""
    name = SHORT.get(name, name)
    for family, members in FAMILIES.items():
        if name in members.split():
            return next(command for command in _load(family) if command.name == name)
    return None


def table() -> list[Command]:
    """All commands, by their names."""
    found = [command for family in FAMILIES for command in _load(family)]
    return sorted(found, key=lambda command: command.name)


def _load(family: str) -> tuple[Command, ...]:
    found: tuple[Command, ...] = __import__(f"wardian.cli.table.{family}", fromlist=["COMMANDS"]).COMMANDS
    return found


def help_page(*, everything: bool) -> str:
    """The page of `lxc help`."""
    lines = [
        "Usage: lxc <command> [options]",
        "",
        "This is the LXD command line client.",
        "All of LXD's features can be driven through the various commands below.",
        "For help with any of those, simply call them with --help.",
        "",
        "Commands:",
    ]
    for command in table():
        if command.name != "help" and (everything or not command.hidden):
            lines.append(f"  {command.name:<16} {command.summary}")
    lines += [
        "",
        "Options:",
        "  --all            Print less common commands",
        "  --debug          Print debug information",
        "  --verbose        Print verbose information",
        "  --version        Show client version",
        "",
        "Environment:",
        "  LXD_CONF         Path to an alternate client configuration directory",
        "  LXD_DIR          Path to an alternate server directory",
    ]
    return "\n".join(lines) + "\n"
