"""Completion for bash, zsh and fish: thin scripts that ask `lxc completion words ...`."""

from __future__ import annotations

from wardian.cli import commands
from wardian.cli.session import Session, container_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wardian.cli.command import Command
    from wardian.cli.options import Flag

BASH = """_lxc() {
    local line=${COMP_LINE:0:COMP_POINT} typed current
    IFS=$' \\t\\n' read -ra typed <<<"$line"
    [[ $line != *[[:space:]] ]] || typed+=("")
    current=${typed[-1]}
    mapfile -t COMPREPLY < <(lxc completion words -- "${typed[@]:1}" 2>/dev/null)
    [[ ${COMPREPLY[0]} != *[:=.] ]] || compopt -o nospace
    # For bash these begin a new word: what stands before them must not be given again.
    if [[ $current == *[:=]* && $COMP_WORDBREAKS == *:* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*[:=]}"}"}")
    fi
}
complete -F _lxc lxc
"""
ZSH = """#compdef lxc
_lxc() {
    local -a found
    found=(${(f)"$(lxc completion words -- "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
    compadd -S '' -- ${(M)found:#*[:=.]}
    compadd -- ${found:#*[:=.]}
}
# Loaded by name at the first use, or read in as a whole.
if [[ $funcstack[1] == _lxc ]]; then _lxc; else compdef _lxc lxc; fi
"""
FISH = """function __lxc_words
    set -l tokens (commandline -opc) (commandline -ct)
    lxc completion words -- $tokens[2..-1] 2>/dev/null
end
complete -c lxc -f -a '(__lxc_words)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

SOURCES = {
    "container": "/1.0/containers",
    "profile": "/1.0/profiles",
    "network": "/1.0/networks",
    "pool": "/1.0/storage-pools",
    "image": "/1.0/images/aliases",
    "operation": "/1.0/operations?recursion=1",
}
"""What a word can be -> where the daemon lists those; a remote or an alias is known here."""

NESTED: dict[tuple[str, str], str] = {
    ("config", "metadata"): "edit show",
    ("config", "template"): "create delete edit list show",
    ("config", "trust"): "add list list-tokens remove revoke-token show",
    ("image", "alias"): "create delete list rename",
    ("storage", "volume"): (
        "attach copy create delete detach edit get info list move rename restore set show snapshot unset"
    ),
}
"""(command, action) -> what comes next, where that is an action, too."""

KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    **dict.fromkeys(
        (("profile", action) for action in ("add", "remove", "assign", "apply")), ("container", "profile")
    ),
    **dict.fromkeys((("network", action) for action in ("attach", "detach")), ("network", "container")),
    **dict.fromkeys(
        (("network", f"{action}-profile") for action in ("attach", "detach")), ("network", "profile")
    ),
    ("config", "metadata"): ("", "container"),
    ("config", "template"): ("", "container", ""),
    ("config", "trust"): ("",),
    ("storage", "volume"): ("", "pool", ""),
}
"""(command, action) -> what its words are, where it is not always the same."""

WITH_KEYS = ("config", "network", "profile", "storage")
"""Commands that take keys: `completion_keys` knows them."""


def words(session: Session, typed: list[str]) -> list[str]:
    """What can stand in place of the last word."""
    *before, current = typed or [""]
    if not before:
        return _starting(sorted([*commands.names(), *session.config.aliases]), current)
    command = commands.find(before[0])
    if command is None:
        return []
    values = _values(session, command, before[-1], current)
    if values is not None:
        return _starting(values, current)
    if current.startswith("-"):
        names = [f"--{name}" for flag in command.flags for name in flag.names if len(name) > 1]
        return _starting(sorted([*names, "--help"]), current)
    return _starting(_word(session, command, _without_flags(command, before[1:]), current), current)


def _word(session: Session, command: Command, before: list[str], current: str) -> list[str]:
    """What can stand in place of a word that is no flag. before: those before it, without the command."""
    if before and command.name in WITH_KEYS:
        from wardian.cli import completion_keys

        found = completion_keys.words(session, command.name, before, current)
        if found is not None:
            return found
    if command.subcommands and not before:
        return sorted(command.subcommands)
    action = (command.name, before[0] if before else "")
    if len(before) == 1 and action in NESTED:
        return NESTED[action].split()
    kinds = KINDS.get(action, tuple(command.completes.split(",")))
    kind = kinds[min(max(len(before) - bool(command.subcommands), 0), len(kinds) - 1)]
    if kind == "image" and ":" in current:
        return _offered(session, current.partition(":")[0])
    if kind == "command":
        return list(commands.names())
    if kind == "snapshot":
        return [name.rpartition("/")[2] for name in _snapshots(session, before[-1])]
    if kind == "container" and "/" in current and command.name != "file":
        return _snapshots(session, current.partition("/")[0])
    return objects(session, kind, current)


def _snapshots(session: Session, container: str) -> list[str]:
    """`[REMOTE:]CONTAINER/SNAPSHOT` of each that the container has, as it was written."""
    daemon, name = session.server(container)
    listed = daemon.get(f"{container_url(name)}/snapshots")
    return [f"{container}/{_plain(url.rpartition('/')[2])}" for url in listed]


def _flag(command: Command, word: str) -> Flag | None:
    """The flag that a word is, if it takes a value."""
    name = word.removeprefix("--") if word.startswith("--") else word[1:]
    found = (flag for flag in command.flags if word.startswith("-") and name in flag.names)
    return next((flag for flag in found if flag.kind != "bool"), None)


def _values(session: Session, command: Command, previous: str, current: str) -> list[str] | None:
    """Values of the flag that the previous word is, or that begins the current one; None: it is no value."""
    name, has_value, _ = current.partition("=")
    flag, start = (_flag(command, name), f"{name}=") if has_value else (_flag(command, previous), "")
    if flag is None:
        return None
    known = flag.values
    if len(known) == 1 and known[0] in SOURCES:
        known = objects(session, known[0], "")
    return [start + value for value in known]


def _without_flags(command: Command, typed: list[str]) -> list[str]:
    """The words that are neither flags nor their values."""
    return [
        word
        for word, previous in zip(typed, ["", *typed], strict=False)
        if not word.startswith("-") and _flag(command, previous) is None
    ]


def _offered(session: Session, name: str) -> list[str]:
    """Images of a remote, by what was fetched before: completion never waits for a network."""
    remote = session.config.remote(name)
    if remote.protocol == "bootstrap":
        from wardian.model import bootstrap

        return [f"{name}:{suite}" for suite in bootstrap.SUITES]
    if remote.protocol != "simplestreams":
        return [found for found in objects(session, "image", f"{name}:") if not found.endswith(":")]
    from wardian.client import simplestreams

    return sorted(f"{name}:{alias}" for alias in simplestreams.catalogue(remote, offline=True).names)


def _starting(found: list[str], start: str) -> list[str]:
    return [word for word in found if word.startswith(start)]


def _plain(quoted: str) -> str:
    if "%" not in quoted:
        return quoted
    from urllib.parse import unquote

    return unquote(quoted)


def objects(session: Session, kind: str, current: str) -> list[str]:
    """What there is of a kind: on the remote that the word begins with, else on the default one."""
    if kind == "remote":
        return sorted(session.config.remotes)
    if kind == "alias":
        return sorted(session.config.aliases)
    if not kind:
        return []
    source, named = SOURCES[kind], current.partition(":")[0]
    at = f"{named}:" if ":" in current and named in session.config.remotes else ""
    daemon = session.at(session.config.remote(named if at else session.config.default))
    listed = daemon.get(source)
    if kind == "operation":
        return sorted(at + one["id"] for group in listed.values() for one in group)
    found = [at + _plain(url.removeprefix(f"{source}/")) for url in listed]
    if kind == "image":
        found += [f"{name}:" for name in session.config.remotes]
    return sorted(found)
