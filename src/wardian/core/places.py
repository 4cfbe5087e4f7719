"""Where people look for the files of containers: `containers/NAME/rootfs`, `snapshots/NAME/SNAPSHOT`.

Links to where the pools have them. They follow from the records alone, and nothing here goes by them.
Where files have a file system of their own (LVM, ZFS), a link leads to them while that is mounted.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from wardian.core.host import Host
from wardian.errors import NotFound
from wardian.model import idmap
from wardian.model.container import PARTIAL, Container, Snapshot
from wardian.ports.storage import Volume

log = logging.getLogger(__name__)

SHOWN = ("rootfs", "metadata.yaml", "templates")
"""What of a container's volume is shown in its folder."""


async def settle(host: Host, name: str) -> None:
    """Have the links of a container and its snapshots be right; without a record there are none.

    The folder of a privileged container is root's alone: its files may be setuid root of the host.
    A failure is logged: all works without them.
    """
    container = await host.records.containers.find(name)
    _settle(host, name, container, await host.records.snapshots.all(name))


async def settle_all(host: Host) -> None:
    """At start-up: for every container, and for those that are gone."""
    known = {container.name: container for container in await host.records.containers.all()}
    taken: dict[str, list[Snapshot]] = defaultdict(list)
    for snapshot in await host.records.snapshots.all():
        taken[snapshot.container].append(snapshot)
    found = {path.name for top in (host.paths.containers, host.paths.snapshots) for path in top.iterdir()}
    for name in sorted(set(known) | {each for each in found if not each.startswith(".")}):
        _settle(host, name, known.get(name), taken[name])


def _settle(host: Host, name: str, container: Container | None, taken: Iterable[Snapshot]) -> None:
    try:
        if container is None or container.pending == PARTIAL:
            _remove(host.paths.containers / name)
            _remove(host.paths.snapshots / name)
        else:
            _show(host, container, [s for s in taken if s.pending not in ("create", "rename")])
    except (OSError, NotFound) as error:  # a full disk, a pool that could not be opened
        log.warning('container "%s": its folder is not up to date: %s', name, error)


def _show(host: Host, container: Container, taken: Sequence[Snapshot]) -> None:
    storage = host.storage.get(container.pool)
    files = storage.path(Volume("container", container.name))
    folder = host.paths.containers / container.name
    _make(folder, 0o755 if _is_mapped(container) else 0o700)
    _link(folder, {each: files / each for each in SHOWN})
    folder = host.paths.snapshots / container.name
    if taken or folder.exists():
        _make(folder, 0o700)
        _link(folder, {s.own_name: storage.path(Volume("snapshot", s.name)) for s in taken})


def _is_mapped(container: Container) -> bool:
    return bool(idmap.from_json(container.config.get("volatile.idmap.next", "[]")).ranges)


def _make(folder: Path, mode: int) -> None:
    folder.mkdir(mode=mode, exist_ok=True)
    folder.chmod(mode)


def _link(folder: Path, wanted: dict[str, Path]) -> None:
    """Have exactly these links in a folder, beside what else is there."""
    for path in folder.iterdir():
        if path.is_symlink() and wanted.get(path.name) != path.readlink():
            path.unlink()
    for name, target in wanted.items():
        with suppress(FileExistsError):
            (folder / name).symlink_to(target)


def _remove(folder: Path) -> None:
    """Take a folder away with its links; anything else that is in it stays, and so does the folder."""
    with suppress(FileNotFoundError):
        _link(folder, {})
        with suppress(OSError):
            folder.rmdir()
