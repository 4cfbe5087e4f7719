"""Whose files a shared folder's are: the property `shift` of disks.

`true`: ids on disk are the ids in the container, as in its own root file system. `1001:0`: files of
the host's user and group 1001 belong to root inside, and what root writes there belongs to 1001; with
`uid:` or `gid:` before it, users or groups alone. Several pairs are separated by commas.
"""

import re
from typing import Literal

from wardian.errors import InvalidInput
from wardian.model import units
from wardian.model.idmap import IdKind, IdMap, IdRange

_PAIR = re.compile(r"(?:(uid|gid):)?([0-9]{1,10}):([0-9]{1,10})")
_WORDS = frozenset(("true", "1", "yes", "on", "false", "0", "no", "off"))

Pair = tuple[IdKind, int, int]
"""(uid or gid, id on the host, id in the container)."""


def parse(text: str) -> bool | list[Pair]:
    """Yes, no, or the pairs; InvalidInput otherwise, and for an id that is given twice."""
    if text.lower() in _WORDS:
        return units.parse_bool(text)
    pairs: list[Pair] = []
    for part in text.split(","):
        match = _PAIR.fullmatch(part.strip())
        if match is None:
            raise InvalidInput(f"Invalid value: {text} (neither true, false, nor pairs such as 1001:0)")
        kinds: tuple[Literal["uid", "gid"], ...] = ("uid",) if match[1] == "uid" else ("gid",)
        for kind in kinds if match[1] else ("uid", "gid"):
            pairs.append((kind, int(match[2]), int(match[3])))
    IdMap.checked(IdRange(kind, inside, outside, 1) for kind, outside, inside in pairs)
    return pairs


def owners(text: str, container: IdMap) -> IdMap | None:
    """Ids on disk -> ids of the host as which the container must see them; None: as they are.

    container: its map, empty if it is privileged. InvalidInput for an id that it does not have.
    """
    wanted = parse(text) if text else False
    if isinstance(wanted, bool):
        return container if wanted and container.ranges else None
    found = []
    for kind, outside, inside in wanted:
        host_id = container.host_id(kind, inside) if container.ranges else inside
        if host_id is None:
            raise InvalidInput(f'shift "{text}": the container has no {kind} {inside}')
        found.append(IdRange(kind, outside, host_id, 1))
    return IdMap.checked(found)
