"""Background work: what it is, who may cancel it, how it ends; and the lock on a container.

An `Operation` is the object of the operations API (spec/rest-api.md section 17). The work is a
coroutine that receives its operation, reports through `progress`/`update`, and ends by returning
(success), raising (failure) or being cancelled. The work itself undoes what it made (core.undo).

Invariant: one action at a time on a container. `Operations.lock` is the only lock there is.
"""

import asyncio
import contextlib
import logging
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from wardian.core.events import Events, timestamp
from wardian.errors import Busy, Forbidden, InvalidInput, NotFound, WardianError, unforeseen
from wardian.ports.peers import Socket

log = logging.getLogger(__name__)

Kind = Literal["task", "websocket", "token"]
Work = Callable[["Operation"], Awaitable[dict[str, Any] | None]]

OWN_ACCORD_S = 10.0
"""How long an action waits for what the daemon does with its container of its own accord."""
KEPT_S = 5.0
"""How long a finished operation can still be asked for (spec/rest-api.md section 17)."""

STATUS = {
    "Pending": 105,
    "Running": 103,
    "Cancelling": 104,
    "Success": 200,
    "Failure": 400,
    "Cancelled": 401,
}


class Operation:
    """One piece of background work."""

    def __init__(
        self,
        events: Events,
        *,
        kind: Kind,
        description: str,
        resources: Mapping[str, list[str]],
        metadata: Mapping[str, Any],
        may_cancel: bool,
    ) -> None:
        self._events = events
        self.id = str(uuid.uuid4())
        self.kind = kind
        self.description = description
        self.resources = {name: list(urls) for name, urls in resources.items()}
        self.metadata = dict(metadata)
        self.may_cancel = may_cancel
        self.created_at = self.updated_at = datetime.now(UTC)
        self.status = "Pending"
        self.err = ""
        self.finished = asyncio.Event()
        self.sockets: dict[str, asyncio.Future[Socket]] = {}
        """Websocket operations: name of the stream -> its socket, once connected."""
        self._secrets: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"/1.0/operations/{self.id}"

    def expect_sockets(self, *names: str) -> dict[str, str]:
        """Make a secret for each stream; returns {name: secret} for the caller alone."""
        loop = asyncio.get_running_loop()
        for name in names:
            self.sockets[name] = loop.create_future()
            self._secrets[secrets.token_hex(32)] = name
        return {name: secret for secret, name in self._secrets.items()}

    def check_secret(self, secret: str) -> str:
        """The name of the free stream whose secret this is; Forbidden if there is none."""
        for known, name in self._secrets.items():
            if secrets.compare_digest(known.encode(), secret.encode()) and not self.sockets[name].done():
                return name
        raise Forbidden()

    async def connect(self, secret: str, socket: Socket) -> None:
        """Attach the socket whose secret this is, and hold it until the work is done with it."""
        self.sockets[self.check_secret(secret)].set_result(socket)
        await self.finished.wait()

    def update(self, metadata: Mapping[str, Any], *, merge: bool = True) -> None:
        """Publish new metadata (merged into the present one unless told otherwise)."""
        self.metadata = {**self.metadata, **metadata} if merge else dict(metadata)
        self._changed()

    def progress(self, stage: str, text: str, **details: str) -> None:
        """Publish `<stage>_progress`, e.g. `progress("unpack", "42% (120.00MB/s)")`, of this stage alone.

        details: numbers for programs, as `progress`: {"percent": "42", ...}.
        """
        kept = self._metadata_without_progress()
        numbers = {"progress": {"stage": stage, **details}} if details else {}
        self.update({**kept, f"{stage}_progress": text, **numbers}, merge=False)

    def render(self, *, metadata: bool = True) -> dict[str, Any]:
        """The object of the API. The metadata can hold secrets: leave it out for listings."""
        return {
            "id": self.id,
            "class": self.kind,
            "description": self.description,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "status": self.status,
            "status_code": STATUS[self.status],
            "resources": self.resources or None,
            "metadata": (self.metadata if metadata else self._public_metadata()) or None,
            "may_cancel": self.may_cancel,
            "err": self.err,
        }

    def _public_metadata(self) -> dict[str, Any]:
        hidden = ("fds", "secret", *self.sockets)
        shown = {key: value for key, value in self.metadata.items() if key not in hidden}
        # Later clients take a token operation for one only if it has the key.
        return shown | {"secret": ""} if self.kind == "token" else shown

    def _metadata_without_progress(self) -> dict[str, Any]:
        return {k: v for k, v in self.metadata.items() if k != "progress" and not k.endswith("_progress")}

    def _changed(self) -> None:
        self.updated_at = datetime.now(UTC)
        self._events.send("operation", self.render(metadata=False))

    def _enter(self, status: str) -> None:
        self.status = status
        if STATUS[status] >= 200:
            self.may_cancel = False
            self.metadata = self._metadata_without_progress()  # nothing goes on any more
        self._changed()
        if STATUS[status] >= 200:
            self.finished.set()
            log.info("%s%s: %s", self.description, self._about(), self.err or status.lower())

    def _about(self) -> str:
        """The things that it is about, for the log."""
        urls = next(iter(self.resources.values()), [])
        return "".join(f" {url}" for url in urls)

    async def _run(self, work: Work) -> None:
        try:
            result = await work(self)
        except asyncio.CancelledError:
            self.err = "operation cancelled"
            self._enter("Cancelled")
        except WardianError as error:
            self.err = str(error)
            self._enter("Failure")
        except Exception as error:
            log.exception("operation %s (%s) failed", self.id, self.description)
            self.err = str(unforeseen(error))
            self._enter("Failure")
        else:
            if result is not None:
                self.metadata = result
            self._enter("Success")


