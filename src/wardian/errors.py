"""Every failure that a caller can be told.

The tree; the number is the HTTP status that `api` answers with:

    WardianError 500
     +-- InvalidInput        400  a field of a request is wrong; the message names it
     |    +-- Busy           400  another action holds the container
     +-- Forbidden           403  the caller is not trusted, or a secret is wrong
     +-- Unauthorized        401  who asks in a container is not its root
     +-- NotFound            404  no such container, image, profile, ...
     +-- AlreadyExists       409  the name is taken
     +-- StaleRevision       412  If-Match named a revision that has been replaced
     +-- HostFailed          500  the kernel, a disk or a program said no; names the thing
     |    +-- OutOfSpace     500  a disk is full
     |    +-- TransferCut    500  the other side of a transfer ended it; its error is the reason
     +-- TooManyAttempts     429  secrets are being guessed; says when to try again
     +-- Cancelled           500  the operation was cancelled
     +-- NotImplementedHere  501  the path exists, the verb on it does not

A message is one line: what failed, on which thing, why, and the next step where there is one.
Lower case, no full stop, names in double quotes, e.g.
`cannot start container "c1": bridge "lxdbr0" does not exist; create it or change device "eth0"`.
Texts that the specification prints literally (spec/*.md) are kept as printed.
"""

import errno
from typing import ClassVar


class WardianError(Exception):
    """A failure with a one-line message for people and an HTTP status for programs."""

    status: ClassVar[int] = 500

    def __str__(self) -> str:
        """The message on one line, whatever a caller has put into a value that it repeats."""
        return "\\n".join(super().__str__().splitlines())


class InvalidInput(WardianError):
    """A field of a request is wrong; the message names the field and the value."""

    status = 400


class Busy(InvalidInput):
    """Another action holds the container."""


class Forbidden(WardianError):
    """The caller is not trusted, or a secret is wrong."""

    status = 403

    def __init__(self, message: str = "not authorized") -> None:
        super().__init__(message)


class Unauthorized(WardianError):
    """Whoever asks in a container is not its root."""

    status = 401


class NotFound(WardianError):
    """No such thing."""

    status = 404

    def __init__(self, message: str = "not found") -> None:
        super().__init__(message)


class AlreadyExists(WardianError):
    """The name is taken."""

    status = 409


class StaleRevision(WardianError):
    """If-Match named a revision that has been replaced since."""

    status = 412


class HostFailed(WardianError):
    """The kernel, a disk or a program on the host said no; the message names the thing."""


class OutOfSpace(HostFailed):
    """A disk is full; the message names the file system."""


class TransferCut(HostFailed):
    """The other side of a transfer ended it too early: the reason is there."""


def unforeseen(error: Exception) -> WardianError:
    """What a caller is told of an error that nobody has caught: of a full disk, what to do."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f' for "{error.filename}"' if error.filename else ""
        return OutOfSpace(f"no space left{where}; free some on its file system, then retry")
    return WardianError(f"internal error: {type(error).__name__}: {error}")


class TooManyAttempts(WardianError):
    """Too many wrong secrets came from there; nothing was checked."""

    status = 429

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many wrong attempts to become trusted; retry in {wait_s} s")


class Cancelled(WardianError):
    """The operation was cancelled by its owner."""


class NotImplementedHere(WardianError):
    """The path exists, the verb on it does not."""

    status = 501

    def __init__(self, message: str = "not implemented") -> None:
        super().__init__(message)
