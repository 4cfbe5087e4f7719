"""Secrets with which somebody who is not trusted may fetch one private image, once."""

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
    """Whether the secret is one for this image. The first use ends it.

    While its operation can still be asked for, some seconds, it goes on to count: a client asks for
    the image, then for its files.
    """
    for operation in host.operations.all():
        if operation.kind != "token" or images.url(image.fingerprint) not in operation.resources.get(
            "images", ()
        ):
            continue
        known = str(operation.metadata.get("secret", ""))
        if known and secrets.compare_digest(known.encode(), secret.encode()):
            if operation.status == "Running":
                host.operations.cancel(operation.id)
            return operation.status != "Success"
    return False
