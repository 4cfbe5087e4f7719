"""CPU sets: how they are written, and who gets which (spec/configuration.md section 4).

`limits.cpu` is a number of CPUs, or the set itself. Numbers are shared out here, over all containers
that run, so that each CPU serves about as many of them.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from wardian.errors import InvalidInput

MOST_CPUS = 8192
"""CPU numbers the kernel can have; bounds the ranges of a pin set."""

_PINS = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*")


def parse(text: str) -> int | list[int]:
    """The number of `N`, or the CPUs of a pin set (`0,2`, `0-3`, `1-1`), ascending."""
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text) >= 1:
        return int(text)
    if not text or text.isdigit():
        raise InvalidInput(f"Invalid cpuset value: {text}")
    return parse_list(text)


def parse_list(text: str) -> list[int]:
    """The CPUs of the kernel's list format (`0-3,8`, also `0`), ascending; "" has none."""
    if not text:
        return []
    if not _PINS.fullmatch(text):
        raise InvalidInput(f"Invalid cpuset value: {text}")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not int(first) <= int(last or first) < MOST_CPUS:
            raise InvalidInput(f"Invalid cpuset value: {text}")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def render(cpus: Sequence[int]) -> str:
    """Ascending CPU numbers in the kernel's list format: `0-3,8`."""
    spans: list[list[int]] = []
    for number in cpus:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def usage(sets: Iterable[Iterable[int]]) -> Counter[int]:
    """CPU -> how many of the sets it is in."""
    return Counter(number for cpus in sets for number in cpus)


def choose(text: str, cpus: Collection[int], used: Mapping[int, int]) -> list[int]:
    """The CPUs that a `limits.cpu` value gets, ascending: its pin set, or the N least used ones.

    cpus: those that containers may use; used: as `usage` tells. InvalidInput when the pin set names a
    CPU that is not among them.
    """
    wanted = parse(text)
    if isinstance(wanted, int):
        return sorted(sorted(cpus, key=lambda number: (used.get(number, 0), number))[:wanted])
    missing = [number for number in wanted if number not in cpus]
    if missing:
        raise InvalidInput(
            f'limits.cpu "{text}" names CPU {missing[0]}; '
            f"this host has {render(sorted(cpus))} for containers"
        )
    return wanted


def balance(wishes: Mapping[str, str], cpus: Collection[int]) -> dict[str, list[int]]:
    """Container -> its CPUs, for the `limits.cpu` of each: pin sets first, then the greedy ones, by name.

    The same wishes give the same sets. A pin set loses the CPUs that are not there (any more); one
    that would be left without any is not in the answer.
    """
    parsed = {name: parse(text) for name, text in wishes.items()}
    sets = {
        name: kept
        for name, wish in parsed.items()
        if not isinstance(wish, int) and (kept := [number for number in wish if number in cpus])
    }
    used = usage(sets.values())
    numbers = {name: wish for name, wish in parsed.items() if isinstance(wish, int)}
    for name in sorted(numbers, key=lambda name: (-numbers[name], name)):
        sets[name] = choose(str(numbers[name]), cpus, used)
        used.update(sets[name])
    return sets