async def _nothing(container: str, action: str) -> None:
    """No one has to be told."""


class Operations:
    """All running (and just finished) operations, and the locks on containers."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._operations: dict[str, Operation] = {}
        self._locks: dict[str, str] = {}
        self._own_accord: set[str] = set()
        """Containers that are held by an action which waited, and which nobody asked for."""
        self._freed: dict[str, asyncio.Event] = {}
        self.before_action: Callable[[str, str], Awaitable[None]] = _nothing
        """Awaited with the container's name and the action's whenever an action begins to hold it."""

    def start(
        self,
        description: str,
        work: Work,
        *,
        resources: Mapping[str, list[str]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        kind: Kind = "task",
        may_cancel: bool = False,
        sockets: tuple[str, ...] = (),
        flat: bool = False,
    ) -> Operation:
        """Begin the work and return its operation, already Running.

        resources: {"containers": ["/1.0/containers/c1"], ...}. sockets: names of the streams of
        a websocket operation; their secrets are put in the metadata as `fds`, or if `flat` each
        under the name of its stream.
        """
        operation = Operation(
            self._events,
            kind=kind,
            description=description,
            resources=resources or {},
            metadata=metadata or {},
            may_cancel=may_cancel,
        )
        if sockets:
            found = operation.expect_sockets(*sockets)
            operation.metadata |= found if flat else {"fds": found}
        self._operations[operation.id] = operation
        operation._changed()
        operation._enter("Running")
        task = asyncio.create_task(operation._run(work), name=f"operation {description}")
        operation._task = task
        task.add_done_callback(lambda _: self._forget_later(operation))
        return operation

    def _forget_later(self, operation: Operation) -> None:
        if not operation.finished.is_set():  # cancelled before its first step ran
            operation._enter("Cancelled")
        loop = asyncio.get_running_loop()
        loop.call_later(KEPT_S, self._operations.pop, operation.id, None)

    def get(self, id: str) -> Operation:
        """The operation; NotFound if there is none, or it ended a while ago."""
        try:
            return self._operations[id]
        except KeyError:
            raise NotFound(f'operation "{id}" not found') from None

    def all(self) -> list[Operation]:
        return list(self._operations.values())

    async def wait(self, id: str, timeout_s: float | None = None) -> Operation:
        """The operation once it has ended, or as it is when the time is over."""
        operation = self.get(id)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(operation.finished.wait(), timeout_s)
        return operation

    def cancel(self, id: str) -> None:
        """Ask the work to stop; it takes back what it made, then the operation is Cancelled."""
        operation = self.get(id)
        if operation.status != "Running":
            raise InvalidInput("Only running operations can be cancelled")
        if not operation.may_cancel or operation._task is None:
            raise InvalidInput("This operation can't be cancelled")
        operation._enter("Cancelling")
        operation._task.cancel()

    async def close(self) -> None:
        """Cancel everything that runs and wait until it has cleaned up."""
        tasks = [o._task for o in self._operations.values() if o._task and not o._task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def holding(self, container: str) -> str:
        """The action that holds the container, or ""."""
        return self._locks.get(container, "")

    @contextlib.asynccontextmanager
    async def lock(self, container: str, action: str, *, wait: bool = False) -> AsyncIterator[None]:
        """Hold the container for one action; Busy, naming the other action, if it is held.

        wait: until it is free, instead. So does the daemon of its own accord, which others wait for
        a while: nobody who asked for something need know that it looked after a device just then.
        """
        while wait and container in self._locks:
            await self._free_again(container)
        if container in self._own_accord:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OWN_ACCORD_S):
                    while container in self._own_accord:
                        await self._free_again(container)
        if container in self._locks:
            raise Busy(f"Container is busy running a {self._locks[container]} operation")
        self._locks[container] = action
        if wait:
            self._own_accord.add(container)
        try:
            await self.before_action(container, action)
            yield
        finally:
            del self._locks[container]
            self._own_accord.discard(container)
            if container in self._freed:
                self._freed.pop(container).set()

    async def _free_again(self, container: str) -> None:
        await self._freed.setdefault(container, asyncio.Event()).wait()
