"""`ip` and `tc` of iproute2: many changes in one call, also inside another network namespace.

Programs, not netlink from our own process: a few milliseconds each, no thread of the daemon enters a
container's namespace, and what was done can be read and typed again. Each command is a tuple of
words; a word with blanks is refused, so that no value can add a word or a line.
"""

import json
from collections.abc import Sequence

from wardian.errors import HostFailed, InvalidInput
from wardian.linux import process

Commands = Sequence[tuple[str, ...]]


def batch_text(commands: Commands) -> str:
    """The commands as `ip -batch` and `tc -batch` read them; InvalidInput for a word that is not one."""
    for command in commands:
        for word in command:
            if not word or not word.isprintable() or any(c in " \"'\\#" for c in word):
                raise InvalidInput(f"{word!a} is not a plain word for ip or tc")
    return "".join(f"{' '.join(command)}\n" for command in commands)


async def ip(what: str, commands: Commands, *, inside: int | None = None, passed: int | None = None) -> None:
    """Run the commands in order up to the first that fails (HostFailed).

    inside: fd of the network namespace to run them in; None: our own. passed: an fd that the commands
    name as /proc/self/fd/N.
    """
    if commands:
        text = batch_text(commands).encode()
        fds = [fd for fd in (inside, passed) if fd is not None]
        await _batch(what, [*_entering(inside), "ip", "-batch", "-"], text, fds)


async def tc(what: str, commands: Commands) -> None:
    """Run the commands in order up to the first that fails (HostFailed)."""
    if commands:
        await _batch(what, ["tc", "-batch", "-"], batch_text(commands).encode())


async def _batch(what: str, argv: Sequence[str], text: bytes, fds: Sequence[int] = ()) -> None:
    done = await process.run(argv, stdin=text, pass_fds=fds)
    if done.status:  # the cause first, then the number of the command
        cause, _, which = done.stderr.decode(errors="replace").strip().partition("\n")
        number = which.rpartition(":")[2]
        lines = text.decode().splitlines()
        failed = lines[int(number) - 1] if number.isdigit() and int(number) <= len(lines) else ""
        raise HostFailed(f"cannot {what}: {cause or 'it said nothing'} (`{argv[-3]} {failed}`)")


async def ip_words(what: str, *words: str, inside: int | None = None) -> bytes:
    """Output of one `ip` command."""
    fds = () if inside is None else (inside,)
    return await process.check(what, [*_entering(inside), "ip", *words], pass_fds=fds)


async def qdiscs(interface: str) -> frozenset[str]:
    """Kinds of the queueing disciplines that an interface has, e.g. `htb`."""
    told = await process.check(
        f"read the queues of {interface}", ["tc", "-j", "qdisc", "show", "dev", interface]
    )
    return frozenset(str(entry.get("kind")) for entry in json.loads(told or b"[]"))


def _entering(inside: int | None) -> list[str]:
    return [] if inside is None else ["nsenter", f"--net=/proc/self/fd/{inside}"]
