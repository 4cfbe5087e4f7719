"""What the kernel says of devices that come and go (netlink(7), NETLINK_KOBJECT_UEVENT).

A message is `ACTION@PATH` and lines `KEY=VALUE`, each ended by NUL (lib/kobject_uevent.c of the kernel).
"""

import socket
from dataclasses import dataclass

_PROTOCOL = 15
_KERNEL_GROUP = 1
RECEIVE_BYTES = 1 << 14


@dataclass(frozen=True)
class Uevent:
    """A change of a device. node: name of its node below /dev, or ""."""

    action: str
    subsystem: str
    node: str


def parse(message: bytes) -> Uevent | None:
    """The event of a message; None for what is none."""
    head, *lines = message.decode(errors="replace").split("\0")
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if "@" not in head or "ACTION" not in values:
        return None
    return Uevent(values["ACTION"], values.get("SUBSYSTEM", ""), values.get("DEVNAME", ""))


def open_socket() -> socket.socket:
    """A non-blocking socket on which the kernel's events arrive."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    made = socket.socket(socket.AF_NETLINK, kind, _PROTOCOL)
    made.bind((0, _KERNEL_GROUP))
    return made


def receive(listening: socket.socket) -> list[Uevent]:
    """The events that wait on the socket; those that did not come from the kernel are left out.

    OSError ENOBUFS if more came than could wait: some are lost then.
    """
    found: list[Uevent] = []
    while True:
        try:
            message, (sender, _) = listening.recvfrom(RECEIVE_BYTES)
        except BlockingIOError:
            return found
        event = parse(message) if sender == 0 else None
        if event is not None:
            found.append(event)
