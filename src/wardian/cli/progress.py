"""How far it is with what goes through this client: a line of a terminal, erased at the end."""

from __future__ import annotations

import sys

from wardian.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wardian.cli.session import Session
    from wardian.client.connection import Response

PAUSE_S = 0.25
"""Time between two drawings."""


def watched(session: Session, label: str, pieces: Iterator[bytes], total: int = 0) -> Iterator[bytes]:
    """The same pieces, of so many bytes in all (0: nobody knows). What is short is not shown."""
    if session.quiet or not sys.stdout.isatty():
        yield from pieces
        return
    import time

    began = drawn = time.monotonic()
    done, shown = 0, ""
    try:
        for piece in pieces:
            yield piece
            done += len(piece)
            now = time.monotonic()
            if now - drawn >= PAUSE_S:
                drawn = now
                text = line(label, done, total, now - began)
                sys.stdout.write("\r" + text.ljust(len(shown)))
                sys.stdout.flush()
                shown = text
    finally:
        if shown:
            sys.stdout.write("\r" + " " * len(shown) + "\r")
            sys.stdout.flush()


def line(label: str, done: int, total: int, elapsed_s: float) -> str:
    """`Exporting the image: 42% (3.20MB/s)`, or the size where no total is known."""
    far = f"{min(100 * done // total, 100)}%" if total else output.size(done)
    return f"{label}: {far} ({output.size(int(done / elapsed_s))}/s)"


def length(response: Response) -> int:
    """How long a reply's body is; 0 if that is not said."""
    return int(response.headers.get("content-length") or 0)
