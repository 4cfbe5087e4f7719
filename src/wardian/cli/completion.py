"""Completion for bash, zsh and fish: thin scripts that ask `lxc completion words ...`."""

from __future__ import annotations

from wardian.cli import commands
from wardian.cli.session import Session

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
}
"""What a word can be -> where the daemon lists those."""

KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("profile", "add"): ("container", "profile"),
    ("profile", "remove"): ("container", "profile"),
    ("profile", "assign"): ("container", "profile"),
    ("profile", "apply"): ("container", "profile"),
}
"""(command, action) -> what its words are, where it is not always the same."""

WITH_KEYS = ("config", "network", "profile", "storage")
"""Commands that take keys: `completion_keys` knows them."""


def words(session: Session, typed: list[str]) -> list[str]:
    """What can stand in place of the last word."""
    *before, current = typed or [""]
    if not before:
        return _starting(commands.names(), current)
    command = commands.find(before[0])
    if command is None:
        return []
    if current.startswith("-"):
        names = [f"--{name}" for flag in command.flags for name in flag.names if len(name) > 1]
        return _starting(sorted([*names, "--help"]), current)
    plain = [word for word in before[1:] if not word.startswith("-")]
    if plain and before[0] in WITH_KEYS:
        from wardian.cli import completion_keys

        found = completion_keys.words(session, before[0], plain, current)
        if found is not None:
            return _starting(found, current)
    if command.subcommands and not plain:
        return _starting(sorted(command.subcommands), current)
    if command.completes == "image" and ":" in current:
        return _starting(_offered(session, current.partition(":")[0]), current)
    kinds = KINDS.get((before[0], plain[0] if plain else ""), (command.completes,))
    kind = kinds[min(len(plain), len(kinds)) - 1]
    return _starting(objects(session, kind, current), current)


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
    if not kind:
        return []
    source, named = SOURCES[kind], current.partition(":")[0]
    at = f"{named}:" if ":" in current and named in session.config.remotes else ""
    daemon = session.at(session.config.remote(named if at else session.config.default))
    found = [at + _plain(url.removeprefix(f"{source}/")) for url in daemon.get(source)]
    if kind == "image":
        found += [f"{name}:" for name in session.config.remotes]
    return sorted(found)
