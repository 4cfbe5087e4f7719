"""Who hears of what happens: one bounded queue per listener, in order.

Types: `operation` (the object of the operations API), `logging` (message, level, context) and
`lifecycle` (action, source, context). Shapes: spec/rest-api.md section 18.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

TYPES = ("operation", "logging", "lifecycle")
QUEUE_LENGTH = 4096
"""Events a slow listener may fall behind before it is dropped."""

UNSET_TIME = "1970-01-01T00:00:00Z"

LEVELS = {"DEBUG": "dbug", "INFO": "info", "WARNING": "warn", "ERROR": "eror", "CRITICAL": "crit"}


def timestamp(moment: datetime | None = None) -> str:
    """The moment (default: now) as RFC 3339 in UTC with microseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def shown_time(moment: datetime | None) -> str:
    """The moment for callers, or the time that they take for "never"."""
    return timestamp(moment) if moment else UNSET_TIME


class Listener:
    """One subscriber. Iterate over it for events; it ends when closed or fallen too far behind."""

    def __init__(self, types: frozenset[str]) -> None:
        self.types = types
        self._queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def offer(self, event: dict[str, Any]) -> bool:
        """Queue the event; False if the listener is too slow and must be dropped."""
        if self._queue.qsize() >= QUEUE_LENGTH:
            self._queue.put_nowait(None)
            return False
        self._queue.put_nowait(event)
        return True

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while (event := await self._queue.get()) is not None:
            yield event


class Events:
    """The daemon's single place to send events from and to subscribe at."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def subscribe(self, types: Iterable[str] = TYPES) -> Listener:
        """A new listener for these types. The caller passes it to `unsubscribe` in the end."""
        listener = Listener(frozenset(types))
        self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """Forget the listener and end its iteration."""
        self._listeners.discard(listener)
        listener.close()

    def send(self, kind: str, metadata: dict[str, Any]) -> None:
        """Tell every listener of this type; never blocks."""
        event: dict[str, Any] | None = None
        for listener in list(self._listeners):
            if kind not in listener.types:
                continue
            event = event or {"type": kind, "timestamp": timestamp(), "metadata": metadata}
            if not listener.offer(event):
                self._listeners.discard(listener)

    def lifecycle(self, action: str, source: str, **context: str) -> None:
        """Tell of a change to a thing, e.g. `container-started` of `/1.0/containers/c1`."""
        self.send("lifecycle", {"action": action, "source": source, "context": context})

    def close(self) -> None:
        """End every listener (the daemon goes down)."""
        for listener in list(self._listeners):
            self.unsubscribe(listener)


class EventLogHandler(logging.Handler):
    """Sends each log record as a `logging` event; installed by the daemon on the root logger."""

    def __init__(self, events: Events, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.DEBUG)
        self._events = events
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        metadata = {
            "message": record.getMessage(),
            "level": LEVELS.get(record.levelname, "info"),
            "context": {"logger": record.name},
        }
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.send, "logging", metadata)
