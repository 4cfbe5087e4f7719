"""Secrets with which somebody who is not trusted may fetch one private image, once as a whole."""

import asyncio
import secrets

from wardian.core import images
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.model.container import Image

LIFE_S = 3600.0
"""A secret that nobody has used by then is worth nothing any more."""


def issue(host: Host, image: Image) -> Operation:
    """A token operation; its metadata has the `secret`, its end is the end of the secret."""

    async def work(_: Operation) -> None:
        await asyncio.sleep(LIFE_S)

    return host.operations.start(
        "Image download token",
        work,
        kind="token",
        resources={"images": [images.url(image.fingerprint)]},
        metadata={"secret": secrets.token_hex(32)},
        may_cancel=True,
    )


def opens(host: Host, image: Image, secret: str) -> bool:
    """Whether the secret is one for this image that has not been used up."""
    return _find(host, image, secret) is not None


def used(host: Host, image: Image, secret: str) -> None:
    """All of the image has been sent for this secret, if it is one: that was the one time.

    Not before: a transfer that breaks off is gone on with. While its operation can still be asked for, some
    seconds, it goes on to count: the last bytes may have been lost on the way.
    """
    operation = _find(host, image, secret)
    if operation is not None and operation.status == "Running":
        host.operations.cancel(operation.id)


def _find(host: Host, image: Image, secret: str) -> Operation | None:
    for operation in host.operations.all():
        if operation.kind != "token" or operation.status == "Success":
            continue
        known = str(operation.metadata.get("secret", ""))
        is_for_it = images.url(image.fingerprint) in operation.resources.get("images", ())
        if is_for_it and known and secrets.compare_digest(known.encode(), secret.encode()):
            return operation
    return None
