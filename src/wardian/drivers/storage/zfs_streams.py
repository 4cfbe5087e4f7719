"""Volumes that travel by `zfs send` and `zfs receive`: whole, or the difference to a snapshot.

One stream goes over the socket, of one snapshot. Its receiver is the kernel, and cannot be confined as other
receivers are; so what came is looked at before anybody else sees it.
"""

from collections.abc import Sequence

from wardian.drivers.storage import sockets
from wardian.errors import InvalidInput
from wardian.linux import process, zfs

NAME = "zfs"
NO_ANCESTOR = "not an earlier snapshot"
OTHER_BASE = ("local origin for clone", "most recent snapshot", "incremental source", "does not exist")
"""Complaints of a receiver that has not what a stream builds on."""
SEND = ("bash", "-o", "pipefail", "-c", 'zfs send -ce "$@" | cat', "send")
"""Into a pipe: `zfs send` hangs for ever when anything else that it writes to has ended (lzc_send_wrapper in
libzfs_core goes on to fill a pipe that nobody reads)."""
CUT = ("incomplete stream", "failed to read from stream", "Broken pipe", "Connection reset")
NO_SPACE = ("out of space", "quota exceeded")


async def send(moment: str, base: str, fd: int, what: str) -> None:
    """Send a snapshot, as the difference to one that it comes from, or whole if there is none such."""
    status, said = 0, NO_ANCESTOR
    if base:
        status, said = await sockets.run([*SEND, "-i", base, moment], stdout=fd)
    if NO_ANCESTOR in said:
        status, said = await sockets.run([*SEND, moment], stdout=fd)
    if status:
        raise _failed(what, said)
    sockets.end(fd)


async def receive(moment: str, base: str, options: Sequence[str], fd: int, what: str) -> None:
    """Make a dataset with one snapshot, unmounted, from what `send` sends.

    base: the snapshot here that it is a clone of then. options: properties of the dataset, as for
    `zfs create`. The caller removes the dataset on failure.
    """
    origin = ["-o", f"origin={base}"] if base else []
    status, said = await sockets.run(["zfs", "receive", "-u", *options, *origin, moment], stdin=fd)
    if status:
        if any(words in said for words in OTHER_BASE):
            raise InvalidInput(f"cannot {what}: what came is the difference to another volume")
        raise _failed(what, said)
    dataset = moment.partition("@")[0]
    listed = await _asked(what, "zfs", "list", "-H", "-r", "-t", "all", "-o", "name,type,origin", dataset)
    found = zfs.parse_table(listed, 3)
    # Without a base a stream could name any snapshot of the pool, and would be a clone of it.
    if found != [[dataset, "filesystem", base or "-"], [moment, "snapshot", "-"]]:
        raise InvalidInput(f"cannot {what}: what came is not one volume")
    if await _asked(what, "zfs", "get", "-H", "-s", "received", "-o", "property", "all", dataset):
        raise InvalidInput(f"cannot {what}: what came has properties of its own")


async def _asked(what: str, *argv: str) -> str:
    return (await process.check(what, argv)).decode(errors="replace")


def _failed(what: str, said: str) -> Exception:
    """The error for a program that failed: a stream that ended early, a full pool, or its complaint."""
    lines = said.strip().splitlines()
    if any(words in said for words in NO_SPACE):
        return sockets.failed(what, "", sockets.NO_SPACE[0])
    if not lines or any(words in said for words in CUT):
        return sockets.failed(what, "", "")
    return sockets.failed(what, " ".join(lines), said)
