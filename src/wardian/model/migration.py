"""What two hosts say to each other while a container goes from one to the other. Pure.

One JSON object per frame of the stream `control`: the source offers, the target answers; for each
volume, snapshots first and the oldest first, `begin`, the bytes on the stream `fs`, `done`, `have`; the
target ends with the verdict. Either side may say `fail` at any time. What is read is a stranger's
words: bounded, of the right shape, its names checked; whether it may exist is checked by core.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from wardian.errors import InvalidInput
from wardian.model import idmap, names, units
from wardian.model.container import Config, Devices, Snapshot

VERSION = 1
CONTROL_BYTES = 8 * 1024 * 1024
"""How large a message may be: the offer has the configuration of every snapshot."""
MOST_SNAPSHOTS = 10_000
LONGEST_REASON = 2000
STREAMS = ("control", "fs")
ROUNDS = ("/1", "/2", "/3", "/4", "/5")
"""What the files of a container are called that are sent while it runs, so often at most."""
AGAIN_BYTES = 16 * 1024 * 1024
"""What has changed since is sent while it runs, too, if it was more than this the last time."""
FILE_WISE = "rsync"
"""The transport that compares file by file: any volume much like the one that comes saves sending."""

T = TypeVar("T", bound="Message")


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all messages are."""


class Kept(Struct, frozen=True, kw_only=True):
    """A snapshot of the container that is offered."""

    name: str
    """Its own, without the container's."""
    architecture: str
    created_at: datetime
    config: Config = {}
    devices: Devices = {}
    profiles: list[str] = []
    ephemeral: bool = False
    description: str = ""
    expires_at: datetime | None = None
    scheduled: bool = False


class Offer(Message, frozen=True, kw_only=True, tag="offer"):
    """First of all, from the source: what there is, and in which ways it can be sent."""

    version: int
    transports: list[str]
    """The best first."""
    snapshots: list[Kept] = []
    """The oldest first."""
    idmap: str = "[]"
    """The map under which the owners of the files are, as in `volatile.last_state.idmap`."""
    live: bool = False
    """Its memory comes with its files, and it goes on there."""
    asleep: bool = False
    """Of one that is live: it stays stopped, and goes on when it is started."""
    ahead: bool = False
    """Of one that is live: its files can be sent while it runs, then what has changed since."""


class Answer(Message, frozen=True, kw_only=True, tag="answer"):
    """From the target: the transport, and which snapshots it has not got yet."""

    transport: str
    wanted: list[str]
    origins: dict[str, str] = {}
    """Of those that it has: the snapshot's name -> what `ports.Storage.origin` says of it."""
    ahead: bool = False
    """It takes files of a container that still runs."""


class Begin(Message, frozen=True, kw_only=True, tag="begin"):
    """From the source: what follows on `fs`.

    volume: a snapshot, "" for the container itself, or one of ROUNDS: what its files were while it ran.
    """

    volume: str
    base: str = ""
    """The snapshot that it is told as a difference to; "": to nothing."""


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """From the source: what it has sent on `fs` for this volume."""

    volume: str
    size: int
    crc32: int


class Have(Message, frozen=True, kw_only=True, tag="have"):
    """From the target: the volume is there, as it was sent. origin: as in `Answer`; "" of no snapshot."""

    volume: str
    origin: str = ""


class Verdict(Message, frozen=True, kw_only=True, tag="verdict"):
    """Last of all, from the target: it has everything, and keeps it."""


class Fail(Message, frozen=True, kw_only=True, tag="fail"):
    """From either side: why it gives up."""

    message: str


_DECODER = msgspec.json.Decoder(Offer | Answer | Begin | Done | Have | Verdict | Fail)
_ENCODER = msgspec.json.Encoder()


def encode(message: Message) -> str:
    """The frame that says this; InvalidInput if it is larger than the other host would read."""
    text = _ENCODER.encode(message)
    if len(text) > CONTROL_BYTES:
        raise InvalidInput(
            f"what there is to say of the container and its snapshots takes {len(text)} bytes, more than "
            f"the {CONTROL_BYTES} that a host reads; delete snapshots, or copy it with --instance-only"
        )
    return text.decode()


def decode(frame: str | bytes) -> Message:
    """The message of a frame; InvalidInput if it is none."""
    if len(frame) > CONTROL_BYTES:
        raise InvalidInput(f"a message of the other host has more than {CONTROL_BYTES} bytes")
    try:
        found: Message = _DECODER.decode(frame)
        return found
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput(f"the other host does not say what it should: {_one_line(str(error))}") from None


def _one_line(text: str) -> str:
    return " ".join(text[:LONGEST_REASON].split())


def reason(fail: Fail) -> str:
    """Why the other host gave up, as one line that can be shown and logged."""
    return "".join(c if c.isprintable() else "?" for c in _one_line(fail.message)) or "no reason given"


# --- offers ------------------------------------------------------------------------------------


