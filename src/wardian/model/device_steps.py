"""From the devices that a container has to those that it should have: an ordered plan. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from wardian.errors import InvalidInput
from wardian.model import devices, expand
from wardian.model.container import Devices
from wardian.model.units import is_true


@dataclass(frozen=True)
class Steps:
    """Names of devices: first detach, then change in place, then attach, each in this order."""

    detach: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()


def between(old: Devices, new: Devices) -> Steps:
    """The steps from one set of expanded devices to another on a running container.

    A device is changed in place if all that differs is live in the table of `model.devices`, else
    replaced. A mount that stays, below one that comes or goes, is taken away and given back: a mount
    covers what was mounted below its place before. InvalidInput for what needs a stopped container.
    """
    old, new = _plain(old), _plain(new)
    _check_root(old, new)
    change = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    replaced = {name for name in change if not _is_live(name, old[name], new[name])}
    detach = (old.keys() - new.keys()) | replaced
    attach = (new.keys() - old.keys()) | replaced
    for name in sorted(old.keys() - detach):
        moved = [old[other] for other in detach] + [new[other] for other in attach]
        if any(_is_below(old[name], other) for other in moved):
            detach.add(name)
            attach.add(name)
    in_old = [name for name, _ in devices.sorted_devices(old)]
    in_new = [name for name, _ in devices.sorted_devices(new)]
    return Steps(
        detach=_chosen(reversed(in_old), detach),
        change=_chosen(in_new, change - detach),
        attach=_chosen(in_new, attach),
    )


def _plain(found: Devices) -> Devices:
    """Without properties that are empty."""
    return {name: {key: value for key, value in device.items() if value} for name, device in found.items()}


def _check_root(old: Devices, new: Devices) -> None:
    before, after = (next(filter(expand.is_root, found.values()), None) for found in (old, new))
    if before and after and is_true(before.get("readonly", "")) != is_true(after.get("readonly", "")):
        raise InvalidInput(
            '"readonly" of the root disk cannot change while the container runs; stop it first'
        )


def _chosen(ordered: Iterable[str], names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in ordered if name in names)


def _is_live(name: str, old: dict[str, str], new: dict[str, str]) -> bool:
    if old.get("type") != new.get("type"):
        return False
    rows = {option.name: option for option in devices.options_of(new)}
    differing = [key for key in (*old, *new) if old.get(key) != new.get(key)]
    return all(key in rows and rows[key].live for key in differing)


def _is_below(device: dict[str, str], other: dict[str, str]) -> bool:
    """Whether a mount is at a place below another's."""
    inner, outer = devices.place_of(device), devices.place_of(other)
    return bool(inner and outer) and inner != outer and inner.startswith(outer.rstrip("/") + "/")
