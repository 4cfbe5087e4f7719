"""User namespaces as file descriptors: what idmapped mounts and confined programs take their map from.

A namespace lives as long as something refers to it, so the process that made it can end at once.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from wardian.errors import HostFailed
from wardian.linux import process
from wardian.model.idmap import IdMap, IdRange

HOLDER = ("unshare", "--user", "--", "cat")
"""Sits in a new user namespace; that it echoes tells that it is there."""


async def create(idmap: IdMap) -> int:
    """An fd of a new user namespace with this map; the caller closes it.

    HostFailed if the kernel refuses the map or the namespace.
    """
    try:
        async with _holder() as pid:
            Path(f"/proc/{pid}/gid_map").write_text(idmap.lines("gid"))
            Path(f"/proc/{pid}/uid_map").write_text(idmap.lines("uid"))
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostFailed(f"cannot make a user namespace: {error.strerror or error}") from error


ALL_IDS = ["0", "0", "4294967295"]


def is_initial() -> bool:
    """Whether this process is in the host's own user namespace: only there is root the kernel's root."""
    return Path("/proc/self/uid_map").read_text().split() == ALL_IDS


def whole() -> IdMap:
    """The map under which every id of this process's own user namespace stays what it is."""
    found = []
    for kind in ("uid", "gid"):
        for line in Path(f"/proc/self/{kind}_map").read_text().splitlines():
            first, _, count = map(int, line.split())
            found.append(IdRange("uid" if kind == "uid" else "gid", first, first, count))
    return IdMap.checked(found)


@asynccontextmanager
async def _holder() -> AsyncIterator[int]:
    """The pid of a process in a new user namespace that has no map yet."""
    child = await asyncio.create_subprocess_exec(
        *HOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=process.ENVIRONMENT,
        start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    try:
        child.stdin.write(b"\n")
        if await child.stdout.read(1) != b"\n":
            said = (await child.stderr.read()).decode(errors="replace").strip()
            raise HostFailed(f"cannot make a user namespace: {said}")
        yield child.pid
    finally:
        await process.kill_group(child)