def kept(snapshot: Snapshot) -> Kept:
    """What the source says of a snapshot."""
    return Kept(
        name=snapshot.own_name,
        architecture=snapshot.architecture,
        created_at=snapshot.created_at,
        config=snapshot.config,
        devices=snapshot.devices,
        profiles=snapshot.profiles,
        ephemeral=snapshot.ephemeral,
        description=snapshot.description,
        expires_at=snapshot.expires_at,
        scheduled=snapshot.scheduled,
    )


def checked(offer: Offer) -> Offer:
    """The offer, its times in UTC; InvalidInput naming what is wrong with it."""
    if offer.version != VERSION:
        raise InvalidInput(
            f"the other host speaks version {offer.version} of the migration protocol, this one {VERSION}"
        )
    if len(offer.snapshots) > MOST_SNAPSHOTS:
        raise InvalidInput(f"more than {MOST_SNAPSHOTS} snapshots cannot be taken")
    own_names = [snapshot.name for snapshot in offer.snapshots]
    for name in own_names:
        names.check_snapshot(name)
    if len(set(own_names)) != len(own_names):
        raise InvalidInput("the other host offers two snapshots of one name")
    idmap.from_json(offer.idmap)
    snapshots = [_in_utc(snapshot) for snapshot in offer.snapshots]
    if snapshots != sorted(snapshots, key=lambda s: s.created_at):
        raise InvalidInput("the other host offers snapshots in another order than that of their times")
    return msgspec.structs.replace(offer, snapshots=snapshots)


def _in_utc(snapshot: Kept) -> Kept:
    try:
        created_at = _utc(snapshot.created_at)
        expires_at = _utc(snapshot.expires_at) if snapshot.expires_at else None
    except (OverflowError, ValueError):
        raise InvalidInput(f'snapshot "{snapshot.name}" has a time that no calendar has') from None
    return msgspec.structs.replace(snapshot, created_at=created_at, expires_at=expires_at)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def transport(offered: Sequence[str], own: Sequence[str]) -> str:
    """The way of sending that the target likes best of those both know; InvalidInput if there is none."""
    for name in own:
        if name in offered:
            return name
    raise InvalidInput(
        f"the two storage pools have no way of sending in common: the source has "
        f"{_one_line(', '.join(offered)) or 'none'}, the target {', '.join(own) or 'none'}"
    )


def sequence(offered: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The volumes that are sent, in this order: both hosts know it from offer and answer."""
    return [*(name for name in offered if name in wanted), ""]


def again(sizes: Sequence[int]) -> bool:
    """Whether to send once more what changes while a container runs, given the bytes of each time before."""
    if not sizes:
        return True
    if len(sizes) == len(ROUNDS) or sizes[-1] <= AGAIN_BYTES:
        return False
    return len(sizes) == 1 or sizes[-1] <= sizes[-2] / 2


def base_of(volume: str, offered: Sequence[str], own: Mapping[str, str], there: Mapping[str, str]) -> str:
    """The latest snapshot before a volume that the target has with the same content; "" for none.

    own, there: name -> origin of the snapshots of the source and of those that the target has by now.
    """
    before = offered[: offered.index(volume)] if volume else offered
    fitting = (name for name in reversed(before) if own.get(name) and own[name] == there.get(name))
    return next(fitting, "")


# --- requests ----------------------------------------------------------------------------------


def check_operation(url: str, field: str) -> None:
    """Refuse what is no URL of an operation of a host on the network."""
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
        parts = urlsplit("")
    path = parts.path.removeprefix("/1.0/operations/")
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) < 1024
    if not (
        fine
        and plain
        and parts.scheme == "https"
        and "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
        and path != parts.path
        and path.replace("-", "").isalnum()
    ):
        raise InvalidInput(
            f'field "{field}" is not the URL of an operation: https://HOST:PORT/1.0/operations/ID'
        )


def websocket(operation: str, secret: str) -> str:
    """The URL of the stream of an operation that has this secret."""
    return f"wss{operation.removeprefix('https')}/websocket?secret={secret}"


def check_secrets(given: dict[str, str] | None, field: str) -> dict[str, str]:
    """The secrets of the two streams; InvalidInput naming the one that is missing or no secret."""
    for name in STREAMS:
        secret = (given or {}).get(name, "")
        if not secret:
            raise InvalidInput(f'field "{field}": Missing {name} secret')
        if not (secret.isascii() and secret.isalnum() and len(secret) <= 512):
            raise InvalidInput(f'field "{field}": the secret of "{name}" is not one')
    return {name: (given or {})[name] for name in STREAMS}


def parse_rate(text: str) -> int:
    """Bytes per second of a limit such as `10MB`; 0 for "": no limit."""
    rate = units.parse_size(text) if text else 0
    if text and not rate:
        raise InvalidInput('field "bandwidth": a limit of 0 would never end; leave it out for none')
    return rate
