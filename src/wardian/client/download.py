"""Large files from a daemon: a line that breaks costs no more than the bytes that were under way."""

from __future__ import annotations

import contextlib
import os

from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from wardian.client.connection import Connection, Response

BARREN_TRIES = 3
"""After so many tries in a row that brought nothing we give up."""


@contextlib.contextmanager
def whole(path: str) -> Iterator[BinaryIO]:
    """A file to be written that has its name only once it is whole; ApiError if it cannot be written."""
    unfinished = f"{path}.part"
    try:
        with open(unfinished, "wb") as file:
            yield file
        os.replace(unfinished, path)
    except BaseException as error:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        if isinstance(error, OSError):
            raise ApiError(f'cannot write "{path}": {error.strerror}') from None
        raise


def pieces(daemon: Connection, path: str, response: Response) -> Iterator[bytes]:
    """The body of the answer to a GET of the path, in pieces.

    Where the server can send the rest of a file it is asked for it when the line breaks. ApiError if that
    does not help, or if the rest is that of another file.
    """
    position, barren = 0, 0
    mark = response.headers.get("etag", "")
    while True:
        before = position
        try:
            for piece in response.chunks():
                position += len(piece)
                yield piece
            return
        except ApiError:
            barren = 0 if position > before else barren + 1
            if response.headers.get("accept-ranges") != "bytes" or barren == BARREN_TRIES:
                raise
        daemon.close()
        response = daemon.send("GET", path, headers={"Range": f"bytes={position}-"})
        goes_on = response.headers.get("content-range", "").startswith(f"bytes {position}-")
        if response.status != 206 or not goes_on or response.headers.get("etag", "") != mark:
            raise ApiError(f"the connection broke after {position} bytes, and the rest is not to be had")
