"""Whose files a shared folder's are."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import shift
from wardian.model.idmap import IdMap, IdRange

CONTAINER = IdMap.contiguous(1_000_000, 65536)


def test_true_is_the_map_of_the_container() -> None:
    assert shift.owners("true", CONTAINER) == CONTAINER
    assert shift.owners("true", IdMap()) is None
    assert shift.owners("", CONTAINER) is None
    assert shift.owners("false", CONTAINER) is None


def test_a_pair_maps_a_user_and_its_group() -> None:
    assert shift.owners("1001:0", CONTAINER) == IdMap(
        (IdRange("uid", 1001, 1_000_000, 1), IdRange("gid", 1001, 1_000_000, 1))
    )
    assert shift.owners("uid:1001:5,gid:100:6", CONTAINER) == IdMap(
        (IdRange("uid", 1001, 1_000_005, 1), IdRange("gid", 100, 1_000_006, 1))
    )
    assert shift.owners("uid:1001:0", IdMap()) == IdMap((IdRange("uid", 1001, 0, 1),))


@pytest.mark.parametrize(
    "text", ["maybe", "1001", "1001:", ":0", "1:0,1:1", "1:0,2:0", "x:1:2", "-1:0", "1:0\n"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        shift.parse(text.replace("\n", ",\n,"))


def test_an_id_that_the_container_lacks_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the container has no uid 65536"):
        shift.owners("1001:65536", CONTAINER)
