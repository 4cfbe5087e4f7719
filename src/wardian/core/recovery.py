"""What a killed daemon left half done, finished or rolled back before anything else runs.

A record says in `pending` what was under way. What it says there is enough: nothing is guessed.
"""

import logging

from wardian.core import containers, memory, migration_sink, owners, partial, pool_moves, renames, snapshots
from wardian.core.host import Host
from wardian.errors import WardianError
from wardian.model.container import PARTIAL, Container, Snapshot

log = logging.getLogger(__name__)

CONTAINER_STEPS = {
    "create": containers.discard,
    "receive": partial.keep_or_discard,
    "delete": containers.remove,
    "rename": renames.finish,
    "restore": snapshots.finish_restore,
    "move": pool_moves.finish,
    memory.ARRIVING: migration_sink.finish_arrival,
    owners.PENDING: owners.finish,
}
SNAPSHOT_STEPS = {
    "create": snapshots.remove,
    "delete": snapshots.remove,
    "rename": snapshots.finish_rename,
}


async def sweep(host: Host) -> None:
    """Bring every record that has something pending to one end or the other; failures are logged."""
    for container in await host.records.containers.all():
        if container.pending and container.pending != PARTIAL:
            await _settle(host, container)
    for snapshot in await host.records.snapshots.all():
        if snapshot.pending:
            await _settle(host, snapshot)
    await owners.sweep(host)


async def _settle(host: Host, found: Container | Snapshot) -> None:
    kind = type(found).__name__.lower()
    log.warning('%s "%s": %s was interrupted, cleaning up', kind, found.name, found.pending)
    try:
        if isinstance(found, Container):
            await CONTAINER_STEPS[found.pending](host, found)
        else:
            await SNAPSHOT_STEPS[found.pending](host, found)
    except WardianError as error:
        log.error('%s "%s": cannot clean up: %s', kind, found.name, error)
